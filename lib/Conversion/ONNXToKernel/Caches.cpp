// onnx.tenon.CacheAppend in one launch: the rows of a cache, old and new; or,
// where the cache is a buffer that does not grow, the new rows alone, in place.

#include "Positions.h"
#include "Turn.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;
using onnx::TenonCacheAppendOp;

using Make = llvm::function_ref<Value()>;

static Value choose(OpBuilder &builder, Location loc, Type type,
                    Value condition, Make then, Make otherwise) {
  auto branch = scf::IfOp::create(builder, loc, type, condition, true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(builder, loc, then());
  builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(builder, loc, otherwise());
  return branch.getResult(0);
}

namespace {
/// present[b, h, t] = t < start[b] ? past[t] : t < start[b] + new ?
///     turned update[t - start[b]] : past[t], or 0 after its end
class Append {
public:
  Append(TenonCacheAppendOp op, HeadTensor update, Lowering &lowering)
      : op(op), update(update), lowering(lowering) {}

  LogicalResult lower();

private:
  LogicalResult open(std::optional<Rotation> rotation);
  Value emit(OpBuilder &builder, Location loc, ValueRange at);
  Value takeNew(OpBuilder &builder, Location loc, ValueRange at);
  Value getStart(OpBuilder &builder, Location loc, Value batch);
  FailureOr<Value> updateInPlace(LaunchBuilder &opened);
  Value insertRows(LaunchBuilder &opened, AffineExpr start);
  Value insertElements(LaunchBuilder &opened);
  /// Whether the result is the past's own buffer.
  bool isInPlace() { return op.getPast() && op.getGrows() == 0; }

  TenonCacheAppendOp op;
  HeadTensor update;
  Lowering &lowering;
  LaunchBuilder *launch = nullptr;
  std::optional<Turn> turn;
  Value past, positions, known, added;
};
} // namespace

Value Append::getStart(OpBuilder &builder, Location loc, Value batch) {
  if (!positions)
    return known;
  IndexMath math{builder, loc};
  SmallVector<Value> at(cast<RankedTensorType>(positions.getType()).getRank(),
                        batch);
  return math.toIndex(math.extract(positions, at));
}

Value Append::emit(OpBuilder &builder, Location loc, ValueRange at) {
  IndexMath math{builder, loc};
  Type element = lowering.element(op.getUpdate());
  Value offset = math.sub(at[2], getStart(builder, loc, at[0]));
  Value isNew = math.both(
      math.compare(arith::CmpIPredicate::sge, offset, math.constant(0)),
      math.compare(arith::CmpIPredicate::slt, offset, added));
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  return choose(
      builder, loc, element, isNew,
      [&] { return takeNew(builder, loc, {at[0], at[1], offset, at[3]}); },
      [&]() -> Value {
        if (!past)
          return zero;
        Value isOld = math.compare(arith::CmpIPredicate::slt, at[2], known);
        return choose(
            builder, loc, element, isOld,
            [&] { return math.extract(past, at); }, [&] { return zero; });
      });
}

/// Element (batch, head, new token, feature) of what enters.
Value Append::takeNew(OpBuilder &builder, Location loc, ValueRange at) {
  return turn ? turn->emit(builder, loc, at)
              : update.read(builder, loc, *launch, launch->input(0), at);
}

/// All batches' rows begin at `start`.
Value Append::insertRows(LaunchBuilder &opened, AffineExpr start) {
  OpBuilder &builder = opened.builder();
  Dims present = lowering.dims(op.getPresent());
  Dims dims = {update.batch, update.heads, update.tokens, update.size};
  plan::CheckOp::create(lowering.builder, op.getLoc(),
                        AffineMap::get(0, lowering.getNumSymbols(),
                                       {present[2], start + update.tokens},
                                       builder.getContext()),
                        plan::SizeRelation::AtLeast);
  Value rows = opened.generic(
      {},
      {opened.empty(dims, lowering.element(op.getUpdate())),
       builder.getMultiDimIdentityMap(4)},
      [&](OpBuilder &nested, Location loc, ValueRange) {
        SmallVector<Value> at;
        for (int64_t axis = 0; axis < 4; ++axis)
          at.push_back(linalg::IndexOp::create(nested, loc, axis));
        return takeNew(nested, loc, at);
      });
  SmallVector<OpFoldResult> offsets(4, builder.getIndexAttr(0)), sizes;
  SmallVector<OpFoldResult> strides(4, builder.getIndexAttr(1));
  offsets[2] = opened.size(start);
  for (AffineExpr dim : dims)
    sizes.push_back(opened.size(dim));
  return tensor::InsertSliceOp::create(builder, op.getLoc(), rows,
                                       opened.destination(), offsets, sizes,
                                       strides);
}

/// Each batch's rows begin where its position says; what is outside of the
/// buffer is left out.
Value Append::insertElements(LaunchBuilder &opened) {
  SmallVector<Value> extents;
  for (AffineExpr dim :
       {update.batch, update.heads, update.tokens, update.size})
    extents.push_back(opened.index(dim));
  Value capacity = opened.index(lowering.dims(op.getPresent())[2]);
  return emitLoops(
      opened.builder(), op.getLoc(), extents, opened.destination(),
      [&](OpBuilder &builder, Location loc, ValueRange at, ValueRange state) {
        IndexMath math{builder, loc};
        Value row = math.add(getStart(builder, loc, at[0]), at[2]);
        Value isInside = math.both(
            math.compare(arith::CmpIPredicate::sge, row, math.constant(0)),
            math.compare(arith::CmpIPredicate::slt, row, capacity));
        return emitIf(
            builder, loc, isInside, state,
            [&](OpBuilder &inside, Location where) -> SmallVector<Value> {
              return {tensor::InsertOp::create(
                  inside, where, takeNew(inside, where, at), state[0],
                  ValueRange{at[0], at[1], row, at[3]})};
            });
      })[0];
}

FailureOr<Value> Append::updateInPlace(LaunchBuilder &opened) {
  if (!op.getPositions())
    return op.emitOpError("expected 'positions' of a cache that does not grow, "
                          "but got none");
  std::optional<Dims> start = lowering.elements(op.getPositions());
  if (start && llvm::all_equal(*start))
    return insertRows(opened, start->front());
  return insertElements(opened);
}

/// The operation's launch, with what has been computed of it.
LogicalResult Append::open(std::optional<Rotation> rotation) {
  SmallVector<Value> inputs = {update.value};
  SmallVector<unsigned> places;
  for (Value optional : {op.getPast(), op.getPositions(), op.getCosCache(),
                         op.getSinCache(), op.getPositionIds()}) {
    places.push_back(inputs.size());
    if (optional)
      inputs.push_back(optional);
  }
  LaunchBuilder opened = lowering.launch(
      op.getLoc(), inputs,
      Result{lowering.element(op.getUpdate()), lowering.dims(op.getPresent())});
  launch = &opened;
  if (op.getPast())
    past = opened.input(places[0]);
  if (op.getPositions())
    positions = opened.input(places[1]);
  if (rotation)
    turn.emplace(*rotation, opened, /*first=*/0, places[2], lowering);
  FailureOr<Value> present;
  if (isInPlace()) {
    opened.updateInPlace(/*result=*/0, /*input=*/places[0]);
    present = updateInPlace(opened);
    if (failed(present))
      return failure();
  } else {
    known = opened.index(op.getPast() ? lowering.dims(op.getPast())[2]
                                      : lowering.constant(0));
    added = opened.index(update.tokens);
    present = fillByPosition(
        opened, [&](OpBuilder &builder, Location loc, ValueRange at) {
          return emit(builder, loc, at);
        });
  }
  lowering.replace(op, lowering.finish(opened, *present).getResults());
  return success();
}

LogicalResult Append::lower() {
  std::optional<Rotation> rotation;
  if (op.getCosCache() && op.getSinCache()) {
    FailureOr<Rotation> found = Rotation::get(
        op, update, op.getCosCache(), op.getSinCache(), op.getPositionIds(),
        op.getRotaryEmbeddingDim(), op.getInterleaved() != 0, lowering);
    if (failed(found))
      return failure();
    rotation = *found;
  }
  return open(rotation);
}

static LogicalResult lowerCacheAppend(Operation *operation,
                                      Lowering &lowering) {
  auto op = cast<TenonCacheAppendOp>(operation);
  FailureOr<HeadTensor> update =
      HeadTensor::get(op, op.getUpdate(), "num_heads", lowering);
  if (failed(update))
    return failure();
  return Append(op, *update, lowering).lower();
}

void tenon::addCacheLowerings(LoweringTable &table) {
  table["onnx.tenon.CacheAppend"] = lowerCacheAppend;
}
