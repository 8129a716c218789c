#include "dialects/Kernel/KernelDialect.h"

using namespace mlir;
using namespace tenon::kernel;

#include "dialects/Kernel/KernelDialect.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/Kernel/KernelOps.cpp.inc"

void KernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/Kernel/KernelOps.cpp.inc"
      >();
}

AffineMap tenon::kernel::overFunctionSymbols(AffineMap map,
                                             AffineMap symbols) {
  return map.replaceDimsAndSymbols({}, symbols.getResults(), /*numDims=*/0,
                                   symbols.getNumSymbols());
}

AffineMap LaunchOp::getResultDims(unsigned index) {
  return overFunctionSymbols(getArgumentDims(getInputs().size() + index),
                             getSymbols());
}

/// Whether `dims` describes a tensor of `type`: the rank, and each static size.
static bool describes(AffineMap dims, RankedTensorType type) {
  if (dims.getNumResults() != type.getRank())
    return false;
  for (auto [expr, size] : llvm::zip(dims.getResults(), type.getShape())) {
    auto constant = dyn_cast<AffineConstantExpr>(expr);
    if (!ShapedType::isDynamic(size) &&
        (!constant || constant.getValue() != size))
      return false;
  }
  return true;
}

LogicalResult LaunchOp::verify() {
  Block &block = getBody().front();
  SmallVector<Type> expected(getInputs().getTypes());
  llvm::append_range(expected, getResults().getTypes());
  if (TypeRange(block.getArgumentTypes()) != TypeRange(expected)) // launch-C1
    return emitOpError("expected a region argument for each input and result, "
                       "but got ")
           << block.getNumArguments() << " arguments for " << expected.size();

  if (getDims().size() != expected.size()) // launch-C2
    return emitOpError("expected ")
           << expected.size() << " maps in 'dims', but got "
           << getDims().size();
  for (auto [index, type] : llvm::enumerate(expected)) {
    AffineMap map = getArgumentDims(index);
    if (map.getNumSymbols() != getSymbols().getNumResults() ||
        !describes(map, cast<RankedTensorType>(type)))
      return emitOpError("expected 'dims' of argument ")
             << index << " to describe " << type << ", but got "
             << AffineMapAttr::get(map);
  }

  auto yield = dyn_cast<YieldOp>(block.getTerminator());
  if (!yield || yield.getOperandTypes() != getResultTypes()) // launch-C3
    return emitOpError("expected kernel.yield of the results' types");
  return success();
}
