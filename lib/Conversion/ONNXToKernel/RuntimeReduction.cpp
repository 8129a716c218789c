// Reductions over axes known only at run time: every element is added to the
// partial result at its position, in which the reduced axes have stride 0.

#include "RuntimeReduction.h"
#include "Positions.h"
#include "RowSpace.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

namespace {
class RuntimeReducer {
public:
  RuntimeReducer(Operation *op, Lowering &lowering)
      : op(op), lowering(lowering), data(op->getOperand(0)),
        dims(lowering.dims(data)), axes(op->getOperand(1), lowering),
        element(lowering.element(data)), kind(lowering.kind(data)) {
    bool isSmall =
        isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32;
    sumType = isSmall ? Type(Float32Type::get(op->getContext())) : element;
    auto getFlag = [&](StringRef name, bool otherwise) {
      auto attr = op->getAttrOfType<IntegerAttr>(name);
      return attr ? attr.getInt() != 0 : otherwise;
    };
    keepsDims = getFlag("keepdims", true);
    noneMeansNone = getFlag("noop_with_empty_axes", false);
  }

  /// Emits what an element adds, given the element and its partial results.
  using Body = function_ref<Value(const ScalarContext &, Value element,
                                  ValueRange partial)>;
  /// Emits a result from its partial results and the number of elements in each.
  using EndBody =
      function_ref<Value(const ScalarContext &, ValueRange, Value count)>;

  /// Reads the result's sizes and opens the launch.
  LaunchBuilder open();
  void enter(LaunchBuilder &launch);
  Value reduce(LaunchBuilder &launch, StringRef combine, ValueRange partial,
               Body emit);
  void finish(LaunchBuilder &launch, ValueRange partial, EndBody emit);

private:
  SmallVector<Value> getMask(LaunchBuilder &launch) const;

  Operation *op;
  Lowering &lowering;
  Value data;
  Dims dims;
  Integers axes;
  Type element, sumType;
  ElementKind kind;
  bool keepsDims, noneMeansNone;
  AffineExpr numResults;
  SmallVector<Value> strides;
  Value count;
};
} // namespace

SmallVector<Value> RuntimeReducer::getMask(LaunchBuilder &launch) const {
  IndexMath math{launch.builder(), launch.loc()};
  SmallVector<Value> mask = getAxisMask(launch, axes, dims.size());
  if (noneMeansNone)
    return mask;
  Value isNone =
      math.compare(arith::CmpIPredicate::eq, launch.index(axes.getLength()),
                   math.constant(0));
  for (Value &isReduced : mask)
    isReduced = math.either(isReduced, isNone);
  return mask;
}

LaunchBuilder RuntimeReducer::open() {
  SmallVector<Value> inputs;
  axes.addTo(inputs);
  lowering.readDims(
      op->getResult(0), inputs,
      [&](LaunchBuilder &launch, unsigned axis) -> Value {
        IndexMath math{launch.builder(), launch.loc()};
        SmallVector<Value> mask = getMask(launch);
        if (keepsDims)
          return math.select(mask[axis], math.constant(1),
                             launch.index(dims[axis]));
        return getKept(launch, dims, mask, math.constant(axis),
                       lowering.dims(op->getResult(0)).size());
      });
  numResults = lowering.constant(1);
  for (AffineExpr dim : lowering.dims(op->getResult(0)))
    numResults = numResults * dim;
  inputs.push_back(data);
  return lowering.launch(op->getLoc(), inputs, Result{element, {numResults}});
}

/// The stride of each axis in the partial results, and the elements in each.
void RuntimeReducer::enter(LaunchBuilder &launch) {
  IndexMath math{launch.builder(), launch.loc()};
  SmallVector<Value> mask = getMask(launch);
  if (lowering.dims(op->getResult(0)).empty()) // no size that would be checked
    mask.assign(dims.size(),
                arith::ConstantOp::create(launch.builder(), launch.loc(),
                                          launch.builder().getBoolAttr(true)));
  Value stride = math.constant(1), zero = math.constant(0);
  count = stride;
  strides.assign(dims.size(), Value());
  for (int64_t axis = dims.size() - 1; axis >= 0; --axis) {
    Value size = launch.index(dims[axis]);
    strides[axis] = math.select(mask[axis], zero, stride);
    count = math.select(mask[axis], math.mul(count, size), count);
    stride = math.select(mask[axis], stride, math.mul(stride, size));
  }
}

Value RuntimeReducer::reduce(LaunchBuilder &launch, StringRef combine,
                             ValueRange partial, Body emit) {
  OpBuilder &builder = launch.builder();
  Location loc = launch.loc();
  Value neutral = arith::ConstantOp::create(
      builder, loc, getNeutral(combine, sumType, kind));
  Value start = launch.filled(neutral, launch.empty(numResults, sumType));
  Value input = launch.input(launch.getNumInputs() - 1);
  return emitLoops(
      builder, loc, getExtents(launch, dims), start,
      [&](OpBuilder &nested, Location at, ValueRange position,
          ValueRange state) -> SmallVector<Value> {
        IndexMath math{nested, at};
        Value place = math.constant(0);
        for (auto [p, stride] : llvm::zip(position, strides))
          place = math.add(place, math.mul(p, stride));
        Value read = math.extract(input, position);
        if (sumType != element)
          read = arith::ExtFOp::create(nested, at, sumType, read);
        ScalarContext c{nested, at, op, kind, kind, sumType};
        SmallVector<Value> others;
        for (Value tensor : partial)
          others.push_back(math.extract(tensor, place));
        Value sum = findScalarEmitter(combine)(
            c, {math.extract(state[0], place), emit(c, read, others)});
        return {tensor::InsertOp::create(nested, at, sum, state[0], place)};
      })[0];
}

void RuntimeReducer::finish(LaunchBuilder &launch, ValueRange partial,
                            EndBody emit) {
  AffineMap identity = launch.builder().getMultiDimIdentityMap(1);
  SmallVector<LaunchBuilder::Access> accesses;
  for (Value tensor : partial)
    accesses.push_back({tensor, identity});
  Value mapped = launch.generic(
      accesses, {launch.destination(), identity},
      [&](OpBuilder &nested, Location at, ValueRange v) -> Value {
        Value result = emit({nested, at, op, kind, kind, sumType},
                            v.drop_back(), count);
        if (sumType == element)
          return result;
        return arith::TruncFOp::create(nested, at, element, result);
      });
  Value flat = lowering.finish(launch, mapped).getResult(0);
  lowering.replace(op, lowering.view(op->getLoc(), flat,
                                     lowering.dims(op->getResult(0))));
}

LogicalResult tenon::lowerRuntimeReduction(Operation *op,
                                           const ReductionKind &kind,
                                           Lowering &lowering) {
  RuntimeReducer reducer(op, lowering);
  LaunchBuilder launch = reducer.open();
  reducer.enter(launch);
  Value sum = reducer.reduce(
      launch, kind.combine, {},
      [&](const ScalarContext &c, Value element, ValueRange) {
        return kind.emitBefore(c, element);
      });
  reducer.finish(launch, sum,
                 [&](const ScalarContext &c, ValueRange v, Value count) {
                   if (kind.after == "Mean")
                     return divideByCount(c, v[0], count);
                   return kind.after.empty()
                              ? v[0]
                              : findScalarEmitter(kind.after)(c, v[0]);
                 });
  return success();
}

/// log(sum(exp(x - max))) + max
LogicalResult tenon::lowerRuntimeLogSumExp(Operation *op, Lowering &lowering) {
  RuntimeReducer reducer(op, lowering);
  LaunchBuilder launch = reducer.open();
  reducer.enter(launch);
  Value largest = reducer.reduce(
      launch, "Max", {},
      [](const ScalarContext &, Value element, ValueRange) { return element; });
  Value sum = reducer.reduce(
      launch, "Add", largest,
      [](const ScalarContext &c, Value element, ValueRange v) -> Value {
        Value shifted = findScalarEmitter("Sub")(c, {element, v[0]});
        return math::ExpOp::create(c.builder, c.loc, shifted);
      });
  reducer.finish(launch, {sum, largest},
                 [](const ScalarContext &c, ValueRange v, Value) -> Value {
                   Value log = math::LogOp::create(c.builder, c.loc, v[0]);
                   return findScalarEmitter("Add")(c, {log, v[1]});
                 });
  return success();
}
