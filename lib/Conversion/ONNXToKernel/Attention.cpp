// onnx.tenon.Attention: one launch that streams over the keys; where few
// queries meet many keys, each part of the keys is an item and a second launch
// merges.

#include "HeadTensor.h"
#include "MergeAttention.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;
using onnx::TenonAttentionOp;

/// Keys of a part: enough to be worth merging for.
static constexpr int64_t kKeysOfPart = 256;

namespace {
/// The operands as the kernel-level operation takes them.
struct Attended {
  HeadTensor query, key, value;
  AffineExpr keys;           // how many of the key's tokens there are
  SmallVector<Value> inputs; // of the launch
  SmallVector<Attribute> maps;
};
} // namespace

/// Into how many parts keys are split, so that one query keeps all threads
/// busy; many queries do so by themselves.
static AffineExpr getSplits(const Attended &a, Lowering &lowering) {
  AffineExpr tokens = a.query.tokens, keys = a.keys;
  auto few = dyn_cast<AffineConstantExpr>(keys);
  auto many = dyn_cast<AffineConstantExpr>(tokens);
  if (!lowering.splitsAttention || tokens == keys ||
      (few && few.getValue() < 2 * kKeysOfPart) ||
      (many && many.getValue() > kKeysOfPart))
    return lowering.constant(1);
  return keys.floorDiv(tokens * kKeysOfPart + 1) + 1;
}

/// The mask, repeated where a size that may be 1 meets another one, and where
/// (b, h, s, t) lies in it.
static FailureOr<AffineMap> getMaskMap(TenonAttentionOp op, const Attended &a,
                                       Value &mask, Lowering &lowering) {
  Dims dims = lowering.dims(mask);
  if (dims.size() > 4)
    return op.emitOpError("expected a mask of rank 4 at most, but got ")
           << mask.getType();
  Dims whole = {a.query.batch, a.query.heads, a.query.tokens, a.keys};
  if (!dims.empty())
    whole.back() = dims.back();
  mask = lowering.broadcast(op.getLoc(), mask, whole);
  dims = lowering.dims(mask);
  AffineMap map = getBroadcastMap(op.getContext(), dims, whole);
  if (dims.empty())
    return map;
  // The last dimension may be shorter; it does not repeat.
  SmallVector<AffineExpr> exprs(map.getResults());
  exprs.back() = getAffineDimExpr(3, op.getContext());
  return AffineMap::get(4, 0, exprs, op.getContext());
}

static FailureOr<Attended> getOperands(TenonAttentionOp op,
                                       Lowering &lowering) {
  auto query =
      HeadTensor::get(op, op.getQ(), "q_num_heads", lowering, op.getQPart());
  auto key =
      HeadTensor::get(op, op.getK(), "kv_num_heads", lowering, op.getKPart());
  auto value =
      HeadTensor::get(op, op.getV(), "kv_num_heads", lowering, op.getVPart());
  if (failed(query) || failed(key) || failed(value))
    return failure();
  auto heads = dyn_cast<AffineConstantExpr>(query->heads);
  auto keyHeads = dyn_cast<AffineConstantExpr>(key->heads);
  if (heads && keyHeads && keyHeads.getValue() > 0 &&
      heads.getValue() % keyHeads.getValue() != 0)
    return op.emitOpError("expected a multiple of ")
           << keyHeads.getValue() << " query heads, but got "
           << heads.getValue();
  Attended a{*query, *key, *value, key->tokens, {}, {}};
  if (op.getNumKeys()) {
    std::optional<Dims> count = lowering.elements(op.getNumKeys());
    if (!count || count->size() != 1)
      return op->emitOpError("expected 'num_keys' of one element that the "
                             "shapes determine");
    a.keys = count->front();
  }
  a.inputs = {a.query.value, a.key.value, a.value.value};
  for (const HeadTensor &tensor : {a.query, a.key, a.value})
    a.maps.push_back(AffineMapAttr::get(tensor.map));
  a.maps.push_back(AffineMapAttr::get(a.query.getWholeMap()));
  Value mask = op.getAttnMask();
  if (mask) {
    FailureOr<AffineMap> map = getMaskMap(op, a, mask, lowering);
    if (failed(map))
      return failure();
    a.maps.push_back(AffineMapAttr::get(*map));
  }
  for (Value optional :
       {mask, op.getKvLengths(), op.getQPositions(), op.getSinks()})
    if (optional)
      a.inputs.push_back(optional);
  return a;
}

/// The launch: its results are of `results`.
static kernel::LaunchOp attend(TenonAttentionOp op, const Attended &a,
                               ArrayRef<Result> results, Lowering &lowering) {
  LaunchBuilder launch = lowering.launch(op.getLoc(), a.inputs, results);
  OpBuilder &builder = launch.builder();
  SmallVector<Value> destinations;
  SmallVector<Type> types;
  for (unsigned i = 0; i < results.size(); ++i) {
    destinations.push_back(launch.destination(i));
    types.push_back(destinations.back().getType());
  }
  unsigned next = 3;
  auto take = [&](Value present) {
    return present ? launch.input(next++) : Value();
  };
  Value mask = take(op.getAttnMask()), lengths = take(op.getKvLengths());
  Value positions = take(op.getQPositions()), sinks = take(op.getSinks());
  auto unit = [&](bool set) {
    return set ? builder.getUnitAttr() : UnitAttr();
  };
  FloatAttr scale;
  if (std::optional<float> given = op.getScale())
    scale = builder.getF64FloatAttr(*given);
  auto attention = kernel::AttentionOp::create(
      builder, op.getLoc(), types, launch.input(0), launch.input(1),
      launch.input(2), mask, lengths, positions, sinks, destinations,
      builder.getArrayAttr(a.maps), scale,
      builder.getF64FloatAttr(op.getSoftcap()), unit(op.getIsCausal() != 0),
      builder.getI64IntegerAttr(op.getLeftWindowSize()),
      builder.getI64IntegerAttr(op.getRightWindowSize()),
      unit(op.getEmptyRowIsNan() == 0),
      op.getNumKeys() ? AffineMapAttr::get(launch.map(a.keys))
                      : AffineMapAttr());
  return lowering.finish(launch, attention.getResults());
}

static LogicalResult lowerAttention(Operation *operation, Lowering &lowering) {
  auto op = cast<TenonAttentionOp>(operation);
  FailureOr<Attended> operands = getOperands(op, lowering);
  if (failed(operands))
    return failure();
  const Attended &a = *operands;
  Type element = lowering.element(op.getQ());
  if (!isa<FloatType>(element))
    return op.emitOpError("expected operands of floats, but got ") << element;
  HeadTensor y = a.query;
  y.size = a.value.size;
  Dims rows = {y.batch, y.heads, y.tokens};
  SmallVector<Result> results = {{element, y.dims()}};
  if (op.getLse())
    results.push_back({lowering.element(op.getLse()), rows});
  AffineExpr splits = getSplits(a, lowering);
  kernel::LaunchOp launch;
  if (splits == lowering.constant(1)) {
    launch = attend(op, a, results, lowering);
  } else {
    Type sumType = getAccumulatorType(element);
    SmallVector<Result> parts = {{sumType, y.dims()}, {sumType, rows}};
    for (Result &part : parts)
      part.dims.insert(part.dims.begin(), splits);
    kernel::LaunchOp partial = attend(op, a, parts, lowering);
    launch = mergeAttention(op, partial, y.getWholeMap(), results, lowering);
  }
  SmallVector<Value> values(launch.getResults());
  values[0] = lowering.view(op.getLoc(), values[0], lowering.dims(op.getY()));
  lowering.replace(op, values);
  return success();
}

void tenon::addAttentionLowerings(LoweringTable &table) {
  table["onnx.tenon.Attention"] = lowerAttention;
}
