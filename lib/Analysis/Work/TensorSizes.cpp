#include "TensorSizes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

using namespace mlir;
using namespace tenon;

AffineExpr TensorSizes::getExpr(OpFoldResult index) {
  MLIRContext *context = kernel.getContext();
  if (auto attribute = dyn_cast<Attribute>(index))
    return getAffineConstantExpr(cast<IntegerAttr>(attribute).getInt(),
                                 context);
  auto value = cast<Value>(index);
  IntegerAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return getAffineConstantExpr(constant.getInt(), context);
  Operation *op = value.getDefiningOp();
  return op ? findExpr(op) : AffineExpr();
}

AffineExpr TensorSizes::findExpr(Operation *op) {
  if (auto symbol = dyn_cast<kernel::SymbolOp>(op))
    return symbol.getExpr().getResult(0);
  if (auto dim = dyn_cast<tensor::DimOp>(op)) {
    SmallVector<AffineExpr> dims = getDims(dim.getSource());
    std::optional<int64_t> index = dim.getConstantIndex();
    return index && *index < int64_t(dims.size()) ? dims[*index] : AffineExpr();
  }
  if (!isa<arith::AddIOp, arith::SubIOp, arith::MulIOp>(op))
    return AffineExpr();
  AffineExpr a = getExpr(op->getOperand(0)), b = getExpr(op->getOperand(1));
  if (!a || !b)
    return AffineExpr();
  return isa<arith::AddIOp>(op)   ? a + b
         : isa<arith::SubIOp>(op) ? a - b
                                  : a * b;
}

SmallVector<AffineExpr> TensorSizes::getDims(Value tensor) {
  auto found = known.find(tensor);
  if (found != known.end())
    return found->second;
  SmallVector<AffineExpr> dims = findDims(tensor);
  // What the type says needs no expression.
  auto type = dyn_cast<RankedTensorType>(tensor.getType());
  dims.resize(type ? type.getRank() : 0);
  for (auto [i, dim] : llvm::enumerate(dims))
    if (!type.isDynamicDim(i))
      dim = getAffineConstantExpr(type.getDimSize(i), kernel.getContext());
  return known[tensor] = dims;
}

SmallVector<AffineExpr> TensorSizes::findDims(Value tensor) {
  SmallVector<AffineExpr> dims;
  auto addAll = [&](ArrayRef<OpFoldResult> sizes) {
    for (OpFoldResult size : sizes)
      dims.push_back(getExpr(size));
    return dims;
  };
  if (auto argument = dyn_cast<BlockArgument>(tensor)) {
    Operation *parent = argument.getOwner()->getParentOp();
    if (parent == kernel)
      return SmallVector<AffineExpr>(
          kernel.getArgumentDims(argument.getArgNumber()).getResults());
    auto loop = dyn_cast<scf::ForOp>(parent);
    OpOperand *init = loop ? loop.getTiedLoopInit(argument) : nullptr;
    return init ? getDims(init->get()) : dims;
  }
  auto result = cast<OpResult>(tensor);
  Operation *op = result.getOwner();
  if (auto empty = dyn_cast<tensor::EmptyOp>(op))
    return addAll(empty.getMixedSizes());
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op)) {
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    for (auto [i, size] : llvm::enumerate(slice.getMixedSizes()))
      if (!dropped.test(i))
        dims.push_back(getExpr(size));
    return dims;
  }
  if (auto pad = dyn_cast<tensor::PadOp>(op)) {
    dims = getDims(pad.getSource());
    for (auto [dim, low, high] :
         llvm::zip(dims, pad.getMixedLowPad(), pad.getMixedHighPad())) {
      AffineExpr before = getExpr(low), after = getExpr(high);
      dim = dim && before && after ? dim + before + after : AffineExpr();
    }
    return dims;
  }
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return addAll(expand.getMixedOutputShape());
  if (auto cast = dyn_cast<tensor::CastOp>(op))
    return getDims(cast.getSource());
  if (auto loop = dyn_cast<scf::ForOp>(op))
    return getDims(loop.getInits()[result.getResultNumber()]);
  if (auto attention = dyn_cast<kernel::AttentionOp>(op))
    return getDims(attention.getDestinations()[result.getResultNumber()]);
  if (auto product = dyn_cast<kernel::BlockProductOp>(op))
    return getDims(product.getDestination());
  if (auto style = dyn_cast<DestinationStyleOpInterface>(op))
    return getDims(style.getTiedOpOperand(result)->get());
  return dims;
}
