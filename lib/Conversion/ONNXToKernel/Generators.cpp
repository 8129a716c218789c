// Operators that make elements from nothing but positions and scalars: Range,
// ConstantOfShape, Dropout's mask.

#include "Positions.h"
#include "ScalarExpr.h"

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

/// max(0, ceil((limit - start) / delta)), where only the run knows it.
static void readRangeLength(Operation *op, Lowering &lowering) {
  lowering.readDims(
      op->getResult(0), SmallVector<Value>(op->getOperands()),
      [&](LaunchBuilder &launch, unsigned) -> Value {
        ScalarCode code(launch.builder(), launch.loc());
        IndexMath math{launch.builder(), launch.loc()};
        ElementKind kind = lowering.kind(op->getOperand(0));
        Type f64 = launch.builder().getF64Type();
        ScalarExpr ends[3] = {code.index(0), code.index(0), code.index(0)};
        for (unsigned i = 0; i < 3; ++i) {
          Value end = extractScalar(math, launch.input(i));
          ends[i] = kind == ElementKind::Float
                        ? toReal(code, end, kind, f64)
                        : code(end).to(launch.builder().getI64Type());
        }
        auto [start, limit, delta] = ends;
        if (kind == ElementKind::Float)
          return ((limit - start) / delta).ceil().max(start.like(0)).toIndex();
        ScalarExpr down = delta < 0, way = limit - start;
        ScalarExpr distance = down.select(-way, way).max(way.like(0));
        ScalarExpr step = down.select(-delta, delta);
        return ((distance + step - 1) / step).toIndex();
      });
}

static LogicalResult lowerRange(Operation *op, Lowering &lowering) {
  readRangeLength(op, lowering);
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
          // A small float holds few whole numbers: rounded once, at the end.
          Type wide = getAccumulatorType(element);
          Value i = arith::SIToFPOp::create(nested, loc, wide, whole);
          Value by = convertFloat(nested, loc, step, wide);
          Value moved = arith::MulFOp::create(nested, loc, i, by);
          Value begin = convertFloat(nested, loc, first, wide);
          Value sum = arith::AddFOp::create(nested, loc, begin, moved);
          return convertFloat(nested, loc, sum, element);
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
