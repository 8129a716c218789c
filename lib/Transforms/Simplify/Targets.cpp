// Makes the targets of Reshape and Expand constants, by ONNX's wildcards, so that
// nothing need compute them.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;

namespace tenon {
namespace {

std::optional<int64_t> getConstant(AffineExpr expr) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

/// A target of Reshape that gives `to`: sizes, 0 to copy, and one -1.
std::optional<SmallVector<int64_t>> getReshapeTarget(ArrayRef<AffineExpr> from,
                                                     ArrayRef<AffineExpr> to) {
  SmallVector<int64_t> target;
  bool hasWildcard = false;
  for (auto [index, dim] : llvm::enumerate(to)) {
    std::optional<int64_t> size = getConstant(dim);
    if (size && *size > 0) {
      target.push_back(*size);
    } else if (index < from.size() && from[index] == dim) {
      target.push_back(0);
    } else if (!size && !hasWildcard) {
      target.push_back(-1);
      hasWildcard = true;
    } else {
      return std::nullopt;
    }
  }
  return target;
}

/// A target of Expand that gives `to`: 1 keeps a dimension.
std::optional<SmallVector<int64_t>> getExpandTarget(ArrayRef<AffineExpr> from,
                                                    ArrayRef<AffineExpr> to) {
  SmallVector<int64_t> target;
  for (auto [index, dim] : llvm::enumerate(to)) {
    size_t fromEnd = to.size() - index;
    bool same = fromEnd <= from.size() && from[from.size() - fromEnd] == dim;
    std::optional<int64_t> size = getConstant(dim);
    if (!same && !size)
      return std::nullopt;
    target.push_back(same ? 1 : *size);
  }
  return target;
}

/// reshape(x, shape) -> reshape(x, constant), and the same of expand
template <typename OpTy>
struct MakeTargetConstant final : OpRewritePattern<OpTy> {
  MakeTargetConstant(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern<OpTy>(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    OpOperand &shape = op->getOpOperand(1);
    if (shape.get().template getDefiningOp<onnx::ConstantOp>())
      return rewriter.notifyMatchFailure(op, "the target is a constant");
    std::optional<ArrayRef<AffineExpr>> from =
        shapes.getDims(op->getOperand(0));
    std::optional<ArrayRef<AffineExpr>> to = shapes.getDims(op->getResult(0));
    if (!from || !to)
      return rewriter.notifyMatchFailure(op, "the shapes are not known");
    if (op->template getAttrOfType<IntegerAttr>("allowzero") &&
        op->template getAttrOfType<IntegerAttr>("allowzero").getInt() != 0)
      return rewriter.notifyMatchFailure(op, "0 does not copy a dimension");
    // A dimension that is read from the target's own data stays with it.
    for (AffineExpr dim : *to)
      if (isRead(dim))
        return rewriter.notifyMatchFailure(op, "the target is data");
    std::optional<SmallVector<int64_t>> target =
        std::is_same_v<OpTy, onnx::ReshapeOp> ? getReshapeTarget(*from, *to)
                                              : getExpandTarget(*from, *to);
    if (!target)
      return rewriter.notifyMatchFailure(op, "wildcards do not suffice");

    auto type = RankedTensorType::get({static_cast<int64_t>(target->size())},
                                      rewriter.getI64Type());
    Value constant = createConstant(rewriter, op.getLoc(), type, *target);
    rewriter.modifyOpInPlace(op, [&] { shape.set(constant); });
    return success();
  }

  bool isRead(AffineExpr dim) const {
    bool found = false;
    dim.walk([&](AffineExpr part) {
      if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
        found |= shapes.getSymbols()[symbol.getPosition()].kind ==
                 Symbol::Kind::Data;
    });
    return found;
  }

  const ShapeAnalysis &shapes;
};

} // namespace

void populateTargetPatterns(RewritePatternSet &patterns,
                            const ShapeAnalysis &shapes) {
  patterns.add<MakeTargetConstant<onnx::ReshapeOp>,
               MakeTargetConstant<onnx::ExpandOp>>(patterns.getContext(),
                                                   shapes);
}

} // namespace tenon
