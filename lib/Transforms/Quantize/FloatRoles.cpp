#include "FloatRoles.h"

#include "NarrowConstant.h"
#include "dialects/ONNX/HalfForms.h"
#include "dialects/ONNX/ONNXDialect.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

/// A constant of as many elements is data that the model learnt, and none of
/// the numbers that positions and masks are made with.
static constexpr int64_t kLarge = 4096;

bool tenon::isF32Tensor(Value value) {
  auto tensor = value ? dyn_cast<TensorType>(value.getType()) : TensorType();
  return tensor && tensor.getElementType().isF32();
}

/// Powers, sums and what grows or adds up beyond the steps of 16 bits.
static bool isStatistic(Operation *op) {
  if (auto mul = dyn_cast<onnx::MulOp>(op))
    return mul.getA() == mul.getB();
  return isa<onnx::CumProdOp, onnx::CumSumOp, onnx::ExpOp, onnx::PowOp,
             onnx::RangeOp, onnx::ReduceL1Op, onnx::ReduceL2Op,
             onnx::ReduceLogSumExpOp, onnx::ReduceLogSumOp, onnx::ReduceMeanOp,
             onnx::ReduceProdOp, onnx::ReduceSumOp, onnx::ReduceSumSquareOp>(
      op);
}

/// Operators whose result has the elements of its first operand, or of several.
static bool movesElements(Operation *op) {
  return isa<onnx::ConcatOp, onnx::ConstantOfShapeOp, onnx::ExpandOp,
             onnx::IdentityOp, onnx::ReshapeOp, onnx::SliceOp, onnx::SqueezeOp,
             onnx::TileOp, onnx::TransposeOp, onnx::UnsqueezeOp>(op);
}

/// Positions, lengths and masks: integers that 16 bits would round, or that
/// arithmetic with large numbers begins with.
static bool castsIntegers(Operation *op) {
  auto cast = dyn_cast<onnx::CastOp>(op);
  auto integer = cast ? dyn_cast<IntegerType>(
                            getElementTypeOrSelf(cast->getOperand(0).getType()))
                      : IntegerType();
  return integer && (integer.getWidth() == 1 || integer.getWidth() >= 32);
}

static FloatFact getConstantFact(TypedAttr constant, Type half) {
  FloatFact fact;
  fact.maker = Treatment::copied;
  auto type = cast<ShapedType>(constant.getType());
  fact.isLarge = type.hasStaticShape() && type.getNumElements() >= kLarge;
  auto dense = dyn_cast<DenseElementsAttr>(constant);
  if (!dense || fact.isLarge || !type.getElementType().isF32())
    return fact;
  for (float element : dense.getValues<float>())
    fact.mayOverflow |=
        std::isfinite(element) && std::abs(element) > getLargest(half) / 2;
  return fact;
}

StringRef FloatRoles::findObstacle(Operation *op) const {
  auto node = dyn_cast<onnx::NodeInterface>(op);
  if (!node || op->getNumRegions() != 0)
    return "it has graphs of its own";
  if (stays.contains(node.getOnnxName()))
    return "an option names it";
  std::optional<onnx::HalfForm> form = onnx::getHalfForm(op);
  if (!form)
    return "its element types do not allow it";
  auto isTensor = [](Type type) { return isa<TensorType>(type); };
  if (!llvm::all_of(op->getOperandTypes(), isTensor) ||
      !llvm::all_of(op->getResultTypes(), isTensor))
    return "it has values that are no tensors";
  auto output = op->getAttrOfType<IntegerAttr>("output_dtype");
  if (op->hasAttr("dtype") || (output && output.getInt() != 0))
    return "an attribute says its type";
  // Scales of quantized activations and sums may be far below 1.
  auto dequantize = dyn_cast<onnx::DequantizeLinearOp>(op);
  if (isa<onnx::QuantizeLinearOp>(op) ||
      (dequantize && getElementTypeOrSelf(dequantize.getX()).isInteger(32)))
    return "16 bits would round its scale";
  bool hasFloats = false, allows = false;
  for (auto [at, output] : llvm::enumerate(node.getOnnxOutputs()))
    if (isF32Tensor(output)) {
      hasFloats = true;
      allows |= form->allows(form->outputs, at, half);
    }
  for (auto [at, input] : llvm::enumerate(node.getOnnxInputs()))
    if (isF32Tensor(input) && !hasFloats)
      allows |= form->allows(form->inputs, at, half);
  return allows ? "" : "its element types do not allow it";
}

Treatment FloatRoles::chooseByOperands(Operation *op) const {
  bool hasKept = false, hasData = false, hasLarge = false;
  for (Value operand : op->getOperands()) {
    if (!isF32Tensor(operand))
      continue;
    FloatFact fact = getFact(operand);
    hasKept |= fact.maker == Treatment::kept;
    hasData |=
        fact.maker == Treatment::converted || fact.maker == Treatment::enclosed;
    hasLarge |= fact.isLarge;
  }
  if (!hasKept && !hasData && movesElements(op))
    return Treatment::copied;
  if (hasKept && !hasData && !hasLarge)
    return Treatment::kept;
  return findObstacle(op).empty() ? Treatment::converted : Treatment::enclosed;
}

Treatment FloatRoles::choose(Operation *op) const {
  if (isa<onnx::ConstantOp>(op))
    return Treatment::copied;
  bool hasFloats = llvm::any_of(op->getResults(), isF32Tensor);
  if (op->getNumRegions() != 0 || !isa<onnx::NodeInterface>(op))
    return Treatment::enclosed;
  if (hasFloats && (isStatistic(op) || castsIntegers(op)) &&
      !stays.contains(cast<onnx::NodeInterface>(op).getOnnxName()))
    return Treatment::kept;
  return chooseByOperands(op);
}

FloatFact FloatRoles::combine(Operation *op, Treatment treatment) const {
  if (auto constant = dyn_cast<onnx::ConstantOp>(op))
    return getConstantFact(constant.getValue(), half);
  FloatFact fact;
  fact.maker = treatment;
  if (auto filled = dyn_cast<onnx::ConstantOfShapeOp>(op))
    if (auto value = filled->getAttrOfType<TypedAttr>("value"))
      fact.mayOverflow = getConstantFact(value, half).mayOverflow;
  for (Value operand : op->getOperands()) {
    FloatFact own = isF32Tensor(operand) ? getFact(operand) : FloatFact();
    fact.isLarge |= treatment == Treatment::copied && own.isLarge;
    fact.mayOverflow |= treatment != Treatment::converted && own.mayOverflow;
  }
  return fact;
}

void FloatRoles::decide(func::FuncOp function) {
  function.walk<WalkOrder::PreOrder>([&](Operation *op) {
    Treatment treatment = choose(op);
    treatments[op] = treatment;
    FloatFact fact = combine(op, treatment);
    for (Value result : op->getResults())
      if (isF32Tensor(result))
        facts[result] = fact;
  });
}
