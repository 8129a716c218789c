// Attention as what enters the cache and one attention.

#include "AttentionBuilder.h"
#include "Patterns.h"

using namespace mlir;

namespace tenon {
namespace {

/// Attention(q, k, v, mask, past) -> CacheAppend, tenon.Attention
struct RaiseOnnxAttention final : OpRewritePattern<onnx::AttentionOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(onnx::AttentionOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getQkMatmulOutput())
      return rewriter.notifyMatchFailure(op, "the scores are an output");
    for (Value operand : op->getOperands())
      if (!getRanked(operand))
        return rewriter.notifyMatchFailure(op,
                                           "an operand's rank is not known");

    AttentionBuilder attention(rewriter, op);
    attention.query = op.getQ();
    attention.queryHeads = op.getQNumHeads().value_or(0);
    attention.keyHeads = op.getKvNumHeads().value_or(0);
    bool hasCache =
        op.getPastKey() || op.getPresentKey() || op.getPresentValue();
    attention.key = hasCache ? attention.append(op.getPastKey(), op.getK(),
                                                op.getPresentKey())
                             : op.getK();
    attention.value = hasCache ? attention.append(op.getPastValue(), op.getV(),
                                                  op.getPresentValue())
                               : op.getV();
    attention.mask = op.getAttnMask();
    attention.lengths = op.getNonpadKvSeqlen();
    attention.positions = getPositions(op, rewriter);
    attention.scale = op.getScaleAttr();
    attention.softcap = op.getSoftcap();
    attention.isCausal = op.getIsCausal() != 0;
    attention.leftWindow = op.getLeftWindowSize();
    attention.rightWindow = op.getRightWindowSize();
    attention.replaceSource(attention.build(op.getY().getType()),
                            bool(op.getPresentKey()),
                            bool(op.getPresentValue()));
    return success();
  }

  /// The position of the first query among the keys, where it is not 0.
  static Value getPositions(onnx::AttentionOp op, PatternRewriter &rewriter) {
    NodeBuilder nodes(rewriter, op.getLoc());
    if (op.getPastKey())
      return nodes.size(op.getPastKey(), 2);
    if (!op.getNonpadKvSeqlen())
      return nullptr;
    int64_t rank = getRanked(op.getQ()).getRank();
    return nodes.sub(op.getNonpadKvSeqlen(), nodes.size(op.getQ(), rank - 2));
  }
};

} // namespace

void populateAttentionOperatorPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseOnnxAttention>(patterns.getContext());
}

} // namespace tenon
