// The pass: asks the shapes once, then turns operations into kernel-level ones
// in program order. What no lowering takes is an error that names the node.

#include "tenon/Conversion/ONNXToKernel/Passes.h"

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace tenon {
#define GEN_PASS_DEF_CONVERTONNXTOKERNELPASS
#include "tenon/Conversion/ONNXToKernel/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

static const LoweringTable &getLowerings() {
  static const LoweringTable table = [] {
    LoweringTable all;
    addChannelNormalizationLowerings(all);
    addConstantLowerings(all);
    addContractionLowerings(all);
    addConvolutionLowerings(all);
    addDeconvolutionLowerings(all);
    addElementwiseLowerings(all);
    addGeneratorLowerings(all);
    addIndexingLowerings(all);
    addMovementLowerings(all);
    addNormalizationLowerings(all);
    addPoolingLowerings(all);
    addReductionLowerings(all);
    addResizeLowerings(all);
    return all;
  }();
  return table;
}

/// A signless type for an unsigned one, else null.
static Type getSignless(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.getElementType().isUnsignedInteger())
    return nullptr;
  unsigned width = tensor.getElementType().getIntOrFloatBitWidth();
  return tensor.clone(IntegerType::get(type.getContext(), width));
}

/// Makes all types signless and remembers which values were unsigned.
static void makeSignless(func::FuncOp func, Lowering &lowering) {
  auto convert = [&](Value value) {
    if (Type type = getSignless(value.getType())) {
      value.setType(type);
      lowering.markUnsigned(value);
    }
  };
  MLIRContext *context = func.getContext();
  SmallVector<Type> results(func.getResultTypes());
  for (auto [index, type] : llvm::enumerate(results))
    if (Type signless = getSignless(type)) {
      type = signless;
      func.setResultAttr(index, "tenon.unsigned", UnitAttr::get(context));
    }
  for (BlockArgument argument : func.getArguments()) {
    if (getSignless(argument.getType()))
      func.setArgAttr(argument.getArgNumber(), "tenon.unsigned",
                      UnitAttr::get(context));
    convert(argument);
  }
  func.walk([&](Operation *op) {
    for (Value result : op->getResults())
      convert(result);
    auto value = op->getAttrOfType<DenseElementsAttr>("value");
    if (value && value.getElementType().isUnsignedInteger())
      op->setAttr(
          "value",
          value.bitcast(IntegerType::get(
              context, value.getElementType().getIntOrFloatBitWidth())));
  });
  func.setType(FunctionType::get(
      context, func.getBody().front().getArgumentTypes(), results));
}

/// An integer tensor whose elements the shapes determine needs no kernel.
static bool lowerToHostTensor(Operation *op, Lowering &lowering) {
  if (op->getNumResults() != 1 || isa<onnx::ConstantOp>(op))
    return false;
  auto type = dyn_cast<RankedTensorType>(op->getResult(0).getType());
  if (!type || !type.hasStaticShape() || !type.getElementType().isInteger() ||
      type.getElementType().isInteger(1) || type.getNumElements() > 64)
    return false;
  std::optional<Dims> elements = lowering.elements(op->getResult(0));
  if (!elements)
    return false;
  AffineMap map =
      AffineMap::get(0, lowering.getNumSymbols(), *elements, op->getContext());
  Value host = kernel::HostTensorOp::create(lowering.builder, op->getLoc(),
                                            type, AffineMapAttr::get(map));
  lowering.replace(op, host);
  return true;
}

/// Types that kernels calculate in. DequantizeLinear reads packed weights.
static LogicalResult checkElementTypes(Operation *op) {
  if (isa<onnx::ConstantOp, onnx::DequantizeLinearOp>(op))
    return success();
  auto isKnown = [](Type type) {
    Type element = getElementTypeOrSelf(type);
    if (isa<IntegerType>(element))
      return llvm::is_contained({1, 8, 16, 32, 64},
                                int(element.getIntOrFloatBitWidth()));
    return isa<Float16Type, BFloat16Type, Float32Type, Float64Type, NoneType>(
        element);
  };
  for (TypeRange types : {TypeRange(op->getOperandTypes()),
                          TypeRange(op->getResultTypes())})
    for (Type type : types)
      if (isa<TensorType>(type) && !isKnown(type))
        return op->emitOpError("expected elements of 8 to 64 bits in a type "
                               "that kernels calculate in, but got ")
               << type;
  return success();
}

namespace {
struct ConvertONNXToKernel final
    : tenon::impl::ConvertONNXToKernelPassBase<ConvertONNXToKernel> {
  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isDeclaration())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(func);
    if (failed(shapes))
      return signalPassFailure();
    OpBuilder builder(func.getContext());
    Lowering lowering(builder, *shapes);
    makeSignless(func, lowering);
    SmallVector<Operation *> operations;
    for (Operation &op : func.getBody().front().without_terminator())
      operations.push_back(&op);
    for (Operation *op : operations) {
      builder.setInsertionPoint(op);
      if (failed(lower(op, lowering)))
        return signalPassFailure();
    }
    for (Operation *op : llvm::reverse(operations))
      op->erase();
  }

  LogicalResult lower(Operation *op, Lowering &lowering) {
    if (lowerToHostTensor(op, lowering))
      return success();
    auto found = getLowerings().find(op->getName().getStringRef());
    if (found == getLowerings().end())
      return op->emitOpError("expected an operator that Tenon compiles, but "
                             "this one has no lowering yet");
    for (Value operand : op->getOperands())
      if (isa<UnrankedTensorType>(operand.getType()))
        return op->emitOpError("expected operands of known rank, but got ")
               << operand.getType();
    if (failed(checkElementTypes(op)))
      return failure();
    for (Value result : op->getResults())
      if (!isa<RankedTensorType>(result.getType()) && !result.use_empty())
        return op->emitOpError("expected results of known rank, but got ")
               << result.getType();
    return found->second(op, lowering);
  }
};
} // namespace
