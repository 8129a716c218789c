// Takes the branch of an If whose condition is known, or that squeezes where it
// can, and gives the results of the others one rank where nothing can tell the
// difference.

#include "Patterns.h"

#include "dialects/ONNX/ONNXDialect.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace tenon {
namespace {

/// if true {a} else {b} -> a
struct InlineKnownBranch final : OpRewritePattern<onnx::IfOp> {
  InlineKnownBranch(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(onnx::IfOp op,
                                PatternRewriter &rewriter) const override {
    std::optional<SmallVector<int64_t>> condition =
        getConstantElements(op.getCond(), shapes);
    if (!condition || condition->size() != 1)
      return rewriter.notifyMatchFailure(op, "the condition is not known");
    Region &branch =
        condition->front() ? op.getThenBranch() : op.getElseBranch();
    Operation *end = branch.front().getTerminator();
    if (end->getNumOperands() != op->getNumResults())
      return rewriter.notifyMatchFailure(op, "the branch has other outputs");
    for (auto [value, result] : llvm::zip(end->getOperands(), op->getResults()))
      if (value.getType() != result.getType())
        return rewriter.notifyMatchFailure(op, "the branch has other types");

    remark::passed(op.getLoc(), remark::RemarkOpts::name("inlined").category(
                                    "onnx-simplify"))
        << "took the branch of a known condition";
    SmallVector<Value> values(end->getOperands());
    rewriter.eraseOp(end);
    rewriter.inlineBlockBefore(&branch.front(), op);
    rewriter.replaceOp(op, values);
    return success();
  }

  const ShapeAnalysis &shapes;
};

/// The value that a branch gives when its Identity is looked through.
Value getSource(Value value) {
  while (auto same = value.getDefiningOp<onnx::IdentityOp>())
    value = same.getInput();
  return value;
}

/// if dim(x, axis) == 1 {Squeeze(x, axis)} else {x} -> Squeeze(x, axis)
///
/// torch.onnx writes this for x.squeeze(axis) where the axis is dynamic. A
/// result has one rank here, and what follows was traced with this one; that
/// the size is 1 is what Squeeze has checked in a run.
struct TakeSqueezed final : OpRewritePattern<onnx::IfOp> {
  TakeSqueezed(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(onnx::IfOp op,
                                PatternRewriter &rewriter) const override {
    Operation *then = op.getThenBranch().front().getTerminator();
    Operation *otherwise = op.getElseBranch().front().getTerminator();
    if (then->getNumOperands() != 1 || otherwise->getNumOperands() != 1)
      return rewriter.notifyMatchFailure(op, "it has not one result");
    auto squeeze = then->getOperand(0).getDefiningOp<onnx::SqueezeOp>();
    if (!squeeze || !squeeze.getAxes())
      return rewriter.notifyMatchFailure(op, "it squeezes no axis");
    Value data = getSource(squeeze.getData());
    if (getSource(otherwise->getOperand(0)) != data ||
        op->isAncestor(data.getParentBlock()->getParentOp()))
      return rewriter.notifyMatchFailure(op, "the branches have other sources");
    auto axes = getConstantElements(squeeze.getAxes(), shapes);
    auto dims = shapes.getDims(data);
    if (!axes || axes->size() != 1 || !dims)
      return rewriter.notifyMatchFailure(op, "the axis is not known");
    int64_t rank = dims->size(), axis = axes->front();
    if (axis < -rank || axis >= rank)
      return rewriter.notifyMatchFailure(op, "the axis is none of the tensor");
    if (!isEqualToOne(op.getCond(), (*dims)[axis < 0 ? axis + rank : axis]))
      return rewriter.notifyMatchFailure(op, "the condition is another");

    remark::passed(
        op.getLoc(),
        remark::RemarkOpts::name("squeezed").category("onnx-simplify"))
        << "took a size to be 1 that is squeezed where it is";
    Value axesValue =
        createConstant(rewriter, op.getLoc(),
                       RankedTensorType::get(1, rewriter.getI64Type()), {axis});
    rewriter.replaceOpWithNewOp<onnx::SqueezeOp>(
        op, UnrankedTensorType::get(getElementTypeOrSelf(data.getType())), data,
        axesValue);
    return success();
  }

private:
  bool isEqualToOne(Value condition, AffineExpr dim) const {
    auto equal = condition.getDefiningOp<onnx::EqualOp>();
    if (!equal)
      return false;
    auto a = shapes.getElements(equal.getA()),
         b = shapes.getElements(equal.getB());
    AffineExpr one = getAffineConstantExpr(1, dim.getContext());
    return a && b && a->size() == 1 && b->size() == 1 &&
           ((a->front() == dim && b->front() == one) ||
            (b->front() == dim && a->front() == one));
  }

  const ShapeAnalysis &shapes;
};

/// Operators whose result is the broadcast of all their operands.
bool broadcasts(Operation *op) {
  return isa<onnx::AddOp, onnx::SubOp, onnx::MulOp, onnx::DivOp, onnx::PowOp,
             onnx::ModOp, onnx::MinOp, onnx::MaxOp, onnx::SumOp, onnx::MeanOp,
             onnx::AndOp, onnx::OrOp, onnx::XorOp, onnx::EqualOp, onnx::LessOp,
             onnx::LessOrEqualOp, onnx::GreaterOp, onnx::GreaterOrEqualOp,
             onnx::WhereOp>(op);
}

/// if c {a: [2]} else {b: [1, 2]} -> if c {Unsqueeze(a): [1, 2]} else {b},
/// where each user broadcasts the result to a rank of at least 2 by another
/// operand
struct PadBranchRank final : OpRewritePattern<onnx::IfOp> {
  PadBranchRank(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(onnx::IfOp op,
                                PatternRewriter &rewriter) const override {
    bool changed = false;
    for (OpResult result : op->getResults()) {
      int64_t rank = 0;
      SmallVector<int64_t> ranks;
      for (Region &branch : op->getRegions()) {
        Operation *end = branch.front().getTerminator();
        if (end->getNumOperands() != op->getNumResults())
          return rewriter.notifyMatchFailure(op, "a branch has other outputs");
        auto dims = shapes.getDims(end->getOperand(result.getResultNumber()));
        ranks.push_back(dims ? dims->size() : -1);
        rank = std::max(rank, ranks.back());
      }
      if (llvm::is_contained(ranks, -1) || llvm::all_equal(ranks) ||
          !isBroadcastToRank(result, rank))
        continue;
      for (auto [branch, from] : llvm::zip(op->getRegions(), ranks))
        pad(branch.front().getTerminator()->getOpOperand(
                result.getResultNumber()),
            rank - from, rewriter);
      changed = true;
    }
    return success(changed);
  }

private:
  bool isBroadcastToRank(OpResult result, int64_t rank) const {
    return llvm::all_of(result.getUses(), [&](OpOperand &use) {
      Operation *user = use.getOwner();
      // The second operand of CastLike gives its element type alone.
      if (isa<onnx::CastLikeOp>(user))
        return use.getOperandNumber() == 1;
      return broadcasts(user) &&
             llvm::any_of(user->getOperands(), [&](Value other) {
               auto dims = shapes.getDims(other);
               return other != result && dims && int64_t(dims->size()) >= rank;
             });
    });
  }

  static void pad(OpOperand &yielded, int64_t missing,
                  PatternRewriter &rewriter) {
    if (missing == 0)
      return;
    Value value = yielded.get();
    Location loc = yielded.getOwner()->getLoc();
    rewriter.setInsertionPoint(yielded.getOwner());
    Value axes = createConstant(
        rewriter, loc, RankedTensorType::get(missing, rewriter.getI64Type()),
        llvm::to_vector(llvm::seq<int64_t>(missing)));
    Value padded = onnx::UnsqueezeOp::create(
        rewriter, loc,
        UnrankedTensorType::get(getElementTypeOrSelf(value.getType())), value,
        axes);
    rewriter.modifyOpInPlace(yielded.getOwner(), [&] { yielded.set(padded); });
  }

  const ShapeAnalysis &shapes;
};

} // namespace

void populateBranchPatterns(RewritePatternSet &patterns,
                            const ShapeAnalysis &shapes, bool keepsSqueezes) {
  patterns.add<InlineKnownBranch, PadBranchRank>(patterns.getContext(), shapes);
  if (!keepsSqueezes)
    patterns.add<TakeSqueezed>(patterns.getContext(), shapes);
}

} // namespace tenon
