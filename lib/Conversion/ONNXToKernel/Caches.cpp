// onnx.tenon.CacheAppend: the rows of a cache, old and new, in one launch.

#include "Positions.h"
#include "Turn.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

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
  Value emit(OpBuilder &builder, Location loc, ValueRange at);
  Value getStart(OpBuilder &builder, Location loc, Value batch);

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
  auto takeNew = [&] {
    SmallVector<Value> source = {at[0], at[1], offset, at[3]};
    return turn ? turn->emit(builder, loc, source)
                : update.read(builder, loc, *launch, launch->input(0), source);
  };
  auto getZero = [&]() -> Value {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getZeroAttr(element));
  };
  auto takeOld = [&]() -> Value {
    if (!past)
      return getZero();
    Value isOld = math.compare(arith::CmpIPredicate::slt, at[2], known);
    return choose(
        builder, loc, element, isOld, [&] { return math.extract(past, at); },
        getZero);
  };
  return choose(builder, loc, element, isNew, takeNew, takeOld);
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
  known = opened.index(op.getPast() ? lowering.dims(op.getPast())[2]
                                    : lowering.constant(0));
  added = opened.index(update.tokens);
  Value present = fillByPosition(
      opened, [&](OpBuilder &builder, Location loc, ValueRange at) {
        return emit(builder, loc, at);
      });
  lowering.replace(op, lowering.finish(opened, present).getResults());
  return success();
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
