// com.microsoft's GroupQueryAttention as rotations, what enters the caches, and
// one attention.

#include "AttentionBuilder.h"
#include "Patterns.h"

using namespace mlir;
using GroupQuery = tenon::onnx::MsGroupQueryAttentionOp;

namespace tenon {
namespace {

/// What the operator's integers say, as tensors of 64-bit integers.
struct Positions {
  Value lengths;     // [batch]: keys that are valid, the new ones included
  Value first;       // [batch]: position of the first new token
  Value ofEachToken; // [batch, tokens]
};

/// GroupQueryAttention -> RotaryEmbedding, CacheAppend, tenon.Attention
struct RaiseGroupQuery final : OpRewritePattern<GroupQuery> {
  RaiseGroupQuery(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), shapes(shapes) {}

  LogicalResult matchAndRewrite(GroupQuery op,
                                PatternRewriter &rewriter) const override {
    if (op.getOutputQk())
      return rewriter.notifyMatchFailure(op, "the scores are an output");
    if (op.getKScale() || op.getVScale() || op.getKvCacheBitWidth())
      return rewriter.notifyMatchFailure(op, "the cache is quantized");
    for (Value operand : op->getOperands())
      if (!getRanked(operand))
        return rewriter.notifyMatchFailure(op,
                                           "an operand's rank is not known");
    int64_t width = getRanked(op.getQuery()).getDimSize(2);
    if (!op.getKey() && ShapedType::isDynamic(width))
      return rewriter.notifyMatchFailure(op, "the packed width is not known");

    AttentionBuilder attention(rewriter, op);
    attention.queryHeads = op.getNumHeads();
    attention.keyHeads = op.getKvNumHeads();
    auto [query, key, value] = getOperands(op, rewriter);
    Positions positions = getPositions(op, rewriter);
    if (op.getDoRotary()) {
      query = rotate(op, query, op.getNumHeads(), positions, rewriter);
      key = rotate(op, key, op.getKvNumHeads(), positions, rewriter);
    }
    attention.query = query;
    bool grows = doesGrow(op);
    Value start = op.getPastKey() ? positions.first : Value();
    attention.key = attention.append(op.getPastKey(), key, op.getPresentKey(),
                                     start, grows);
    attention.value = attention.append(op.getPastValue(), value,
                                       op.getPresentValue(), start, grows);
    attention.mask = op.getAttentionBias();
    attention.lengths = positions.lengths;
    attention.positions = positions.first;
    attention.sinks = getSinks(op, rewriter);
    attention.scale = op.getScaleAttr();
    attention.softcap = op.getSoftcap();
    attention.isCausal = true;
    // ONNX Runtime counts the query itself among the window's keys.
    if (op.getLocalWindowSize() > 0)
      attention.leftWindow = op.getLocalWindowSize() - 1;
    attention.replaceSource(attention.build(op.getOutput().getType()),
                            bool(op.getPresentKey()),
                            bool(op.getPresentValue()));
    return success();
  }

  /// Query, key and value, of [batch, tokens, heads * size] each.
  static std::tuple<Value, Value, Value>
  getOperands(GroupQuery op, PatternRewriter &rewriter) {
    if (op.getKey())
      return {op.getQuery(), op.getKey(), op.getValue()};
    int64_t heads = op.getNumHeads(), keyHeads = op.getKvNumHeads();
    int64_t size =
        getRanked(op.getQuery()).getDimSize(2) / (heads + 2 * keyHeads);
    NodeBuilder nodes(rewriter, op.getLoc());
    SmallVector<Value> parts = nodes.split(
        op.getQuery(), 2, {heads * size, keyHeads * size, keyHeads * size});
    return {parts[0], parts[1], parts[2]};
  }

  /// Without earlier tokens all rows begin at 0, however long each is; else a
  /// row's new tokens are its last.
  static Positions getPositions(GroupQuery op, PatternRewriter &rewriter) {
    NodeBuilder nodes(rewriter, op.getLoc());
    Type i64 = rewriter.getI64Type();
    Value seqlens = nodes.reshape(nodes.cast(op.getSeqlensK(), i64), {-1});
    Value total =
        nodes.reshape(nodes.cast(op.getTotalSequenceLength(), i64), {1});
    Value tokens = nodes.size(op.getQuery(), 1);
    Positions positions;
    positions.lengths = nodes.add(seqlens, nodes.integers({1}));
    positions.first =
        nodes.where(nodes.equal(total, tokens), nodes.integers({0}),
                    nodes.sub(positions.lengths, tokens));
    positions.ofEachToken = op.getPositionIds();
    if (!positions.ofEachToken) {
      Value numbers = nodes.range(nodes.reshape(tokens, {}));
      positions.ofEachToken = nodes.add(nodes.unsqueeze(positions.first, {1}),
                                        nodes.unsqueeze(numbers, {0}));
    }
    return positions;
  }

  static Value rotate(GroupQuery op, Value value, int64_t heads,
                      const Positions &positions, PatternRewriter &rewriter) {
    RankedTensorType cos = getRanked(op.getCosCache());
    int64_t half = cos ? cos.getDimSize(1) : ShapedType::kDynamic;
    int64_t features = ShapedType::isDynamic(half) ? 0 : 2 * half;
    auto integer = [&](int64_t number) {
      return rewriter.getI64IntegerAttr(number);
    };
    return onnx::RotaryEmbeddingOp::create(
        rewriter, op.getLoc(), value.getType(), value, op.getCosCache(),
        op.getSinCache(), positions.ofEachToken,
        integer(op.getRotaryInterleaved()), integer(heads), integer(features));
  }

  static Value getSinks(GroupQuery op, PatternRewriter &rewriter) {
    if (op.getHeadSink() || op.getSmoothSoftmax() != 1)
      return op.getHeadSink();
    Type element = getRanked(op.getQuery()).getElementType();
    auto type = RankedTensorType::get({op.getNumHeads()}, element);
    return onnx::ConstantOp::create(
        rewriter, op.getLoc(), type,
        DenseElementsAttr::get(type, rewriter.getFloatAttr(element, 0)));
  }

  /// Whether the present is longer than the past.
  bool doesGrow(GroupQuery op) const {
    Value past = op.getPastKey(), present = op.getPresentKey();
    if (!past || !present)
      return true;
    std::optional<ArrayRef<AffineExpr>> before = shapes.getDims(past);
    std::optional<ArrayRef<AffineExpr>> after = shapes.getDims(present);
    return !before || !after || (*before)[2] != (*after)[2];
  }

  const ShapeAnalysis &shapes;
};

} // namespace

void populateGroupQueryPatterns(RewritePatternSet &patterns,
                                const ShapeAnalysis &shapes) {
  patterns.add<RaiseGroupQuery>(patterns.getContext(), shapes);
}

} // namespace tenon
