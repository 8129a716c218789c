// Takes the branch of an If whose condition is known.

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

} // namespace

void populateBranchPatterns(RewritePatternSet &patterns,
                            const ShapeAnalysis &shapes) {
  patterns.add<InlineKnownBranch>(patterns.getContext(), shapes);
}

} // namespace tenon
