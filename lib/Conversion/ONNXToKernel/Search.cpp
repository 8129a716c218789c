// Operators that look for extremes: ArgMax, ArgMin, Hardmax, TopK. NaN is
// larger than every number, as in NumPy; of equal elements the first comes
// first.

#include "RowSearches.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

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

namespace {
/// TopK within a launch on [outer, n, inner] tensors: one selection after the
/// other, each the first element behind the one before.
class Selection {
public:
  Selection(LaunchBuilder &launch, ElementKind kind, bool largest)
      : launch(launch), code(launch.builder(), launch.loc()), kind(kind),
        largest(largest) {}

  /// Fills both destinations.
  SmallVector<Value> run(Value outer, Value n, Value inner, Value k);

private:
  ScalarExpr elementAt(ScalarExpr a, ScalarExpr i, ScalarExpr b) {
    return toOrdered(code, code.read(launch.input(0), {a, i, b}), kind);
  }
  /// The index of the best element behind `previous`, -1 for none before.
  ScalarExpr next(ScalarExpr a, ScalarExpr b, ScalarExpr previous, Value n);
  ScalarExpr insert(ScalarExpr element, Value tensor, ArrayRef<ScalarExpr> at);

  LaunchBuilder &launch;
  ScalarCode code;
  ElementKind kind;
  bool largest;
};
} // namespace

ScalarExpr Selection::next(ScalarExpr a, ScalarExpr b, ScalarExpr previous,
                           Value n) {
  ScalarExpr last = elementAt(a, previous.max(code.index(0)), b);
  ScalarExpr none = previous < code.index(0);
  auto found =
      code.loop(code.index(0), code(n), {last, code.index(-1)},
                [&](ScalarExpr i, ArrayRef<ScalarExpr> state) {
                  ScalarExpr element = elementAt(a, i, b);
                  ScalarExpr tied = !isBefore(last, element, largest) &
                                    !isBefore(element, last, largest);
                  ScalarExpr behind = none | isBefore(last, element, largest) |
                                      (tied & (i > previous));
                  ScalarExpr better = (state[1] < code.index(0)) |
                                      isBefore(element, state[0], largest);
                  ScalarExpr taken = behind & better;
                  return ScalarCode::Exprs{taken.select(element, state[0]),
                                           taken.select(i, state[1])};
                });
  return found[1].max(code.index(0));
}

ScalarExpr Selection::insert(ScalarExpr element, Value tensor,
                             ArrayRef<ScalarExpr> at) {
  SmallVector<Value> where(at.begin(), at.end());
  return code(
      tensor::InsertOp::create(code.builder, code.loc, element, tensor, where));
}

SmallVector<Value> Selection::run(Value outer, Value n, Value inner, Value k) {
  using Exprs = ScalarCode::Exprs;
  ScalarExpr zero = code.index(0);
  Exprs whole = code.loop(
      zero, code(outer),
      {code(launch.destination(0)), code(launch.destination(1))},
      [&](ScalarExpr a, ArrayRef<ScalarExpr> slabs) {
        return code.loop(
            zero, code(inner), slabs,
            [&](ScalarExpr b, ArrayRef<ScalarExpr> columns) {
              Exprs state(columns);
              state.push_back(code.index(-1));
              Exprs done = code.loop(
                  zero, code(k), state,
                  [&](ScalarExpr i, ArrayRef<ScalarExpr> s) {
                    ScalarExpr j = next(a, b, s[2], n);
                    ScalarExpr value = code.read(launch.input(0), {a, j, b});
                    ScalarExpr number = j.to(code.builder.getI64Type());
                    return Exprs{insert(value, s[0], {a, i, b}),
                                 insert(number, s[1], {a, i, b}), j};
                  });
              return Exprs{done[0], done[1]};
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
  Selection selection(launch, lowering.kind(data), isLargest);
  SmallVector<Value> found =
      selection.run(launch.index(outer), launch.index(dims[*axis]),
                    launch.index(inner), launch.index(result[*axis]));
  return replace(lowering.finish(launch, found).getResults());
}

void tenon::addSearchLowerings(LoweringTable &table) {
  table["onnx.ArgMax"] = lowerArg;
  table["onnx.ArgMin"] = lowerArg;
  table["onnx.Hardmax"] = lowerHardmax;
  table["onnx.TopK"] = lowerTopK;
}
