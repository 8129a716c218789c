// NonMaxSuppression: of each batch's and class's boxes, those with the best scores
// that overlap no better one. One kernel selects into room for all boxes and
// counts; the count is read; a second kernel takes the part that is filled.

#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

namespace {
/// A box by its ends.
struct Box {
  ScalarExpr low[2], high[2];

  ScalarExpr area() const {
    return (high[0] - low[0]) * (high[1] - low[1]);
  }
};

class SuppressionBuilder {
public:
  SuppressionBuilder(onnx::NonMaxSuppressionOp op, Lowering &lowering);

  /// The selected rows, in room for all boxes, and how many there are.
  SmallVector<Value> select();

private:
  SmallVector<Value> selectClass(OpBuilder &builder, Location loc,
                                 ValueRange place, ValueRange state);
  SmallVector<Value> selectNext(OpBuilder &builder, Location loc,
                                ValueRange place, Value begin, ValueRange state);
  SmallVector<Value> findBest(OpBuilder &builder, Location loc,
                              ValueRange place, Value score, Value index);
  Value isFree(OpBuilder &builder, Location loc, Value batch, Value candidate,
               Value begin, ValueRange state);
  Box readBox(ScalarCode &code, Value batch, Value index) const;
  ScalarExpr isSuppressed(const Box &a, const Box &b, ScalarExpr limit) const;

  onnx::NonMaxSuppressionOp op;
  Lowering &lowering;
  SmallVector<Value> inputs{op.getBoxes(), op.getScores()};
  Dims scoreDims;
  bool isCentred;
  std::optional<unsigned> overlapInput, scoreInput;
  std::optional<Integers> most;
  LaunchBuilder *launch = nullptr;
  Value numBoxes, limit, overlapLimit, scoreLimit; // indices, then floats
  Type i64;
};
} // namespace

SuppressionBuilder::SuppressionBuilder(onnx::NonMaxSuppressionOp op,
                                       Lowering &lowering)
    : op(op), lowering(lowering), scoreDims(lowering.dims(op.getScores())),
      i64(lowering.builder.getI64Type()) {
  auto centred = op->getAttrOfType<IntegerAttr>("center_point_box");
  isCentred = centred && centred.getInt() != 0;
  auto add = [&](Value value) -> std::optional<unsigned> {
    if (!value)
      return std::nullopt;
    inputs.push_back(value);
    return inputs.size() - 1;
  };
  overlapInput = add(op.getIouThreshold());
  scoreInput = add(op.getScoreThreshold());
  if (op.getMaxOutputBoxesPerClass()) {
    most.emplace(op.getMaxOutputBoxesPerClass(), lowering);
    most->addTo(inputs);
  }
}

Box SuppressionBuilder::readBox(ScalarCode &code, Value batch,
                                Value index) const {
  auto read = [&](int64_t element) {
    SmallVector<ScalarExpr, 4> place{code(batch), code(index),
                                     code.index(element)};
    return code.read(launch->input(0), place);
  };
  ScalarExpr a = read(0), b = read(1), c = read(2), d = read(3);
  if (isCentred) {
    ScalarExpr half = c / 2, rise = d / 2;
    return {{a - half, b - rise}, {a + half, b + rise}};
  }
  return {{a.min(c), b.min(d)}, {a.max(c), b.max(d)}};
}

/// Whether the intersection is more than `limit` of the union; boxes without an
/// area overlap nothing.
ScalarExpr SuppressionBuilder::isSuppressed(const Box &a, const Box &b,
                                            ScalarExpr limit) const {
  ScalarExpr sides[2] = {a.high[0].min(b.high[0]) - a.low[0].max(b.low[0]),
                         a.high[1].min(b.high[1]) - a.low[1].max(b.low[1])};
  ScalarExpr common = sides[0] * sides[1];
  ScalarExpr all = a.area() + b.area() - common;
  return (sides[0] > 0) & (sides[1] > 0) & (a.area() > 0) & (b.area() > 0) &
         (all > 0) & (common / all > limit);
}

/// Whether the candidate overlaps none of the class's rows, which begin at `begin`.
Value SuppressionBuilder::isFree(OpBuilder &builder, Location loc, Value batch,
                                 Value candidate, Value begin,
                                 ValueRange state) {
  Value yes =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true));
  Value count = IndexMath{builder, loc}.sub(state[1], begin);
  return emitLoops(
      builder, loc, count, yes,
      [&](OpBuilder &nested, Location at, ValueRange p,
          ValueRange free) -> SmallVector<Value> {
        IndexMath math{nested, at};
        ScalarCode code(nested, at);
        Value row = math.add(begin, p[0]);
        Value other = math.toIndex(
            math.extract(state[0], {row, math.constant(2)}));
        Box mine = readBox(code, batch, candidate);
        Box selected = readBox(code, batch, other);
        return {code(free[0]) &
                !isSuppressed(mine, selected, code(overlapLimit))};
      })[0];
}

/// The box that follows (score, index) in the order of falling scores, then rising
/// indices: whether there is one, its score, its index.
SmallVector<Value> SuppressionBuilder::findBest(OpBuilder &builder, Location loc,
                                                ValueRange place, Value score,
                                                Value index) {
  Value no =
      arith::ConstantOp::create(builder, loc, builder.getBoolAttr(false));
  SmallVector<Value> none{no, score, index};
  return emitLoops(
      builder, loc, numBoxes, none,
      [&](OpBuilder &nested, Location at, ValueRange p,
          ValueRange best) -> SmallVector<Value> {
        ScalarCode code(nested, at);
        ScalarExpr mine = code(IndexMath{nested, at}.extract(
            launch->input(1), {place[0], place[1], p[0]}));
        ScalarExpr before = code(score), found = code(best[0]);
        ScalarExpr follows = (code(index) < 0) | (mine < before) |
                             ((mine == before) & (code(p[0]) > code(index)));
        if (scoreLimit)
          follows = follows & (mine > code(scoreLimit));
        ScalarExpr wins = follows & (!found | (mine > code(best[1])));
        return {found | wins, wins.select(mine, code(best[1])),
                wins.select(code(p[0]), code(best[2]))};
      });
}

/// State: rows, their number, and the score and index looked at last.
SmallVector<Value> SuppressionBuilder::selectNext(OpBuilder &builder,
                                                  Location loc, ValueRange place,
                                                  Value begin,
                                                  ValueRange state) {
  IndexMath math{builder, loc};
  SmallVector<Value> best =
      findBest(builder, loc, place, state[2], state[3]);
  Value hasRoom = math.compare(P::slt, math.sub(state[1], begin), limit);
  Value free = isFree(builder, loc, place[0], best[2], begin, state);
  Value enters = math.both(math.both(best[0], hasRoom), free);
  SmallVector<Value> next = emitIf(
      builder, loc, enters, state.take_front(2),
      [&](OpBuilder &b, Location at) -> SmallVector<Value> {
        IndexMath inner{b, at};
        Value rows = state[0];
        Value row[] = {place[0], place[1], best[2]};
        for (auto [column, entry] : llvm::enumerate(row))
          rows = tensor::InsertOp::create(
              b, at, inner.toInteger(entry, i64), rows,
              ValueRange{state[1], inner.constant(column)});
        return {rows, inner.add(state[1], inner.constant(1))};
      });
  next.append({best[1], best[2]});
  return next;
}

SmallVector<Value> SuppressionBuilder::selectClass(OpBuilder &builder,
                                                   Location loc,
                                                   ValueRange place,
                                                   ValueRange state) {
  IndexMath math{builder, loc};
  Value begin = state[1];
  Value score = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(lowering.element(op.getScores())));
  SmallVector<Value> start{state[0], state[1], score, math.constant(-1)};
  SmallVector<Value> end = emitLoops(
      builder, loc, numBoxes, start,
      [&](OpBuilder &nested, Location at, ValueRange, ValueRange current) {
        return selectNext(nested, at, place, begin, current);
      });
  return {end[0], end[1]};
}

SmallVector<Value> SuppressionBuilder::select() {
  Location loc = op->getLoc();
  AffineExpr room = scoreDims[0] * scoreDims[1] * scoreDims[2];
  LaunchBuilder opened =
      lowering.launch(loc, inputs,
                      {Result{i64, {room, lowering.constant(3)}},
                       Result{i64, {lowering.constant(1)}}});
  launch = &opened;
  OpBuilder &builder = opened.builder();
  IndexMath math{builder, loc};
  Type real = lowering.element(op.getBoxes());
  numBoxes = opened.index(scoreDims[2]);
  limit = most ? most->get(opened, 0) : math.constant(0);
  overlapLimit = overlapInput
                     ? extractScalar(math, opened.input(*overlapInput))
                     : arith::ConstantOp::create(builder, loc,
                                                 builder.getZeroAttr(real));
  if (scoreInput)
    scoreLimit = extractScalar(math, opened.input(*scoreInput));
  SmallVector<Value> extents{opened.index(scoreDims[0]),
                             opened.index(scoreDims[1])};
  SmallVector<Value> start{opened.destination(0), math.constant(0)};
  SmallVector<Value> end = emitLoops(
      builder, loc, extents, start,
      [&](OpBuilder &nested, Location at, ValueRange place, ValueRange state) {
        return selectClass(nested, at, place, state);
      });
  Value count = tensor::InsertOp::create(
      builder, loc, math.toInteger(end[1], i64), opened.destination(1),
      math.constant(0));
  return SmallVector<Value>(lowering.finish(opened, {end[0], count}).getResults());
}

static LogicalResult lowerNonMaxSuppression(Operation *op, Lowering &lowering) {
  auto suppression = cast<onnx::NonMaxSuppressionOp>(op);
  if (lowering.dims(suppression.getBoxes()).size() != 3 ||
      lowering.dims(suppression.getScores()).size() != 3)
    return op->emitOpError("expected boxes and scores of rank 3");
  SmallVector<Value> selected =
      SuppressionBuilder(suppression, lowering).select();
  Value result = op->getResult(0);
  lowering.readDims(result, selected[1], [](LaunchBuilder &launch, unsigned) {
    IndexMath math{launch.builder(), launch.loc()};
    return math.toIndex(extractScalar(math, launch.input(0)));
  });
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), selected[0],
      Result{lowering.element(result), lowering.dims(result)});
  Value taken = fillByPosition(
      launch, [&](OpBuilder &nested, Location loc, ValueRange position) {
        return IndexMath{nested, loc}.extract(launch.input(0), position);
      });
  lowering.replace(op, lowering.finish(launch, taken).getResults());
  return success();
}

void tenon::addNonMaxSuppressionLowerings(LoweringTable &table) {
  table["onnx.NonMaxSuppression"] = lowerNonMaxSuppression;
}
