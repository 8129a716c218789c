// Attention written out in primitives: MatMul, scale, mask, Softmax, MatMul.

#include "AttentionBuilder.h"
#include "AttentionMatcher.h"
#include "Patterns.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace tenon {
namespace {

/// matmul(softmax(scores(q, k)), v) -> tenon.Attention(q, k, v)
struct RaisePrimitives final : OpRewritePattern<onnx::MatMulOp> {
  RaisePrimitives(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern(context), matcher(shapes) {}

  LogicalResult matchAndRewrite(onnx::MatMulOp op,
                                PatternRewriter &rewriter) const override {
    Value weights = op.getA();
    if (weights.hasOneUse())
      weights = skipFloatCast(weights);
    bool isZeroed = false;
    weights = matcher.skipZeroed(weights, isZeroed);
    auto softmax = weights.getDefiningOp<onnx::SoftmaxOp>();
    if (!softmax || !(isZeroed || weights.hasOneUse()))
      return rewriter.notifyMatchFailure(op, "no softmax alone is multiplied");
    auto dims = matcher.getDims(op.getA()),
         valueDims = matcher.getDims(op.getB());
    if (!dims || dims->size() != 4 || !valueDims || valueDims->size() != 4)
      return rewriter.notifyMatchFailure(op, "the operands are not of rank 4");
    if (softmax.getAxis() != -1 && softmax.getAxis() != 3)
      return rewriter.notifyMatchFailure(op, "softmax is over another axis");
    std::optional<Scores> scores = matcher.getScores(softmax->getOperand(0));
    if (!scores)
      return rewriter.notifyMatchFailure(op, "the scores are no product");
    HeadOperand query = matcher.getOperand(scores->product.getA(), false);
    HeadOperand key = matcher.getOperand(scores->product.getB(), true);
    HeadOperand value = matcher.getOperand(op.getB(), false);
    if (value.scale != 1)
      value = {op.getB()};
    if (!query.value || !fit(query, key, value))
      return rewriter.notifyMatchFailure(op, "the operands do not fit");
    SmallVector<Value> masks = scores->biases;
    if (scores->condition)
      masks.push_back(scores->condition);
    for (Value mask : masks)
      if (auto rank = matcher.getDims(mask); !rank || rank->size() > 4)
        return rewriter.notifyMatchFailure(op, "a mask is of unknown rank");

    scores->emptyRowIsNaN = !isZeroed;
    Value result = build(op, *scores, query, key, value, rewriter);
    result.setType(op.getType());
    remark::passed(op.getLoc(), remark::RemarkOpts::name("raised").category(
                                    "onnx-raise-attention"))
        << "raised attention from primitives";
    rewriter.replaceOp(op, result);
    return success();
  }

  /// Whether the operands are those of one attention; drops repeated heads. A
  /// key that is not transposed is made so.
  bool fit(HeadOperand &query, HeadOperand &key, HeadOperand &value) const {
    if (!key.value)
      return false;
    auto q = matcher.getDims(query.value), k = matcher.getDims(key.value);
    auto v = matcher.getDims(value.value);
    if (!q || !k || !v || q->size() != 4 || k->size() != 4 || v->size() != 4)
      return false;
    int64_t heads = matcher.getHeads(query);
    if ((*q)[0] != (*k)[0] || (*q)[0] != (*v)[0] ||
        matcher.getHeads(key) != heads || matcher.getHeads(value) != heads ||
        heads < 1)
      return false;
    for (int64_t times = 2; times <= heads; ++times) {
      HeadOperand fewKeys = key, fewValues = value;
      if (heads % times == 0 && matcher.dropRepeat(fewKeys, times) &&
          matcher.dropRepeat(fewValues, times)) {
        key = fewKeys, value = fewValues;
        break;
      }
    }
    return true;
  }

  Value build(onnx::MatMulOp op, const Scores &scores, HeadOperand query,
              HeadOperand key, HeadOperand value,
              PatternRewriter &rewriter) const {
    NodeBuilder nodes(rewriter, op.getLoc());
    AttentionBuilder attention(rewriter, op);
    attention.queryHeads = matcher.getHeads(query);
    attention.keyHeads = matcher.getHeads(key);
    auto flatten = [&](HeadOperand &operand, int64_t &number) -> Value {
      if (std::optional<int64_t> part = matcher.takePart(operand)) {
        number = *part;
        return operand.value;
      }
      std::optional<int64_t> size = matcher.getStaticDim(operand.value, 3);
      if (!operand.tokensFirst)
        return operand.value;
      if (!size)
        return nodes.transpose(operand.value, {0, 2, 1, 3});
      return nodes.reshape(operand.value,
                           {0, 0, matcher.getHeads(operand) * *size});
    };
    std::optional<int64_t> size = matcher.getStaticDim(value.value, 3);
    attention.query = flatten(query, attention.queryPart);
    attention.key = flatten(key, attention.keyPart);
    attention.value = flatten(value, attention.valuePart);
    attention.scale =
        rewriter.getF32FloatAttr(scores.scale * query.scale * key.scale);
    attention.softcap = scores.softcap;
    attention.emptyRowIsNaN = scores.emptyRowIsNaN;
    attention.mask = getMask(scores, getElementTypeOrSelf(op.getType()), nodes);
    if (getRanked(attention.query).getRank() == 4)
      return attention.build(op.getType());
    Value flat =
        attention.build(nodes.typeOf(3, getElementTypeOrSelf(op.getType())));
    Value split =
        nodes.reshape(flat, {0, 0, attention.queryHeads, size.value_or(-1)});
    return nodes.transpose(split, {0, 2, 1, 3});
  }

  static Value getMask(const Scores &scores, Type element, NodeBuilder &nodes) {
    Value mask;
    for (Value bias : scores.biases)
      mask = mask ? nodes.add(mask, bias) : bias;
    if (!scores.condition)
      return mask;
    if (!mask && !scores.hidesIfTrue && std::isinf(scores.hidden))
      return scores.condition;
    if (mask)
      element = getElementTypeOrSelf(mask.getType());
    Value hidden = nodes.scalar(element, scores.hidden);
    Value kept = mask ? mask : nodes.scalar(element, 0);
    return scores.hidesIfTrue ? nodes.where(scores.condition, hidden, kept)
                              : nodes.where(scores.condition, kept, hidden);
  }

  AttentionMatcher matcher;
};

} // namespace

void populateAttentionPrimitivePatterns(RewritePatternSet &patterns,
                                        const ShapeAnalysis &shapes) {
  patterns.add<RaisePrimitives>(patterns.getContext(), shapes);
}

} // namespace tenon
