#include "tenon/Target/Format/KernelBounds.h"

#include "tenon/Analysis/Shapes/Polynomial.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace tenon;

/// Dimensions; null: not known as an expression.
using Exprs = SmallVector<AffineExpr>;

namespace {
class BoundsFinder {
public:
  explicit BoundsFinder(kernel::FuncOp kernel)
      : kernel(kernel), context(kernel.getContext()) {}

  SmallVector<SizeBound> find() {
    kernel.getBody().walk([&](Operation *op) {
      if (auto extract = dyn_cast<tensor::ExtractSliceOp>(op))
        addPart(extract, getDims(extract.getSource()));
      else if (auto insert = dyn_cast<tensor::InsertSliceOp>(op))
        addPart(insert, getDims(insert.getDest()));
      else if (auto loops = dyn_cast<linalg::LinalgOp>(op))
        addLoops(loops);
    });
    return bounds;
  }

private:
  AffineExpr constant(int64_t value) {
    return getAffineConstantExpr(value, context);
  }
  AffineExpr getExpr(OpFoldResult size);
  Exprs getExprs(ArrayRef<OpFoldResult> sizes) {
    return llvm::map_to_vector(
        sizes, [&](OpFoldResult size) { return getExpr(size); });
  }
  Exprs getDims(Value tensor);
  Exprs getDimsOf(Operation *maker, OpResult result);
  void add(AffineExpr low, AffineExpr high);
  template <typename Op>
  void addPart(Op op, const Exprs &whole);
  void addLoops(linalg::LinalgOp op);
  AffineExpr getLast(AffineExpr place, ArrayRef<AffineExpr> extents);

  kernel::FuncOp kernel;
  MLIRContext *context;
  SmallVector<SizeBound> bounds;
};
} // namespace

AffineExpr BoundsFinder::getExpr(OpFoldResult size) {
  if (std::optional<int64_t> known = getConstantIntValue(size))
    return constant(*known);
  auto value = dyn_cast<Value>(size);
  Operation *op = value ? value.getDefiningOp() : nullptr;
  if (auto symbol = dyn_cast_if_present<kernel::SymbolOp>(op))
    return symbol.getExpr().getResult(0);
  if (auto dim = dyn_cast_if_present<tensor::DimOp>(op)) {
    std::optional<int64_t> index = dim.getConstantIndex();
    Exprs dims = getDims(dim.getSource());
    return index && *index < int64_t(dims.size()) ? dims[*index] : AffineExpr();
  }
  if (!isa_and_nonnull<arith::AddIOp, arith::SubIOp>(op))
    return {};
  AffineExpr a = getExpr(op->getOperand(0)), b = getExpr(op->getOperand(1));
  if (!a || !b)
    return {};
  return isa<arith::AddIOp>(op) ? a + b : a - b;
}

Exprs BoundsFinder::getDims(Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Exprs dims;
  if (auto result = dyn_cast<OpResult>(tensor)) {
    dims = getDimsOf(result.getOwner(), result);
  } else if (auto argument = cast<BlockArgument>(tensor);
             argument.getOwner() == &kernel.getBody().front()) {
    dims = Exprs(kernel.getArgumentDims(argument.getArgNumber()).getResults());
  } else if (auto loop =
                 dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp())) {
    dims = getDims(loop.getTiedLoopInit(argument)->get());
  }
  dims.resize(type.getRank());
  for (auto [dim, size] : llvm::zip(dims, type.getShape()))
    if (!ShapedType::isDynamic(size))
      dim = constant(size);
  return dims;
}

Exprs BoundsFinder::getDimsOf(Operation *maker, OpResult result) {
  if (auto empty = dyn_cast<tensor::EmptyOp>(maker))
    return getExprs(empty.getMixedSizes());
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(maker))
    return getDims(insert.getDest());
  if (auto insert = dyn_cast<tensor::InsertOp>(maker))
    return getDims(insert.getDest());
  if (auto styled = dyn_cast<DestinationStyleOpInterface>(maker))
    return getDims(styled.getTiedOpOperand(result)->get());
  if (auto loop = dyn_cast<scf::ForOp>(maker))
    return getDims(loop.getInitArgs()[result.getResultNumber()]);
  Exprs dims;
  if (auto extract = dyn_cast<tensor::ExtractSliceOp>(maker)) {
    llvm::SmallBitVector dropped = extract.getDroppedDims();
    for (auto [axis, size] : llvm::enumerate(extract.getMixedSizes()))
      if (!dropped.test(axis))
        dims.push_back(getExpr(size));
  }
  if (auto pad = dyn_cast<tensor::PadOp>(maker))
    for (auto [low, dim, high] :
         llvm::zip(getExprs(pad.getMixedLowPad()), getDims(pad.getSource()),
                   getExprs(pad.getMixedHighPad())))
      dims.push_back(low && dim && high ? low + dim + high : AffineExpr());
  return dims;
}

/// What always holds is left out, and what is not known as an expression.
void BoundsFinder::add(AffineExpr low, AffineExpr high) {
  if (!low || !high || low == high)
    return;
  Polynomial room = Polynomial::get(high) - Polynomial::get(low);
  std::optional<int64_t> known = room.getConstant();
  bool isKnown = llvm::any_of(bounds, [&](const SizeBound &bound) {
    return bound.low == low && bound.high == high;
  });
  if (!isKnown && !(known && *known >= 0))
    bounds.push_back({low, high});
}

/// 0 <= offset and offset + (size - 1) * stride < the whole, both times the
/// number of elements: a part of none may be anywhere.
template <typename Op>
void BoundsFinder::addPart(Op op, const Exprs &whole) {
  Exprs offsets = getExprs(op.getMixedOffsets());
  Exprs sizes = getExprs(op.getMixedSizes());
  AffineExpr count = constant(1);
  for (AffineExpr size : sizes) {
    auto known = dyn_cast_if_present<AffineConstantExpr>(size);
    if (size && !(known && known.getValue() > 0))
      count = count * size;
  }
  for (auto [offset, size, stride, dim] :
       llvm::zip(offsets, sizes, op.getMixedStrides(), whole)) {
    std::optional<int64_t> step = getConstantIntValue(stride);
    if (!offset || !size || !step || !dim)
      continue;
    add(constant(0), offset * count);
    add((offset + (size - 1) * *step + 1) * count, dim * count);
  }
}

/// `place`, over loops, where each is in its last round; null if that need not
/// be the largest place.
AffineExpr BoundsFinder::getLast(AffineExpr place,
                                 ArrayRef<AffineExpr> extents) {
  if (auto dim = dyn_cast<AffineDimExpr>(place)) {
    AffineExpr extent = extents[dim.getPosition()];
    return extent ? extent - 1 : AffineExpr();
  }
  if (isa<AffineConstantExpr>(place))
    return place;
  auto binary = dyn_cast<AffineBinaryOpExpr>(place);
  if (!binary)
    return {};
  AffineExpr a = getLast(binary.getLHS(), extents);
  AffineExpr b = getLast(binary.getRHS(), extents);
  if (!a || !b)
    return {};
  if (place.getKind() == AffineExprKind::Add)
    return a + b;
  auto factor = dyn_cast<AffineConstantExpr>(binary.getRHS());
  return place.getKind() == AffineExprKind::Mul && factor &&
                 factor.getValue() >= 0
             ? a * b
             : AffineExpr();
}

/// A loop goes over one size of each operand, or its places end within one.
void BoundsFinder::addLoops(linalg::LinalgOp op) {
  Exprs extents(op.getNumLoops());
  for (bool isFirst : {true, false})
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<RankedTensorType>(operand.get().getType()))
        continue;
      AffineMap map = op.getMatchingIndexingMap(&operand);
      for (auto [place, dim] :
           llvm::zip(map.getResults(), getDims(operand.get()))) {
        auto loop = dyn_cast<AffineDimExpr>(place);
        if (isFirst && loop && !extents[loop.getPosition()])
          extents[loop.getPosition()] = dim;
        if (isFirst)
          continue;
        AffineExpr last = getLast(place, extents);
        if (last)
          add(last + 1, dim);
        if (loop && last)
          add(dim, last + 1);
      }
    }
}

SmallVector<SizeBound> tenon::findBounds(kernel::FuncOp kernel) {
  return BoundsFinder(kernel).find();
}
