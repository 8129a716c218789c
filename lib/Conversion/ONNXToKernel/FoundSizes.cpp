// Operators whose result's size the data decide: NonZero, Compress. One
// kernel counts, the size is read, a second kernel fills; where there are many
// threads, running counts tell each of them its element.

#include "Positions.h"
#include "RowSearches.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

static Value emitIsSet(Operation *op, const IndexMath &math, Value element,
                       ElementKind kind) {
  Type i1 = math.builder.getI1Type();
  return emitCast({math.builder, math.loc, op, kind, ElementKind::Bool, i1},
                  element, kind, i1, ElementKind::Bool);
}

/// count + 1 where `condition` holds.
static Value countIf(const IndexMath &math, Value condition, Value count) {
  return math.select(condition, math.add(count, math.constant(1)), count);
}

/// Each coordinate by the number of its element among those that are not zero.
static void findNonZero(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), result = op->getResult(0);
  Location loc = op->getLoc();
  Dims dims = lowering.dims(data);
  ElementKind kind = lowering.kind(data);
  AffineExpr size = lowering.product(dims);
  auto isSet = [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr number) {
    IndexMath math{code.builder, code.loc};
    Value element = math.extract(launch.input(0), Value(number));
    return code(emitIsSet(op, math, element, kind));
  };
  Chosen chosen(loc, size, lowering.view(loc, data, size), isSet, lowering);
  chosen.readCount(result, lowering);
  LaunchBuilder launch = lowering.launch(
      loc, chosen.getCounts(),
      Result{lowering.builder.getI64Type(), lowering.dims(result)});
  SmallVector<Value> extents = getExtents(launch, dims);
  Value end = launch.index(size);
  Value filled =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr rest = Chosen::find(code, launch.input(0), code(end), at[1]);
        ScalarExpr place = code.index(0);
        for (unsigned axis = dims.size(); axis-- > 0;) {
          ScalarExpr extent = code(extents[axis]);
          place = (at[0] == double(axis)).select(rest % extent, place);
          rest = rest / extent;
        }
        return place;
      });
  lowering.replace(op, lowering.finish(launch, filled).getResults());
}

/// The row of coordinates of every element that is not zero.
static LogicalResult lowerNonZero(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), result = op->getResult(0);
  Dims dims = lowering.dims(data);
  ElementKind kind = lowering.kind(data);
  if (lowering.isForThreads && !dims.empty()) {
    findNonZero(op, lowering);
    return success();
  }
  Type i64 = lowering.builder.getI64Type();
  auto isSet = [&](LaunchBuilder &launch, const IndexMath &math, ValueRange p) {
    return emitIsSet(op, math, math.extract(launch.input(0), p), kind);
  };
  lowering.readDims(result, data, [&](LaunchBuilder &launch, unsigned) {
    IndexMath outer{launch.builder(), launch.loc()};
    return emitLoops(launch.builder(), launch.loc(), getExtents(launch, dims),
                     outer.constant(0),
                     [&](OpBuilder &nested, Location at, ValueRange p,
                         ValueRange state) -> SmallVector<Value> {
                       IndexMath math{nested, at};
                       return {countIf(math, isSet(launch, math, p), state[0])};
                     })[0];
  });
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), data, Result{i64, lowering.dims(result)});
  IndexMath outer{launch.builder(), op->getLoc()};
  SmallVector<Value> state{launch.destination(), outer.constant(0)};
  Value filled = emitLoops(
      launch.builder(), op->getLoc(), getExtents(launch, dims), state,
      [&](OpBuilder &nested, Location at, ValueRange p, ValueRange current) {
        IndexMath math{nested, at};
        return emitIf(nested, at, isSet(launch, math, p), current,
                      [&](OpBuilder &b, Location l) -> SmallVector<Value> {
                        IndexMath inner{b, l};
                        Value rows = current[0];
                        for (auto [axis, place] : llvm::enumerate(p))
                          rows = tensor::InsertOp::create(
                              b, l, inner.toInteger(place, i64), rows,
                              ValueRange{inner.constant(axis), current[1]});
                        return {rows, inner.add(current[1], inner.constant(1))};
                      });
      })[0];
  lowering.replace(op, lowering.finish(launch, filled).getResults());
  return success();
}

/// Each element by the number of its slice among those that are kept.
static void findKept(Operation *op, Value data, int64_t axis,
                     Lowering &lowering) {
  Value condition = op->getOperand(1), result = op->getResult(0);
  Location loc = op->getLoc();
  AffineExpr size = lowering.dims(data)[axis];
  AffineExpr length = lowering.dims(condition)[0];
  auto isKept = [&](ScalarCode &code, LaunchBuilder &launch,
                    ScalarExpr number) {
    return code.choose(
        number < code(launch.index(length)),
        [&] { return code.read(launch.input(0), number); },
        [&] { return code.truth(false); });
  };
  Chosen chosen(loc, size, condition, isKept, lowering);
  chosen.readCount(result, lowering);
  LaunchBuilder launch =
      lowering.launch(loc, {data, chosen.getCounts()},
                      Result{lowering.element(data), lowering.dims(result)});
  Value end = launch.index(size);
  Value filled =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        SmallVector<ScalarExpr, 4> from(at);
        from[axis] = Chosen::find(code, launch.input(1), code(end), at[axis]);
        return code.read(launch.input(0), from);
      });
  lowering.replace(op, lowering.finish(launch, filled).getResults());
}

/// Keeps the slices along `axis` (of all elements where there is none) whose
/// condition holds; the condition may be shorter.
static LogicalResult lowerCompress(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), condition = op->getOperand(1);
  Value result = op->getResult(0);
  FailureOr<int64_t> given = lowering.axisOrFlat(op, data);
  if (failed(given))
    return failure();
  int64_t axis = *given;
  if (lowering.isForThreads) {
    findKept(op, data, axis, lowering);
    return success();
  }
  Dims dims = lowering.dims(data);
  AffineExpr length = lowering.dims(condition)[0];
  auto getEnd = [&](LaunchBuilder &launch) {
    return IndexMath{launch.builder(), launch.loc()}.min(
        launch.index(length), launch.index(dims[axis]));
  };
  lowering.readDims(result, condition, [&](LaunchBuilder &launch, unsigned) {
    IndexMath outer{launch.builder(), launch.loc()};
    return emitLoops(
        launch.builder(), launch.loc(), getEnd(launch), outer.constant(0),
        [&](OpBuilder &nested, Location at, ValueRange p,
            ValueRange state) -> SmallVector<Value> {
          IndexMath math{nested, at};
          return {countIf(math, math.extract(launch.input(0), p), state[0])};
        })[0];
  });
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {data, condition},
                      Result{lowering.element(data), lowering.dims(result)});
  IndexMath outer{launch.builder(), op->getLoc()};
  SmallVector<Value> extents = getExtents(launch, dims);
  extents.erase(extents.begin() + axis);
  SmallVector<Value> state{launch.destination(), outer.constant(0)};
  auto copySlice = [&](OpBuilder &builder, Location loc, Value from,
                       ValueRange current) -> SmallVector<Value> {
    Value kept = emitLoops(
        builder, loc, extents, current[0],
        [&](OpBuilder &b, Location l, ValueRange p,
            ValueRange inner) -> SmallVector<Value> {
          SmallVector<Value> source(p), target(p);
          source.insert(source.begin() + axis, from);
          target.insert(target.begin() + axis, current[1]);
          Value element = IndexMath{b, l}.extract(launch.input(0), source);
          return {tensor::InsertOp::create(b, l, element, inner[0], target)};
        })[0];
    IndexMath math{builder, loc};
    return {kept, math.add(current[1], math.constant(1))};
  };
  Value filled = emitLoops(
      launch.builder(), op->getLoc(), getEnd(launch), state,
      [&](OpBuilder &nested, Location at, ValueRange p, ValueRange current) {
        Value isKept = IndexMath{nested, at}.extract(launch.input(1), p);
        return emitIf(nested, at, isKept, current,
                      [&](OpBuilder &b, Location l) {
                        return copySlice(b, l, p[0], current);
                      });
      })[0];
  lowering.replace(op, lowering.finish(launch, filled).getResults());
  return success();
}

void tenon::addFoundSizeLowerings(LoweringTable &table) {
  table["onnx.NonZero"] = lowerNonZero;
  table["onnx.Compress"] = lowerCompress;
}
