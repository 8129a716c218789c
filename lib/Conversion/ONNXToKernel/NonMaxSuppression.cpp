// NonMaxSuppression: of each batch's and class's boxes, those with the best
// scores that overlap no better one. One kernel selects into room for all boxes
// and counts; the count is read; a second kernel takes the part that is filled.
// One thread takes the best box of a heap, time and again. For many threads
// boxes are sorted first; then each that is left takes out those behind it, in
// the rows of all classes at once.

#include "Heap.h"
#include "Positions.h"
#include "RowSearches.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

namespace {
/// A box by its ends.
struct Box {
  ScalarExpr low[2], high[2];

  ScalarExpr area() const { return (high[0] - low[0]) * (high[1] - low[1]); }
};

class SuppressionBuilder {
public:
  SuppressionBuilder(onnx::NonMaxSuppressionOp op, Lowering &lowering);

  /// The selected rows, in room for all boxes, and how many there are.
  SmallVector<Value> select();
  /// Replaces the operator's result, by rows of sorted boxes.
  void selectByRows();

private:
  void readLimits();
  Value sortCorners(Value places);
  Value countCandidates(Value scores);
  Value suppress(Value corners, Value scores);
  Value takeOut(ScalarCode &code, Value left, Value corners, ScalarExpr number);
  void writeRows(Value left, Value places);
  Dims rowDims() const {
    return {scoreDims[0] * scoreDims[1], scoreDims[2], lowering.constant(1)};
  }
  using Exprs = ScalarCode::Exprs;
  Exprs collect(const Heap &heap, ScalarCode &code, ArrayRef<ScalarExpr> place,
                ArrayRef<ScalarExpr> tensors);
  Exprs selectClass(ScalarCode &code, ArrayRef<ScalarExpr> place,
                    ArrayRef<ScalarExpr> state);
  ScalarExpr isFree(ScalarCode &code, ScalarExpr batch, ScalarExpr candidate,
                    ScalarExpr rows, ScalarExpr begin, ScalarExpr end);
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

/// Whether the candidate overlaps none of the boxes of rows [begin, end).
ScalarExpr SuppressionBuilder::isFree(ScalarCode &code, ScalarExpr batch,
                                      ScalarExpr candidate, ScalarExpr rows,
                                      ScalarExpr begin, ScalarExpr end) {
  Box mine = readBox(code, batch, candidate);
  return code.loopWhile(
      {begin, code.truth(true)},
      [&](ArrayRef<ScalarExpr> state) { return state[1] & (state[0] < end); },
      [&](ArrayRef<ScalarExpr> state) {
        ScalarExpr other = code.read(rows, {state[0], code.index(2)}).toIndex();
        Box selected = readBox(code, batch, other);
        return Exprs{state[0] + 1,
                     !isSuppressed(mine, selected, code(overlapLimit))};
      })[1];
}

/// The class's boxes whose scores are more than the limit: both tensors, then
/// how many.
SuppressionBuilder::Exprs
SuppressionBuilder::collect(const Heap &heap, ScalarCode &code,
                            ArrayRef<ScalarExpr> place,
                            ArrayRef<ScalarExpr> tensors) {
  Exprs start(tensors);
  start.push_back(code.index(0));
  return code.loop(code.index(0), code(numBoxes), start,
                   [&](ScalarExpr box, ArrayRef<ScalarExpr> state) {
                     ScalarExpr score =
                         code.read(launch->input(1), {place[0], place[1], box});
                     ScalarExpr enters = scoreLimit ? score > code(scoreLimit)
                                                    : code.truth(true);
                     Exprs next = heap.write(state, state[2], {score, box});
                     next.push_back(enters.select(state[2] + 1, state[2]));
                     return next;
                   });
}

/// State: rows, their number, then scores and boxes of a class, which are made
/// a heap and taken from it until none is left or there are enough rows.
SuppressionBuilder::Exprs
SuppressionBuilder::selectClass(ScalarCode &code, ArrayRef<ScalarExpr> place,
                                ArrayRef<ScalarExpr> state) {
  ScalarExpr begin = state[1], zero = code.index(0);
  auto isBetter = [](Heap::Entry a, Heap::Entry b) {
    return (a.element > b.element) |
           ((a.element == b.element) & (a.number < b.number));
  };
  auto flat = [](ScalarExpr i) { return Exprs{i}; };
  Heap heap(code, flat, isBetter);
  Exprs all = collect(heap, code, place, state.drop_front(2));
  Exprs start(state.take_front(2));
  start.append(heap.build(ArrayRef(all).take_front(2), all[2]));
  start.push_back(all[2]);
  auto goesOn = [&](ArrayRef<ScalarExpr> now) {
    return (now[4] > zero) & (now[1] - begin < code(limit));
  };
  auto takeBest = [&](ArrayRef<ScalarExpr> now) {
    Heap::Entry best = heap.read(now.slice(2, 2), zero);
    ScalarExpr last = now[4] - 1;
    Value rows = now[0];
    ScalarExpr row[] = {place[0], place[1], best.number};
    for (auto [column, entry] : llvm::enumerate(row))
      rows =
          tensor::InsertOp::create(code.builder, code.loc, entry.to(i64), rows,
                                   ValueRange{now[1], code.index(column)});
    ScalarExpr free =
        isFree(code, place[0], best.number, code(rows), begin, now[1]);
    Exprs next{code(rows), free.select(now[1] + 1, now[1])};
    next.append(heap.sink(now.slice(2, 2), zero, last,
                          heap.read(now.slice(2, 2), last)));
    next.push_back(last);
    return next;
  };
  return Exprs(ArrayRef(code.loopWhile(start, goesOn, takeBest)).take_front(4));
}

/// Within the launch.
void SuppressionBuilder::readLimits() {
  OpBuilder &builder = launch->builder();
  Location loc = op->getLoc();
  IndexMath math{builder, loc};
  Type real = lowering.element(op.getBoxes());
  numBoxes = launch->index(scoreDims[2]);
  limit = most ? most->get(*launch, 0) : math.constant(0);
  overlapLimit =
      overlapInput
          ? extractScalar(math, launch->input(*overlapInput))
          : arith::ConstantOp::create(builder, loc, builder.getZeroAttr(real));
  if (scoreInput)
    scoreLimit = extractScalar(math, launch->input(*scoreInput));
}

SmallVector<Value> SuppressionBuilder::select() {
  Location loc = op->getLoc();
  AffineExpr room = scoreDims[0] * scoreDims[1] * scoreDims[2];
  LaunchBuilder opened =
      lowering.launch(loc, inputs,
                      {Result{i64, {room, lowering.constant(3)}},
                       Result{i64, {lowering.constant(1)}}});
  launch = &opened;
  readLimits();
  ScalarCode code(opened.builder(), loc);
  ScalarExpr zero = code.index(0);
  Dims boxes{scoreDims[2]};
  Exprs start{code(opened.destination(0)), zero,
              code(opened.empty(boxes, lowering.element(op.getScores()))),
              code(opened.empty(boxes, i64))};
  Exprs end = code.loop(
      zero, code(opened.index(scoreDims[0])), start,
      [&](ScalarExpr batch, ArrayRef<ScalarExpr> before) {
        return code.loop(zero, code(opened.index(scoreDims[1])), before,
                         [&](ScalarExpr group, ArrayRef<ScalarExpr> state) {
                           return selectClass(code, {batch, group}, state);
                         });
      });
  Value count = tensor::InsertOp::create(code.builder, loc, end[1].to(i64),
                                         opened.destination(1), Value(zero));
  return SmallVector<Value>(
      lowering.finish(opened, {end[0], count}).getResults());
}

/// The ends of each row's boxes in the order of their scores, [row, box, 4].
Value SuppressionBuilder::sortCorners(Value places) {
  Dims dims = rowDims();
  dims[2] = lowering.constant(4);
  LaunchBuilder opened =
      lowering.launch(op->getLoc(), {op.getBoxes(), places},
                      Result{lowering.element(op.getBoxes()), dims});
  launch = &opened;
  Value classes = opened.index(scoreDims[1]);
  Value corners =
      mapPositions(opened, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr box =
            code.read(opened.input(1), {at[0], at[1], code.index(0)});
        Box ends = readBox(code, at[0] / code(classes), box.toIndex());
        ScalarExpr low = (at[2] == 0).select(ends.low[0], ends.low[1]);
        ScalarExpr high = (at[2] == 2).select(ends.high[0], ends.high[1]);
        return (at[2] < 2).select(low, high);
      });
  return lowering.finish(opened, corners).getResult(0);
}

/// How many of each row's sorted scores are more than the limit, or not numbers
/// and so in front; then the largest of these.
Value SuppressionBuilder::countCandidates(Value scores) {
  Type i64Type = i64;
  AffineExpr rows = rowDims()[0];
  LaunchBuilder counting = lowering.launch(
      op->getLoc(), {scores, inputs[*scoreInput]}, Result{i64Type, {rows}});
  Value size = counting.index(scoreDims[2]);
  Value counts =
      mapPositions(counting, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        IndexMath math{code.builder, code.loc};
        ScalarExpr least = code(extractScalar(math, counting.input(1)));
        return code.loopWhile(
            {code.index(0), code(size)},
            [&](ArrayRef<ScalarExpr> range) { return range[0] < range[1]; },
            [&](ArrayRef<ScalarExpr> range) {
              ScalarExpr middle = (range[0] + range[1]) / 2;
              ScalarExpr isBehind =
                  code.read(counting.input(0),
                            {at[0], middle, code.index(0)}) <= least;
              return ScalarCode::Exprs{isBehind.select(range[0], middle + 1),
                                       isBehind.select(middle, range[1])};
            })[0];
      });
  counts = lowering.finish(counting, counts).getResult(0);
  LaunchBuilder joining = lowering.launch(
      op->getLoc(), counts, Result{i64Type, {lowering.constant(1)}});
  Value count = joining.index(rows);
  Value largest =
      mapPositions(joining, [&](ScalarCode &code, ArrayRef<ScalarExpr>) {
        return code.loop(code.index(0), code(count), code.constant(i64Type, 0),
                         [&](ScalarExpr row, ArrayRef<ScalarExpr> state) {
                           return ScalarCode::Exprs{
                               state[0].max(code.read(joining.input(0), row))};
                         })[0];
      });
  return lowering.finish(joining, largest).getResult(0);
}

/// `left` of all rows after box `number` took out what it overlaps behind it.
Value SuppressionBuilder::takeOut(ScalarCode &code, Value left, Value corners,
                                  ScalarExpr number) {
  MLIRContext *context = op->getContext();
  AffineExpr row = getAffineDimExpr(0, context);
  Type flag = code.builder.getI32Type();
  auto isLeft = [&](OpBuilder &nested, Location loc, ValueRange) -> Value {
    ScalarCode inner(nested, loc);
    ScalarExpr r = inner(linalg::IndexOp::create(nested, loc, 0));
    return inner.read(left, {r, number});
  };
  Value now = launch->generic({},
                              {launch->empty({rowDims()[0]}, flag),
                               code.builder.getMultiDimIdentityMap(1)},
                              isLeft);
  auto stays = [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
    ScalarCode inner(nested, loc);
    ScalarExpr r = inner(linalg::IndexOp::create(nested, loc, 0));
    ScalarExpr other = inner(linalg::IndexOp::create(nested, loc, 1));
    ScalarExpr flags = inner(v[0]), own = inner(v[1]);
    auto read = [&](ScalarExpr box) {
      auto end = [&](int64_t which) {
        return inner.read(corners, {r, box, inner.index(which)});
      };
      return Box{{end(0), end(1)}, {end(2), end(3)}};
    };
    return inner.choose((flags != 0) & (own != 0) & (number < other),
                        [&] {
                          return isSuppressed(read(number), read(other),
                                              inner(overlapLimit))
                              .select(own.like(0), own);
                        },
                        [&] { return own; });
  };
  return launch->generic({{now, AffineMap::get(2, 0, row)}},
                         {left, code.builder.getMultiDimIdentityMap(2)}, stays);
}

/// For each row of sorted boxes, 1 where no better box that is left overlaps.
Value SuppressionBuilder::suppress(Value corners, Value scores) {
  SmallVector<Value> operands{corners, scores};
  operands.append(inputs.begin() + 2, inputs.end());
  unsigned boundInput = operands.size();
  if (scoreInput)
    operands.push_back(countCandidates(scores));
  Dims dims = rowDims();
  dims.pop_back();
  LaunchBuilder opened = lowering.launch(
      op->getLoc(), operands, Result{lowering.builder.getI32Type(), dims});
  launch = &opened;
  readLimits();
  ScalarCode code(opened.builder(), op->getLoc());
  Value start =
      mapPositions(opened, [&](ScalarCode &inner, ArrayRef<ScalarExpr> at) {
        Type flag = inner.builder.getI32Type();
        ScalarExpr yes = inner.constant(flag, 1);
        if (!scoreLimit)
          return yes;
        ScalarExpr score =
            inner.read(opened.input(1), {at[0], at[1], inner.index(0)});
        return (score > inner(scoreLimit)).select(yes, yes.like(0));
      });
  ScalarExpr bound = code(numBoxes);
  if (scoreInput)
    bound = code.read(opened.input(boundInput), code.index(0)).toIndex();
  Value left = code.loop(code.index(0), bound, code(start),
                         [&](ScalarExpr number, ArrayRef<ScalarExpr> state) {
                           Value next =
                               takeOut(code, state[0], opened.input(0), number);
                           return ScalarCode::Exprs{code(next)};
                         })[0];
  return lowering.finish(opened, left).getResult(0);
}

/// The rows [batch, class, box] of what is left, at most `limit` of a class.
void SuppressionBuilder::writeRows(Value left, Value places) {
  Location loc = op->getLoc();
  Dims dims = rowDims();
  AffineExpr size = dims[0] * dims[1];
  left = lowering.view(loc, left, {size});
  auto isLeft = [](ScalarCode &code, LaunchBuilder &opened, ScalarExpr number) {
    return code.read(opened.input(0), number) != 0;
  };
  Chosen all(loc, size, left, isLeft, lowering);
  SmallVector<Value> operands{left, all.getCounts()};
  if (most)
    most->addTo(operands);
  auto hasRoom = [&](ScalarCode &code, LaunchBuilder &opened,
                     ScalarExpr number) {
    ScalarExpr boxes = code(opened.index(dims[1]));
    ScalarExpr before =
        Chosen::countBefore(code, opened.input(1), number) -
        Chosen::countBefore(code, opened.input(1), number / boxes * boxes);
    Value room = most ? most->get(opened, 0) : Value(code.index(0));
    return isLeft(code, opened, number) & (before < code(room));
  };
  Chosen chosen(loc, size, operands, hasRoom, lowering);
  Value result = op->getResult(0);
  chosen.readCount(result, lowering);
  LaunchBuilder filling =
      lowering.launch(loc, {chosen.getCounts(), places},
                      Result{lowering.element(result), lowering.dims(result)});
  Value end = filling.index(size), boxes = filling.index(dims[1]),
        classes = filling.index(scoreDims[1]);
  Value filled =
      mapPositions(filling, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr number =
            Chosen::find(code, filling.input(0), code(end), at[0]);
        ScalarExpr row = number / code(boxes), place = number % code(boxes);
        ScalarExpr box =
            code.read(filling.input(1), {row, place, code.index(0)}).toIndex();
        ScalarExpr group =
            (at[1] == 0).select(row / code(classes), row % code(classes));
        return (at[1] == 2).select(box, group);
      });
  lowering.replace(op, lowering.finish(filling, filled).getResults());
}

void SuppressionBuilder::selectByRows() {
  Location loc = op->getLoc();
  Value rows = lowering.view(loc, op.getScores(), rowDims());
  SmallVector<Value> sorted =
      findFirst(loc, rows, ElementKind::Float, rowDims()[1], /*isLargest=*/true,
                lowering);
  Value corners = sortCorners(sorted[1]);
  writeRows(suppress(corners, sorted[0]), sorted[1]);
}

static LogicalResult lowerNonMaxSuppression(Operation *op, Lowering &lowering) {
  auto suppression = cast<onnx::NonMaxSuppressionOp>(op);
  if (lowering.dims(suppression.getBoxes()).size() != 3 ||
      lowering.dims(suppression.getScores()).size() != 3)
    return op->emitOpError("expected boxes and scores of rank 3");
  if (lowering.isForThreads) {
    SuppressionBuilder(suppression, lowering).selectByRows();
    return success();
  }
  SmallVector<Value> selected =
      SuppressionBuilder(suppression, lowering).select();
  Value result = op->getResult(0);
  lowering.readDims(result, selected[1], [](LaunchBuilder &launch, unsigned) {
    IndexMath math{launch.builder(), launch.loc()};
    return math.toIndex(extractScalar(math, launch.input(0)));
  });
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), selected[0],
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
