// Operators that look for extremes: ArgMax, ArgMin, Hardmax, TopK. NaN is
// larger than every number, as in NumPy; of equal elements the first comes
// first.

#include "Heap.h"
#include "RowSearches.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

/// An element as a signed number of the same order, floats of at least 32 bits.
static ScalarExpr toOrdered(ScalarCode &code, ScalarExpr element,
                            ElementKind kind) {
  unsigned width = element.type().getIntOrFloatBitWidth();
  switch (kind) {
  case ElementKind::Float:
    return width < 32 ? element.to(code.f32()) : element;
  case ElementKind::Bool:
    return element.select(code.index(1), code.index(0));
  case ElementKind::Unsigned: // adding the sign's bit turns the halves round
    return element + element.like(-std::ldexp(1.0, width - 1));
  case ElementKind::Signed:
    return element;
  }
  llvm_unreachable("a kind of element");
}

/// Whether `a` comes before `b` in the order from the largest (smallest) on.
static ScalarExpr isBefore(ScalarExpr a, ScalarExpr b, bool largest) {
  ScalarExpr before = largest ? a > b : a < b;
  if (!a.isFloat())
    return before;
  ScalarExpr aIsNaN = a != a, bIsNaN = b != b;
  return largest ? before | (aIsNaN & !bIsNaN) : before | (bIsNaN & !aIsNaN);
}

/// The index on `axis` of the extreme element, with the axis kept as size 1.
static Value findExtreme(Operation *op, Value data, int64_t axis, bool largest,
                         bool takeLast, Lowering &lowering) {
  Dims dims = lowering.dims(data), result = dims;
  result[axis] = lowering.constant(1);
  ElementKind kind = lowering.kind(data);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), data, Result{lowering.builder.getI64Type(), result});
  Value size = launch.index(dims[axis]);
  Value found =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        SmallVector<ScalarExpr, 4> where(at);
        auto elementAt = [&](ScalarExpr i) {
          where[axis] = i;
          return toOrdered(code, code.read(launch.input(0), where), kind);
        };
        ScalarExpr first = code.index(0);
        auto best = code.loop(
            code.index(1), code(size), {elementAt(first), first},
            [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
              ScalarExpr element = elementAt(i);
              ScalarExpr taken = takeLast
                                     ? !isBefore(state[0], element, largest)
                                     : isBefore(element, state[0], largest);
              return ScalarCode::Exprs{taken.select(element, state[0]),
                                       taken.select(i, state[1])};
            });
        return best[1];
      });
  return lowering.finish(launch, found).getResult(0);
}

static LogicalResult lowerArg(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  FailureOr<int64_t> axis = lowering.axis(op, 0, lowering.dims(data).size());
  if (failed(axis))
    return failure();
  bool largest = op->getName().stripDialect() == "ArgMax";
  auto last = op->getAttrOfType<IntegerAttr>("select_last_index");
  Value found =
      findExtreme(op, data, *axis, largest, last && last.getInt(), lowering);
  lowering.replace(
      op, lowering.view(op->getLoc(), found, lowering.dims(op->getResult(0))));
  return success();
}

/// 1 where the first largest element of the axis is, else 0.
static LogicalResult lowerHardmax(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0);
  Dims dims = lowering.dims(data);
  FailureOr<int64_t> axis = lowering.axis(op, -1, dims.size());
  if (failed(axis))
    return failure();
  Value extreme = findExtreme(op, data, *axis, true, false, lowering);
  Type element = lowering.element(data);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), extreme, Result{element, dims});
  Value marked = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    SmallVector<ScalarExpr, 4> where(at);
    where[*axis] = code.index(0);
    ScalarExpr isFirst =
        code.read(launch.input(0), where).toIndex() == at[*axis];
    return isFirst.select(code.constant(element, 1), code.constant(element, 0));
  });
  lowering.replace(op, lowering.finish(launch, marked).getResults());
  return success();
}

/// TopK within a launch on [outer, n, inner] tensors: of each row a heap of the
/// k best so far, the last of them at its root.
static SmallVector<Value> selectByHeap(LaunchBuilder &launch, ElementKind kind,
                                       bool largest, Value outer, Value n,
                                       Value inner, Value k) {
  using Exprs = ScalarCode::Exprs;
  ScalarCode code(launch.builder(), launch.loc());
  ScalarExpr zero = code.index(0), most = code(k).min(code(n));
  auto selectRow = [&](ScalarExpr a, ScalarExpr b,
                       ArrayRef<ScalarExpr> tensors) {
    auto isFirst = [&](Heap::Entry x, Heap::Entry y) {
      ScalarExpr one = toOrdered(code, x.element, kind);
      ScalarExpr other = toOrdered(code, y.element, kind);
      return isBefore(one, other, largest) |
             (!isBefore(other, one, largest) & (x.number < y.number));
    };
    auto isNearer = [&](Heap::Entry x, Heap::Entry y) { return isFirst(y, x); };
    auto place = [&](ScalarExpr i) { return Exprs{a, i, b}; };
    Heap heap(code, place, isNearer);
    auto entryAt = [&](ScalarExpr i) {
      return Heap::Entry{code.read(launch.input(0), {a, i, b}), i};
    };
    Exprs filled = code.loop(zero, most, tensors,
                             [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                               return heap.write(state, i, entryAt(i));
                             });
    ScalarExpr end = (most == zero).select(zero, code(n));
    Exprs best =
        code.loop(most, end, heap.build(filled, most),
                  [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                    Heap::Entry entry = entryAt(i);
                    return code.chooseAll(
                        isFirst(entry, heap.read(state, zero)),
                        [&] { return heap.sink(state, zero, most, entry); },
                        [&] { return Exprs(state); });
                  });
    return heap.unwind(best, most);
  };
  Exprs start{code(launch.destination(0)), code(launch.destination(1))};
  Exprs whole = code.loop(
      zero, code(outer), start, [&](ScalarExpr a, ArrayRef<ScalarExpr> slabs) {
        return code.loop(zero, code(inner), slabs,
                         [&](ScalarExpr b, ArrayRef<ScalarExpr> columns) {
                           return selectRow(a, b, columns);
                         });
      });
  return {whole[0], whole[1]};
}

static LogicalResult lowerTopK(Operation *op, Lowering &lowering) {
  auto topK = cast<onnx::TopKOp>(op);
  Value data = topK.getX();
  Dims dims = lowering.dims(data), result = lowering.dims(op->getResult(0));
  FailureOr<int64_t> axis = lowering.axis(op, -1, dims.size());
  if (failed(axis))
    return failure();
  Location loc = op->getLoc();
  AffineExpr outer = lowering.product(ArrayRef(dims).take_front(*axis));
  AffineExpr inner = lowering.product(ArrayRef(dims).drop_front(*axis + 1));
  Value flat = lowering.view(loc, data, {outer, dims[*axis], inner});
  auto replace = [&](ValueRange found) {
    SmallVector<Value> views;
    for (Value value : found)
      views.push_back(lowering.view(loc, value, result));
    lowering.replace(op, views);
    return success();
  };
  bool isLargest = topK.getLargest() != 0;
  if (lowering.isForThreads)
    return replace(findFirst(loc, flat, lowering.kind(data), result[*axis],
                             isLargest, lowering));
  Dims selected = {outer, result[*axis], inner};
  Type element = lowering.element(data);
  LaunchBuilder launch =
      lowering.launch(loc, flat,
                      {Result{element, selected},
                       Result{lowering.builder.getI64Type(), selected}});
  SmallVector<Value> found =
      selectByHeap(launch, lowering.kind(data), isLargest, launch.index(outer),
                   launch.index(dims[*axis]), launch.index(inner),
                   launch.index(result[*axis]));
  return replace(lowering.finish(launch, found).getResults());
}

void tenon::addSearchLowerings(LoweringTable &table) {
  table["onnx.ArgMax"] = lowerArg;
  table["onnx.ArgMin"] = lowerArg;
  table["onnx.Hardmax"] = lowerHardmax;
  table["onnx.TopK"] = lowerTopK;
}
