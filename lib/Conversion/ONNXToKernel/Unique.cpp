// Unique: the different elements, or slices along an axis. Every slice is
// compared with those before it; each different one gets a rank, its place in
// the result.

#include "Unique.h"
#include "Positions.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

namespace {
class UniqueLowering {
public:
  UniqueLowering(onnx::UniqueOp op, Value data, int64_t axis,
                 Lowering &lowering)
      : op(op), data(data), axis(axis), lowering(lowering),
        dims(lowering.dims(data)), kind(lowering.kind(data)),
        i64(lowering.builder.getI64Type()) {
    auto attr = op->getAttrOfType<IntegerAttr>("sorted");
    sorted = !attr || attr.getInt() != 0;
  }

  void lower();

private:
  Value findFirsts();
  Value rankFirsts(Value firsts);
  void fill(Value firsts, Value ranks);
  /// (slice a < slice b, slice a = slice b), by the first element that differs.
  std::pair<Value, Value> compare(LaunchBuilder &launch, OpBuilder &builder,
                                  Location loc, Value a, Value b) const;
  Value isFirst(const IndexMath &math, Value firsts, Value i) const {
    return math.compare(P::eq, math.toIndex(math.extract(firsts, i)), i);
  }

  onnx::UniqueOp op;
  Value data;
  int64_t axis;
  Lowering &lowering;
  Dims dims;
  ElementKind kind;
  Type i64;
  bool sorted;
};
} // namespace

std::pair<Value, Value> tenon::compareElements(const ScalarContext &c, Value x,
                                               Value y) {
  Value less = findScalarEmitter("Less")(c, {x, y});
  Value same = findScalarEmitter("Equal")(c, {x, y});
  if (c.kind != ElementKind::Float)
    return {less, same};
  IndexMath math{c.builder, c.loc};
  Value left = findScalarEmitter("IsNaN")(c, x);
  Value right = findScalarEmitter("IsNaN")(c, y);
  Value notLeft = findScalarEmitter("Not")(c, left);
  return {math.either(less, math.both(right, notLeft)),
          math.either(same, math.both(left, right))};
}

std::pair<Value, Value> UniqueLowering::compare(LaunchBuilder &launch,
                                                OpBuilder &builder,
                                                Location loc, Value a,
                                                Value b) const {
  SmallVector<Value> extents = getExtents(launch, dims);
  extents.erase(extents.begin() + axis);
  auto flag = [&](bool value) -> Value {
    return arith::ConstantOp::create(builder, loc, builder.getBoolAttr(value));
  };
  SmallVector<Value> start{flag(false), flag(true)};
  SmallVector<Value> found =
      emitLoops(builder, loc, extents, start,
                [&](OpBuilder &nested, Location at, ValueRange p,
                    ValueRange state) -> SmallVector<Value> {
                  IndexMath math{nested, at};
                  auto read = [&](Value slice) {
                    SmallVector<Value> place(p);
                    place.insert(place.begin() + axis, slice);
                    return math.extract(launch.input(0), place);
                  };
                  Value x = read(a), y = read(b);
                  ScalarContext c{nested, at, op, kind, kind, x.getType()};
                  auto [less, same] = compareElements(c, x, y);
                  return {math.either(state[0], math.both(state[1], less)),
                          math.both(state[1], same)};
                });
  return {found[0], found[1]};
}

/// For each slice, the first one that equals it.
Value UniqueLowering::findFirsts() {
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), data, Result{i64, {dims[axis]}});
  Value firsts = fillByPosition(
      launch, [&](OpBuilder &nested, Location loc, ValueRange p) {
        Value first = emitLoops(
            nested, loc, p[0], p[0],
            [&](OpBuilder &b, Location at, ValueRange other,
                ValueRange state) -> SmallVector<Value> {
              IndexMath math{b, at};
              Value isOpen = math.compare(P::eq, state[0], p[0]);
              Value same = compare(launch, b, at, other[0], p[0]).second;
              return {math.select(math.both(isOpen, same), other[0], state[0])};
            })[0];
        return IndexMath{nested, loc}.toInteger(first, i64);
      });
  return lowering.finish(launch, firsts).getResult(0);
}

/// For each first slice, how many others come before it in the result.
Value UniqueLowering::rankFirsts(Value firsts) {
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {data, firsts}, Result{i64, {dims[axis]}});
  Value size = launch.index(dims[axis]);
  Value ranks = fillByPosition(launch, [&](OpBuilder &nested, Location loc,
                                           ValueRange p) {
    Value rank = emitLoops(
        nested, loc, size, IndexMath{nested, loc}.constant(0),
        [&](OpBuilder &b, Location at, ValueRange other,
            ValueRange state) -> SmallVector<Value> {
          IndexMath math{b, at};
          Value before = sorted ? compare(launch, b, at, other[0], p[0]).first
                                : math.compare(P::slt, other[0], p[0]);
          Value counts =
              math.both(before, isFirst(math, launch.input(1), other[0]));
          Value next = math.add(state[0], math.constant(1));
          return {math.select(counts, next, state[0])};
        })[0];
    return IndexMath{nested, loc}.toInteger(rank, i64);
  });
  return lowering.finish(launch, ranks).getResult(0);
}

/// Each result is a launch of its own; those without a reader are none.
void UniqueLowering::fill(Value firsts, Value ranks) {
  Location loc = op->getLoc();
  AffineExpr count = lowering.dims(op->getResult(0))[axis];
  // sources[rank] = the first slice of that rank; uses[rank] = how many there
  // are.
  LaunchBuilder launch = lowering.launch(
      loc, {firsts, ranks},
      {Result{i64, {count}}, Result{i64, {count}}, Result{i64, {dims[axis]}}});
  OpBuilder &builder = launch.builder();
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0));
  SmallVector<Value> state{launch.destination(0),
                           launch.filled(zero, launch.destination(1)),
                           launch.destination(2)};
  SmallVector<Value> filled = emitLoops(
      builder, loc, launch.index(dims[axis]), state,
      [&](OpBuilder &b, Location at, ValueRange p,
          ValueRange current) -> SmallVector<Value> {
        IndexMath math{b, at};
        Value first = math.extract(launch.input(0), p);
        Value rank = math.extract(launch.input(1), math.toIndex(first));
        Value place = math.toIndex(rank);
        Value uses = math.extract(current[1], place);
        Value one = math.toInteger(math.constant(1), i64);
        return {tensor::InsertOp::create(b, at, first, current[0], place),
                tensor::InsertOp::create(b, at, math.add(uses, one), current[1],
                                         place),
                tensor::InsertOp::create(b, at, rank, current[2], p)};
      });
  auto tables = lowering.finish(launch, filled);
  LaunchBuilder gather = lowering.launch(
      loc, {data, tables.getResult(0)},
      Result{lowering.element(data), lowering.dims(op->getResult(0))});
  Value gathered =
      fillByPosition(gather, [&](OpBuilder &nested, Location at, ValueRange p) {
        IndexMath math{nested, at};
        SmallVector<Value> source(p);
        source[axis] = math.toIndex(math.extract(gather.input(1), p[axis]));
        return math.extract(gather.input(0), source);
      });
  Value y = lowering.finish(gather, gathered).getResult(0);
  // Absent results have no place among the operation's.
  SmallVector<Value> values{y};
  if (op.getIndices())
    values.push_back(tables.getResult(0));
  if (op.getInverseIndices())
    values.push_back(tables.getResult(2));
  if (op.getCounts())
    values.push_back(tables.getResult(1));
  lowering.replace(op, values);
}

void UniqueLowering::lower() {
  Value firsts = findFirsts();
  Value ranks = rankFirsts(firsts);
  lowering.readDims(
      op->getResult(0), firsts, [&](LaunchBuilder &launch, unsigned) {
        IndexMath outer{launch.builder(), launch.loc()};
        return emitLoops(launch.builder(), launch.loc(),
                         launch.index(dims[axis]), outer.constant(0),
                         [&](OpBuilder &nested, Location at, ValueRange p,
                             ValueRange state) -> SmallVector<Value> {
                           IndexMath math{nested, at};
                           Value next = math.add(state[0], math.constant(1));
                           return {
                               math.select(isFirst(math, launch.input(0), p[0]),
                                           next, state[0])};
                         })[0];
      });
  fill(firsts, ranks);
}

static LogicalResult lowerUnique(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  FailureOr<int64_t> axis = lowering.axisOrFlat(op, data);
  if (failed(axis))
    return failure();
  auto unique = cast<onnx::UniqueOp>(op);
  bool isFlat = lowering.dims(data).size() == 1;
  if (lowering.isForThreads && isFlat &&
      lowering.kind(data) != ElementKind::Bool)
    findUniqueBySorting(unique, data, lowering);
  else
    UniqueLowering(unique, data, *axis, lowering).lower();
  return success();
}

void tenon::addUniqueLowerings(LoweringTable &table) {
  table["onnx.Unique"] = lowerUnique;
}
