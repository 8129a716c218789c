// com.microsoft's MultiHeadAttention as what enters the caches and one
// attention.

#include "AttentionBuilder.h"
#include "Patterns.h"

using namespace mlir;
using MultiHead = tenon::onnx::MsMultiHeadAttentionOp;

namespace tenon {
namespace {

/// MultiHeadAttention -> CacheAppend, tenon.Attention
struct RaiseMultiHead final : OpRewritePattern<MultiHead> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(MultiHead op,
                                PatternRewriter &rewriter) const override {
    if (op.getQk())
      return rewriter.notifyMatchFailure(op, "the scores are an output");
    if (op.getPastSequenceLength() || op.getCacheIndirection())
      return rewriter.notifyMatchFailure(op, "the cache is a buffer");
    for (Value operand : op->getOperands())
      if (!getRanked(operand))
        return rewriter.notifyMatchFailure(op,
                                           "an operand's rank is not known");
    if (!op.getKey() || !op.getValue() ||
        getRanked(op.getQuery()).getRank() != 3 ||
        getRanked(op.getKey()).getRank() == 5)
      return rewriter.notifyMatchFailure(op, "the operands are packed");
    Value padding = op.getKeyPaddingMask();
    if (padding && getRanked(padding).getRank() != 2)
      return rewriter.notifyMatchFailure(op, "the padding is of lengths");
    std::optional<std::array<int64_t, 3>> widths = getWidths(op);
    if (op.getBias() && !widths)
      return rewriter.notifyMatchFailure(op, "the widths are not known");

    NodeBuilder nodes(rewriter, op.getLoc());
    AttentionBuilder attention(rewriter, op);
    attention.queryHeads = attention.keyHeads = op.getNumHeads();
    SmallVector<Value> operands = {op.getQuery(), op.getKey(), op.getValue()};
    if (op.getBias()) {
      SmallVector<Value> biases = nodes.split(op.getBias(), 0, *widths);
      for (auto [operand, bias] : llvm::zip(operands, biases))
        if (getRanked(operand).getRank() == 3)
          operand = nodes.add(operand, bias);
    }
    attention.query = operands[0];
    bool hasCache =
        op.getPastKey() || op.getPresentKey() || op.getPresentValue();
    attention.key = hasCache ? attention.append(op.getPastKey(), operands[1],
                                                op.getPresentKey())
                             : operands[1];
    attention.value = hasCache
                          ? attention.append(op.getPastValue(), operands[2],
                                             op.getPresentValue())
                          : operands[2];
    attention.mask = getMask(op, nodes);
    attention.scale = op.getScaleAttr();
    attention.isCausal = op.getUnidirectional() != 0;
    if (op.getPastKey())
      attention.positions = nodes.size(op.getPastKey(), 2);
    attention.replaceSource(attention.build(op.getOutput().getType()),
                            bool(op.getPresentKey()),
                            bool(op.getPresentValue()));
    return success();
  }

  /// Columns of query, key and value in the bias.
  static std::optional<std::array<int64_t, 3>> getWidths(MultiHead op) {
    RankedTensorType value = getRanked(op.getValue());
    int64_t width = getRanked(op.getQuery()).getDimSize(2);
    int64_t valueWidth = value.getDimSize(value.getRank() - 1);
    if (ShapedType::isDynamic(width) || ShapedType::isDynamic(valueWidth))
      return std::nullopt;
    if (value.getRank() == 4)
      valueWidth *= op.getNumHeads();
    return std::array<int64_t, 3>{width, width, valueWidth};
  }

  /// Keys that are padding get the filter value added, beside the given bias.
  static Value getMask(MultiHead op, NodeBuilder &nodes) {
    Value padding = op.getKeyPaddingMask();
    if (!padding)
      return op.getAttentionBias();
    Type element = getRanked(op.getQuery()).getElementType();
    Value isPadding = nodes.equal(
        padding, nodes.integer(0, getRanked(padding).getElementTypeBitWidth()));
    Value filter = nodes.where(nodes.unsqueeze(isPadding, {1, 2}),
                               nodes.scalar(element, op.getMaskFilterValue()),
                               nodes.scalar(element, 0));
    return op.getAttentionBias() ? nodes.add(op.getAttentionBias(), filter)
                                 : filter;
  }
};

} // namespace

void populateMultiHeadPatterns(RewritePatternSet &patterns) {
  patterns.add<RaiseMultiHead>(patterns.getContext());
}

} // namespace tenon
