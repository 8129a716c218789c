// The pass: asks the shapes once, then turns operations into kernel-level ones
// in program order. What no lowering takes is an error that names the node.

#include "tenon/Conversion/ONNXToKernel/Lowerings.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"

#include "ChannelsLast.h"
#include "LoweringTables.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"
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
    addAffineGridLowerings(all);
    addAttentionLowerings(all);
    addBlockWeightLowerings(all);
    addCacheLowerings(all);
    addCausalConvolutionLowerings(all);
    addChannelNormalizationLowerings(all);
    addConstantLowerings(all);
    addContractionLowerings(all);
    addControlFlowLowerings(all);
    addConvolutionLowerings(all);
    addDeconvolutionLowerings(all);
    addDeterminantLowerings(all);
    addEinsumLowerings(all);
    addElementwiseLowerings(all);
    addEncoderLowerings(all);
    addFoundSizeLowerings(all);
    addGeneratorLowerings(all);
    addRandomLowerings(all);
    addIndexingLowerings(all);
    addMachineLearningLowerings(all);
    addMovementLowerings(all);
    addNonMaxSuppressionLowerings(all);
    addNormalizationLowerings(all);
    addPaddingLowerings(all);
    addPoolingLowerings(all);
    addQuantizationLowerings(all);
    addRearrangeLowerings(all);
    addRecurrenceLowerings(all);
    addReductionLowerings(all);
    addResizeLowerings(all);
    addRunningLowerings(all);
    addSamplingLowerings(all);
    addScatterLowerings(all);
    addSearchLowerings(all);
    addSignalLowerings(all);
    addSliceLowerings(all);
    addSupportVectorLowerings(all);
    addTreeEnsembleLowerings(all);
    addTreeEnsembleTensorsLowerings(all);
    addUniqueLowerings(all);
    addViewLowerings(all);
    addRotaryLowerings(all);
    return all;
  }();
  return table;
}

bool tenon::hasLowering(Operation *op) {
  // Its body is a Conv of as many groups as channels, where they are known.
  if (auto conv = dyn_cast<onnx::CausalConvWithStateOp>(op))
    if (auto type = dyn_cast<RankedTensorType>(conv.getWeight().getType()))
      return type.getRank() == 0 || type.isDynamicDim(0);
  return getLowerings().contains(op->getName().getStringRef());
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
    for (Region &region : op->getRegions())
      if (op != func && !region.empty())
        llvm::for_each(region.getArguments(), convert);
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
  // What a symbol is read from has to be computed.
  if (!elements || !llvm::all_of(*elements, [&](AffineExpr element) {
        return lowering.findUnread(element).empty();
      }))
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
  for (TypeRange types :
       {TypeRange(op->getOperandTypes()), TypeRange(op->getResultTypes())})
    for (Type type : types)
      if (isa<TensorType>(type) && !isKnown(type))
        return op->emitOpError("expected elements of 8 to 64 bits in a type "
                               "that kernels calculate in, but got ")
               << type;
  return success();
}

static LogicalResult lowerOperation(Operation *op, Lowering &lowering) {
  // Both stand for something that has been reported.
  if (isa<UnrealizedConversionCastOp>(op) ||
      llvm::any_of(op->getOperands(),
                   [&](Value v) { return lowering.isUnknown(v); }))
    return failure();
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

/// Sizes that only the operator's data tell are its lowering's to read.
static LogicalResult checkSizes(Operation *op, Lowering &lowering) {
  for (OpResult result : op->getResults()) {
    if (result.use_empty() && lowering.getLowered(result) == result)
      continue;
    for (auto [axis, dim] : llvm::enumerate(lowering.dims(result)))
      if (lowering.findDimension(dim, result) &&
          !lowering.findUnread(dim).empty())
        return op->emitOpError("expected sizes that are known before it runs, "
                               "but dimension ")
               << axis << " of result " << result.getResultNumber()
               << " depends on data";
  }
  return success();
}

LogicalResult tenon::lowerBlock(Block &block, Lowering &lowering) {
  SmallVector<Operation *> operations;
  for (Operation &op : block.without_terminator())
    if (!isa<kernel::KernelDialect, plan::PlanDialect>(op.getDialect()))
      operations.push_back(&op);
  for (Operation *op : operations) {
    lowering.builder.setInsertionPoint(op);
    lowering.checkFacts(op);
    if (failed(lowerOperation(op, lowering)) ||
        failed(checkSizes(op, lowering))) {
      if (!lowering.keepGoing)
        return failure();
      lowering.builder.setInsertionPoint(op);
      lowering.replaceFailed(op);
    }
    for (Value result : op->getResults())
      if (failed(lowering.readElements(result, lowering.getLowered(result))))
        return failure();
  }
  for (Operation *op : operations)
    lowering.retire(op);
  return success();
}

/// Adds the symbols that lowerings made to the function's.
static void addSymbols(func::FuncOp func, const ShapeAnalysis &shapes,
                       unsigned numAdded) {
  if (numAdded == 0)
    return;
  Builder builder(func.getContext());
  auto known = func->getAttrOfType<ArrayAttr>(plan::kSymbolDefsAttr);
  SmallVector<Attribute> names, definitions;
  for (auto [index, symbol] : llvm::enumerate(shapes.getSymbols())) {
    names.push_back(builder.getStringAttr(symbol.name));
    definitions.push_back(known && index < known.size()
                              ? known[index]
                              : builder.getDictionaryAttr({}));
  }
  for (unsigned index = 0; index < numAdded; ++index) {
    names.push_back(builder.getStringAttr("round" + std::to_string(index)));
    definitions.push_back(builder.getDictionaryAttr(
        builder.getNamedAttr("op", builder.getStringAttr("data"))));
  }
  func->setAttr(plan::kSymbolsAttr, builder.getArrayAttr(names));
  func->setAttr(plan::kSymbolDefsAttr, builder.getArrayAttr(definitions));
}

namespace {
struct ConvertONNXToKernel final
    : tenon::impl::ConvertONNXToKernelPassBase<ConvertONNXToKernel> {
  using ConvertONNXToKernelPassBase::ConvertONNXToKernelPassBase;

  void runOnOperation() override {
    func::FuncOp func = getOperation();
    if (func.isDeclaration())
      return;
    FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(func);
    if (failed(shapes))
      return signalPassFailure();
    // A loop counts its rounds in a symbol.
    unsigned numLoops = 0;
    func.walk([&](Operation *op) { numLoops += isa<onnx::ScanOp>(op); });
    OpBuilder builder(func.getContext());
    Lowering lowering(builder, *shapes, numLoops);
    lowering.keepGoing = keepGoing;
    lowering.splitsAttention = splitAttention;
    lowering.isForThreads = forThreads;
    lowering.padsWithin = padWithin;
    if (channelsLast)
      chooseChannelsLast(func);
    makeSignless(func, lowering);
    Block &body = func.getBody().front();
    builder.setInsertionPointToStart(&body);
    for (BlockArgument argument : body.getArguments())
      if (failed(lowering.readElements(argument, argument)))
        return signalPassFailure();
    LogicalResult lowered = lowerBlock(body, lowering);
    lowering.destroyRetired();
    if (failed(lowered) || lowering.hasFailures)
      return signalPassFailure();
    addSymbols(func, *shapes, lowering.getNumAddedSymbols());
  }
};
} // namespace
