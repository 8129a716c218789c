// Operators that make elements from nothing but positions and scalars: Range,
// ConstantOfShape, Dropout's mask.

#include "Positions.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// A tensor in which every element is `value`.
static Value emitFilled(Operation *op, TypedAttr value, Dims dims,
                        Lowering &lowering) {
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {}, Result{value.getType(), std::move(dims)});
  Value scalar =
      arith::ConstantOp::create(launch.builder(), op->getLoc(), value);
  Value filled = launch.filled(scalar, launch.destination());
  return lowering.finish(launch, filled).getResult(0);
}

static LogicalResult lowerConstantOfShape(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0);
  Type element = lowering.element(result);
  TypedAttr value = lowering.builder.getZeroAttr(element);
  if (auto given = op->getAttrOfType<DenseElementsAttr>("value"))
    value = cast<TypedAttr>(*given.value_begin<Attribute>());
  lowering.replace(op, emitFilled(op, value, lowering.dims(result), lowering));
  return success();
}

/// A scalar operand of Range: from the shapes where they know it, else read.
static Value getRangeOperand(Value operand, unsigned input,
                             LaunchBuilder &launch, Lowering &lowering) {
  OpBuilder &builder = launch.builder();
  Type element = lowering.element(operand);
  if (auto known = lowering.elements(operand);
      known && !isa<FloatType>(element))
    return arith::IndexCastOp::create(builder, launch.loc(), element,
                                      launch.index(known->front()));
  SmallVector<Value> origin(
      lowering.dims(operand).size(),
      arith::ConstantIndexOp::create(builder, launch.loc(), 0));
  return tensor::ExtractOp::create(builder, launch.loc(), launch.input(input),
                                   origin);
}

static LogicalResult lowerRange(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0), start = op->getOperand(0);
  Value delta = op->getOperand(2);
  Type element = lowering.element(result);
  bool known = lowering.elements(start) && lowering.elements(delta) &&
               !isa<FloatType>(element);
  SmallVector<Value> inputs;
  if (!known)
    inputs = {start, delta};
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(result)});
  Value first = getRangeOperand(start, 0, launch, lowering);
  Value step = getRangeOperand(delta, 1, launch, lowering);
  Value range = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        if (isa<FloatType>(element)) {
          Value whole = arith::IndexCastOp::create(
              nested, loc, nested.getI64Type(), position[0]);
          Value i = arith::SIToFPOp::create(nested, loc, element, whole);
          Value moved = arith::MulFOp::create(nested, loc, i, step);
          return arith::AddFOp::create(nested, loc, first, moved);
        }
        Value i = arith::IndexCastOp::create(nested, loc, element, position[0]);
        Value moved = arith::MulIOp::create(nested, loc, i, step);
        return arith::AddIOp::create(nested, loc, first, moved);
      });
  lowering.replace(op, lowering.finish(launch, range).getResults());
  return success();
}

/// Whether Dropout surely drops nothing: not in training, or with ratio 0.
static bool isInference(onnx::DropoutOp dropout, Lowering &lowering) {
  Value training = dropout.getTrainingMode(), ratio = dropout.getRatio();
  if (!training)
    return true;
  if (auto known = lowering.constants(training); known && known->front() == 0)
    return true;
  auto constant =
      ratio ? dyn_cast_if_present<FloatAttr>(lowering.scalar(ratio))
            : FloatAttr();
  return constant && constant.getValue().isZero();
}

/// In inference the data passes and the mask is true everywhere.
static LogicalResult lowerDropout(Operation *op, Lowering &lowering) {
  auto dropout = cast<onnx::DropoutOp>(op);
  if (!isInference(dropout, lowering))
    return op->emitOpError("expected inference (a constant training_mode of "
                           "false, or a constant ratio of 0), but got a random "
                           "generator");
  SmallVector<Value> values{dropout.getData()};
  if (dropout.getMask())
    values.push_back(emitFilled(op, lowering.builder.getBoolAttr(true),
                                lowering.dims(dropout.getData()), lowering));
  lowering.replace(op, values);
  return success();
}

void tenon::addGeneratorLowerings(LoweringTable &table) {
  table["onnx.ConstantOfShape"] = lowerConstantOfShape;
  table["onnx.Range"] = lowerRange;
  table["onnx.Dropout"] = lowerDropout;
}
