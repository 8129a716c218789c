// Reductions, softmax and the normalizations: generics over one row space in
// one launch. Floats under 32 bits are accumulated in f32.

#include "RowSpace.h"
#include "RuntimeReduction.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

static const ReductionKind reductionKinds[] = {
    {"ReduceSum", "Add", "", ""},
    {"ReduceMean", "Add", "", "Mean"},
    {"ReduceMax", "Max", "", ""},
    {"ReduceMin", "Min", "", ""},
    {"ReduceProd", "Mul", "", ""},
    {"ReduceL1", "Add", "Abs", ""},
    {"ReduceL2", "Add", "Square", "Sqrt"},
    {"ReduceSumSquare", "Add", "Square", ""},
    {"ReduceLogSum", "Add", "", "Log"},
};

static const ReductionKind *findReduction(StringRef name) {
  for (const ReductionKind &kind : reductionKinds)
    if (kind.name == name)
      return &kind;
  return nullptr;
}

Value ReductionKind::emitBefore(const ScalarContext &c, Value element) const {
  if (before == "Square")
    return findScalarEmitter("Mul")(c, {element, element});
  return before.empty() ? element : findScalarEmitter(before)(c, element);
}

static bool hasRuntimeAxes(Operation *op, Lowering &lowering) {
  return op->getNumOperands() > 1 && !lowering.constants(op->getOperand(1));
}

/// The axes of a Reduce operator, sorted; none given means all, or none with
/// noop_with_empty_axes.
static FailureOr<SmallVector<int64_t>> getAxes(Operation *op, unsigned rank,
                                               Lowering &lowering) {
  SmallVector<int64_t> axes;
  if (op->getNumOperands() > 1) {
    auto constants = lowering.constants(op->getOperand(1));
    for (int64_t axis : *constants)
      axes.push_back(axis < 0 ? axis + rank : axis);
  }
  auto noop = op->getAttrOfType<IntegerAttr>("noop_with_empty_axes");
  if (axes.empty() && !(noop && noop.getInt()))
    for (unsigned axis = 0; axis < rank; ++axis)
      axes.push_back(axis);
  llvm::sort(axes);
  return axes;
}

static LogicalResult lowerReduce(Operation *op, Lowering &lowering) {
  const ReductionKind &kind = *findReduction(op->getName().stripDialect());
  if (hasRuntimeAxes(op, lowering))
    return lowerRuntimeReduction(op, kind, lowering);
  Value input = op->getOperand(0);
  FailureOr<SmallVector<int64_t>> axes =
      getAxes(op, lowering.dims(input).size(), lowering);
  if (failed(axes))
    return failure();
  RowSpace rows(lowering, op, lowering.dims(input), *axes);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), input, Result{lowering.element(input), rows.outerDims()});
  rows.enter(launch, lowering.element(input), lowering.kind(input));
  Value reduced = rows.reduce(kind.combine, {rows.full(launch.input(0))},
                              [&](const ScalarContext &c, ValueRange v) {
                                return kind.emitBefore(c, v[0]);
                              });
  Value result =
      rows.mapOuter({rows.outer(reduced)}, launch.destination(),
                    [&](const ScalarContext &c, ValueRange v) -> Value {
                      if (kind.after == "Mean")
                        return rows.divideByCount(c, v[0]);
                      return kind.after.empty()
                                 ? v[0]
                                 : findScalarEmitter(kind.after)(c, v[0]);
                    });
  Value small = lowering.finish(launch, result).getResult(0);
  lowering.replace(
      op, lowering.view(op->getLoc(), small, lowering.dims(op->getResult(0))));
  return success();
}

/// log(sum(exp(x - max))) + max
static LogicalResult lowerLogSumExp(Operation *op, Lowering &lowering) {
  if (hasRuntimeAxes(op, lowering))
    return lowerRuntimeLogSumExp(op, lowering);
  Value input = op->getOperand(0);
  FailureOr<SmallVector<int64_t>> axes =
      getAxes(op, lowering.dims(input).size(), lowering);
  if (failed(axes))
    return failure();
  RowSpace rows(lowering, op, lowering.dims(input), *axes);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), input, Result{lowering.element(input), rows.outerDims()});
  rows.enter(launch, lowering.element(input), lowering.kind(input));
  Value largest = rows.reduceMax(launch.input(0));
  Value sum =
      rows.reduce("Add", {rows.full(launch.input(0)), rows.outer(largest)},
                  [](const ScalarContext &c, ValueRange v) -> Value {
                    Value shifted = findScalarEmitter("Sub")(c, {v[0], v[1]});
                    return math::ExpOp::create(c.builder, c.loc, shifted);
                  });
  Value result = rows.mapOuter(
      {rows.outer(sum), rows.outer(largest)}, launch.destination(),
      [](const ScalarContext &c, ValueRange v) -> Value {
        Value log = math::LogOp::create(c.builder, c.loc, v[0]);
        return arith::AddFOp::create(c.builder, c.loc, log, v[1]);
      });
  Value small = lowering.finish(launch, result).getResult(0);
  lowering.replace(
      op, lowering.view(op->getLoc(), small, lowering.dims(op->getResult(0))));
  return success();
}

static LogicalResult lowerSoftmax(Operation *op, Lowering &lowering) {
  bool isLog = op->getName().stripDialect() == "LogSoftmax";
  Value input = op->getOperand(0);
  Dims dims = lowering.dims(input);
  FailureOr<int64_t> axis = lowering.axis(op, -1, dims.size());
  if (failed(axis))
    return failure();
  RowSpace rows(lowering, op, dims, {*axis});
  LaunchBuilder launch = lowering.launch(op->getLoc(), input,
                                         Result{lowering.element(input), dims});
  rows.enter(launch, lowering.element(input), lowering.kind(input));
  Value x = launch.input(0);
  Value largest = rows.reduceMax(x);
  auto shiftedExp = [](const ScalarContext &c, ValueRange v) -> Value {
    Value shifted = arith::SubFOp::create(c.builder, c.loc, v[0], v[1]);
    return math::ExpOp::create(c.builder, c.loc, shifted);
  };
  Value result;
  if (isLog) {
    Value sum =
        rows.reduce("Add", {rows.full(x), rows.outer(largest)}, shiftedExp);
    result = rows.mapFull(
        {rows.full(x), rows.outer(largest), rows.outer(sum)},
        launch.destination(),
        [](const ScalarContext &c, ValueRange v) -> Value {
          Value shifted = arith::SubFOp::create(c.builder, c.loc, v[0], v[1]);
          Value log = math::LogOp::create(c.builder, c.loc, v[2]);
          return arith::SubFOp::create(c.builder, c.loc, shifted, log);
        });
  } else {
    Value powers = rows.mapFull({rows.full(x), rows.outer(largest)},
                                rows.emptyFull(), shiftedExp);
    Value sum =
        rows.reduce("Add", {rows.full(powers)},
                    [](const ScalarContext &, ValueRange v) { return v[0]; });
    result = rows.mapFull(
        {rows.full(powers), rows.outer(sum)}, launch.destination(),
        [](const ScalarContext &c, ValueRange v) -> Value {
          return arith::DivFOp::create(c.builder, c.loc, v[0], v[1]);
        });
  }
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
}

void tenon::addReductionLowerings(LoweringTable &table) {
  for (const ReductionKind &kind : reductionKinds)
    table[("onnx." + kind.name).str()] = lowerReduce;
  table["onnx.ReduceLogSumExp"] = lowerLogSumExp;
  table["onnx.Softmax"] = lowerSoftmax;
  table["onnx.LogSoftmax"] = lowerSoftmax;
}
