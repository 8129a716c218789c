// RMSNormalization, LayerNormalization and what differs from them only in what
// a row is: one launch over rows that sums, then scales.

#include "Lowering.h"
#include "RowSpace.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

namespace {
/// The operands of a normalization; scale and bias broadcast from the end.
struct Normalized {
  Value input, scale, bias;
  int64_t axis;
  double epsilon;
  bool centers;                    // subtracts the mean
  SmallVector<Value> addends = {}; // added to the input first
};
} // namespace

static double getEpsilon(Operation *op, double otherwise) {
  auto attr = op->getAttrOfType<FloatAttr>("epsilon");
  return attr ? attr.getValueAsDouble() : otherwise;
}

static int64_t getFirstAxis(Operation *op, int64_t rank) {
  auto attr = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = attr ? attr.getInt() : -1;
  return axis < 0 ? axis + rank : axis;
}

/// mean over the row of x or of (x - mean)^2.
static Value reduceMoment(RowSpace &rows, LaunchBuilder &launch, Value x,
                          Value mean, bool squares) {
  SmallVector<LaunchBuilder::Access> inputs = {rows.full(x)};
  if (mean)
    inputs.push_back(rows.outer(mean));
  Value sum = rows.reduce(
      "Add", inputs, [&](const ScalarContext &c, ValueRange v) -> Value {
        Value d =
            mean ? Value(arith::SubFOp::create(c.builder, c.loc, v[0], v[1]))
                 : v[0];
        return squares ? Value(arith::MulFOp::create(c.builder, c.loc, d, d))
                       : d;
      });
  Value target = launch.empty(
      rows.outerDims(), cast<RankedTensorType>(sum.getType()).getElementType());
  return rows.mapOuter({rows.outer(sum)}, target,
                       [&](const ScalarContext &c, ValueRange v) -> Value {
                         return rows.divideByCount(c, v[0]);
                       });
}

/// 1 / sqrt(moment + epsilon)
static Value invertDeviation(RowSpace &rows, LaunchBuilder &launch,
                             Value moment, double epsilon) {
  Value target =
      launch.empty(rows.outerDims(),
                   cast<RankedTensorType>(moment.getType()).getElementType());
  return rows.mapOuter(
      {rows.outer(moment)}, target,
      [&](const ScalarContext &c, ValueRange v) -> Value {
        Value shifted = arith::AddFOp::create(c.builder, c.loc, v[0],
                                              c.like(v[0], epsilon));
        Value root = math::SqrtOp::create(c.builder, c.loc, shifted);
        return arith::DivFOp::create(c.builder, c.loc, c.like(root, 1), root);
      });
}

/// input + addends, within the launch.
static Value addAll(RowSpace &rows, LaunchBuilder &launch, const Normalized &n,
                    unsigned firstAddend, Value target, Lowering &lowering) {
  SmallVector<LaunchBuilder::Access> accesses = {rows.full(launch.input(0))};
  for (auto [index, addend] : llvm::enumerate(n.addends))
    accesses.push_back(rows.broadcast(launch.input(firstAddend + index),
                                      lowering.dims(addend)));
  return rows.mapFull(
      accesses, target, [](const ScalarContext &c, ValueRange v) -> Value {
        Value sum = v[0];
        for (Value addend : v.drop_front())
          sum = arith::AddFOp::create(c.builder, c.loc, sum, addend);
        return sum;
      });
}

/// The normalized tensor; with `statistics`, also mean (if it is subtracted)
/// and inverse deviation; with addends, last the sum.
static SmallVector<Value> normalize(Operation *op, Normalized n,
                                    bool statistics, Lowering &lowering) {
  Dims dims = lowering.dims(n.input);
  n.scale = lowering.broadcast(op->getLoc(), n.scale, dims);
  if (n.bias)
    n.bias = lowering.broadcast(op->getLoc(), n.bias, dims);
  for (Value &addend : n.addends)
    addend = lowering.broadcast(op->getLoc(), addend, dims);
  SmallVector<int64_t> inner;
  for (int64_t axis = n.axis; axis < int64_t(dims.size()); ++axis)
    inner.push_back(axis);
  RowSpace rows(lowering, op, dims, inner);
  SmallVector<Value> inputs = {n.input, n.scale};
  if (n.bias)
    inputs.push_back(n.bias);
  unsigned firstAddend = inputs.size();
  llvm::append_range(inputs, n.addends);
  Type element = lowering.element(n.input);
  bool isSmall = element.getIntOrFloatBitWidth() < 32;
  Type sumType = isSmall ? Type(Float32Type::get(op->getContext())) : element;
  SmallVector<Result> results = {{element, dims}};
  if (statistics)
    results.append(n.centers ? 2 : 1, Result{sumType, rows.outerDims()});
  if (!n.addends.empty())
    results.push_back({element, dims});
  LaunchBuilder launch = lowering.launch(op->getLoc(), inputs, results);
  rows.enter(launch, element, ElementKind::Float);

  Value x = launch.input(0);
  if (!n.addends.empty())
    x = addAll(rows, launch, n, firstAddend,
               launch.destination(results.size() - 1), lowering);
  Value mean =
      n.centers ? reduceMoment(rows, launch, x, nullptr, false) : nullptr;
  Value moment = reduceMoment(rows, launch, x, mean, true);
  Value inverse = invertDeviation(rows, launch, moment, n.epsilon);
  SmallVector<LaunchBuilder::Access> accesses = {
      rows.full(x), rows.outer(inverse),
      rows.broadcast(launch.input(1), lowering.dims(n.scale))};
  if (n.bias)
    accesses.push_back(rows.broadcast(launch.input(2), lowering.dims(n.bias)));
  if (mean)
    accesses.push_back(rows.outer(mean));
  Value y = rows.mapFull(
      accesses, launch.destination(),
      [&](const ScalarContext &c, ValueRange v) -> Value {
        Value d =
            mean
                ? Value(arith::SubFOp::create(c.builder, c.loc, v[0], v.back()))
                : v[0];
        Value scaled = arith::MulFOp::create(c.builder, c.loc, d, v[1]);
        Value y = arith::MulFOp::create(c.builder, c.loc, scaled, v[2]);
        return n.bias ? Value(arith::AddFOp::create(c.builder, c.loc, y, v[3]))
                      : y;
      });
  SmallVector<Value> values = {y};
  for (Value value : {mean, inverse})
    if (statistics && value)
      values.push_back(rows.mapOuter(
          {rows.outer(value)}, launch.destination(values.size()),
          [](const ScalarContext &, ValueRange v) { return v[0]; }));
  if (!n.addends.empty())
    values.push_back(x);
  return SmallVector<Value>(lowering.finish(launch, values).getResults());
}

static LogicalResult lowerRMSNormalization(Operation *op, Lowering &lowering) {
  Value input = op->getOperand(0);
  Normalized n{input,
               op->getOperand(1),
               nullptr,
               getFirstAxis(op, lowering.dims(input).size()),
               getEpsilon(op, 1e-5),
               /*centers=*/false};
  SmallVector<Value> values =
      normalize(op, n, op->getNumResults() > 1, lowering);
  for (auto [index, result] : llvm::enumerate(op->getResults()))
    values[index] =
        lowering.view(op->getLoc(), values[index], lowering.dims(result));
  lowering.replace(op, values);
  return success();
}

static LogicalResult lowerLayerNormalization(Operation *op,
                                             Lowering &lowering) {
  Value input = op->getOperand(0);
  Dims dims = lowering.dims(input);
  Normalized n{input,
               op->getOperand(1),
               op->getNumOperands() > 2 ? op->getOperand(2) : Value(),
               getFirstAxis(op, dims.size()),
               getEpsilon(op, 1e-5),
               /*centers=*/true};
  bool statistics = op->getNumResults() > 1;
  SmallVector<Value> values = normalize(op, n, statistics, lowering);
  for (auto [index, result] : llvm::enumerate(op->getResults()))
    values[index] =
        lowering.view(op->getLoc(), values[index], lowering.dims(result));
  lowering.replace(op, values);
  return success();
}

/// input + skip (+ bias), normalized; the sum is the fourth result.
template <typename OpTy>
static LogicalResult lowerSkip(Operation *op, Lowering &lowering) {
  auto skip = cast<OpTy>(op);
  if (skip.getMean() || skip.getInvStdVar())
    return op->emitOpError("expected no statistics as outputs, but got some");
  constexpr bool centers =
      std::is_same_v<OpTy, onnx::MsSkipLayerNormalizationOp>;
  Normalized n{skip.getInput(),
               skip.getGamma(),
               nullptr,
               int64_t(lowering.dims(skip.getInput()).size()) - 1,
               getEpsilon(op, 1e-12),
               centers,
               {skip.getSkip()}};
  if constexpr (centers)
    n.bias = skip.getBeta();
  if (skip.getBias())
    n.addends.push_back(skip.getBias());
  SmallVector<Value> values = normalize(op, n, false, lowering);
  if (op->getNumResults() == 1)
    values.truncate(1);
  lowering.replace(op, values);
  return success();
}

/// A vector over channels as a tensor that broadcasts from the end.
static Value spreadChannels(Location loc, Value vector, Dims dims,
                            unsigned trailing, Lowering &lowering) {
  dims.append(trailing, lowering.constant(1));
  return lowering.view(loc, vector, dims);
}

/// Rows are the elements of one channel of one batch.
static LogicalResult lowerInstanceNormalization(Operation *op,
                                                Lowering &lowering) {
  auto instance = cast<onnx::InstanceNormalizationOp>(op);
  Dims dims = lowering.dims(instance.getInput());
  unsigned spatial = dims.size() - 2;
  auto spread = [&](Value vector) {
    return spreadChannels(op->getLoc(), vector, {dims[1]}, spatial, lowering);
  };
  Normalized n{
      instance.getInput(), spread(instance.getScale()), spread(instance.getB()),
      /*axis=*/2,          getEpsilon(op, 1e-5),
      /*centers=*/true};
  lowering.replace(op, normalize(op, n, false, lowering));
  return success();
}

/// Rows are the elements of the channels of one group.
static LogicalResult lowerGroupNormalization(Operation *op,
                                             Lowering &lowering) {
  auto group = cast<onnx::GroupNormalizationOp>(op);
  Dims dims = lowering.dims(group.getX()), grouped = dims;
  int64_t groups = group.getNumGroups();
  AffineExpr perGroup = dims[1].floorDiv(groups);
  grouped[1] = lowering.constant(groups);
  grouped.insert(grouped.begin() + 2, perGroup);
  auto spread = [&](Value vector) {
    return spreadChannels(op->getLoc(), vector, {grouped[1], perGroup},
                          dims.size() - 2, lowering);
  };
  Normalized n{lowering.view(op->getLoc(), group.getX(), grouped),
               spread(group.getScale()),
               spread(group.getBias()),
               /*axis=*/2,
               getEpsilon(op, 1e-5),
               /*centers=*/true};
  Value y = normalize(op, n, false, lowering)[0];
  lowering.replace(op, lowering.view(op->getLoc(), y, dims));
  return success();
}

/// x / norm along one axis, 0 where the norm is 0.
static LogicalResult lowerLpNormalization(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  auto pAttr = op->getAttrOfType<IntegerAttr>("p");
  bool isSquare = !pAttr || pAttr.getInt() == 2;
  Type element = lowering.element(x);
  RowSpace rows(lowering, op, dims, getFirstAxis(op, dims.size()));
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), x, Result{element, dims});
  rows.enter(launch, element, ElementKind::Float);
  Value sum = rows.reduce("Add", {rows.full(launch.input(0))},
                          [&](const ScalarContext &c, ValueRange v) -> Value {
                            ScalarExpr x = ScalarCode(c.builder, c.loc)(v[0]);
                            return isSquare ? x * x : x.abs();
                          });
  Value y = rows.mapFull({rows.full(launch.input(0)), rows.outer(sum)},
                         launch.destination(),
                         [&](const ScalarContext &c, ValueRange v) -> Value {
                           ScalarCode code(c.builder, c.loc);
                           ScalarExpr x = code(v[0]), norm = code(v[1]);
                           if (isSquare)
                             norm = norm.sqrt();
                           return (norm == 0).select(x.like(0), x / norm);
                         });
  lowering.replace(op, lowering.finish(launch, y).getResults());
  return success();
}

void tenon::addNormalizationLowerings(LoweringTable &table) {
  table["onnx.RMSNormalization"] = lowerRMSNormalization;
  table["onnx.SimplifiedLayerNormalization"] = lowerRMSNormalization;
  table["onnx.LayerNormalization"] = lowerLayerNormalization;
  table["onnx.InstanceNormalization"] = lowerInstanceNormalization;
  table["onnx.GroupNormalization"] = lowerGroupNormalization;
  table["onnx.LpNormalization"] = lowerLpNormalization;
  table["onnx.ms.SkipLayerNormalization"] =
      lowerSkip<onnx::MsSkipLayerNormalizationOp>;
  table["onnx.ms.SkipSimplifiedLayerNormalization"] =
      lowerSkip<onnx::MsSkipSimplifiedLayerNormalizationOp>;
}
