// Attention written out in primitives: MatMul, scale, mask, Softmax, MatMul.

#include "AttentionBuilder.h"
#include "Matching.h"
#include "Patterns.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace tenon {
namespace {

/// What lies between the second MatMul and the two that it reads.
struct Scores {
  onnx::MatMulOp product; // of query and key
  double scale = 1, softcap = 0;
  SmallVector<Value> biases; // added to the scores
  /// Where `condition` is `hidesIfTrue`, the score is `hidden` instead.
  Value condition;
  double hidden = 0;
  bool hidesIfTrue = false;
  bool emptyRowIsNaN = true;
};

/// An operand of [batch, heads, tokens, size], or of [batch, tokens, heads,
/// size] where `tokensFirst`.
struct HeadOperand {
  Value value;
  bool tokensFirst = false;
  double scale = 1;
};

class AttentionMatcher : public Matching {
public:
  using Matching::Matching;

  /// Follows the scores from Softmax's input; nothing without a MatMul.
  std::optional<Scores> getScores(Value value) const;
  HeadOperand getOperand(Value value, bool isTransposed) const;
  /// Whether the operand is one of the parts of a tensor of [batch, tokens,
  /// parts, heads, size], which it then is, with the part's number.
  std::optional<int64_t> takePart(HeadOperand &operand) const;
  /// Softmax's weights, also where those that are not numbers, as of a row
  /// that sees no key, are made zero, which is then noted.
  Value skipZeroed(Value weights, bool &isZeroed) const;
  /// Drops repetitions of each head `times` times; false if there is none.
  bool dropRepeat(HeadOperand &operand, int64_t times) const;
  int64_t getHeads(const HeadOperand &operand) const {
    return getStaticDim(operand.value, operand.tokensFirst ? 2 : 1).value_or(0);
  }

private:
  bool takeProduct(Operation *op, Scores &scores, Value &next) const;
  bool takeSum(onnx::AddOp op, Scores &scores, Value &next) const;
  bool takeChoice(onnx::WhereOp op, Scores &scores, Value &next) const;
  bool takeCap(onnx::MulOp op, Scores &scores, Value &next) const;
  bool leadsToProduct(Value value) const;
  Value skipFlatTranspose(Value value) const;
  Value skipSelection(Value value, int64_t &axis, int64_t &index) const;
};

} // namespace

/// x * c, c * x, x / c -> x
bool AttentionMatcher::takeProduct(Operation *op, Scores &scores,
                                   Value &next) const {
  bool isDiv = isa<onnx::DivOp>(op);
  for (unsigned i : {0, 1}) {
    if (isDiv && i == 1)
      return false;
    std::optional<double> factor = getScalar(op->getOperand(1 - i));
    if (!factor || !isa<FloatType>(getElementTypeOrSelf(op->getOperand(i))))
      continue;
    scores.scale *= isDiv ? 1 / *factor : *factor;
    next = op->getOperand(i);
    return true;
  }
  return false;
}

/// c * tanh(x / c) -> x. Only before a scale was seen, as that is the cap's.
bool AttentionMatcher::takeCap(onnx::MulOp op, Scores &scores,
                               Value &next) const {
  return scores.scale == 1 && scores.softcap == 0 &&
         inEitherOrder(op, [&](Value bent, Value factor) {
           std::optional<double> cap = getScalar(factor);
           auto tanh = bent.getDefiningOp<onnx::TanhOp>();
           if (!cap || !tanh || *cap <= 0)
             return false;
           Scores inner;
           Operation *quotient = tanh->getOperand(0).getDefiningOp();
           if (!isa_and_nonnull<onnx::DivOp, onnx::MulOp>(quotient) ||
               !takeProduct(quotient, inner, next))
             return false;
           // What divides beside the cap is part of the scale.
           scores.softcap = *cap;
           scores.scale = inner.scale * *cap;
           return true;
         });
}

/// Whether `value` is computed from a MatMul by what may stand between.
bool AttentionMatcher::leadsToProduct(Value value) const {
  SmallVector<Value> pending = {value};
  for (unsigned steps = 0; !pending.empty() && steps < 16; ++steps) {
    Operation *op = pending.pop_back_val().getDefiningOp();
    if (isa_and_nonnull<onnx::MatMulOp>(op))
      return true;
    if (isa_and_nonnull<onnx::AddOp, onnx::MulOp, onnx::DivOp, onnx::WhereOp,
                        onnx::TanhOp, onnx::CastOp>(op))
      llvm::append_range(pending, op->getOperands());
  }
  return false;
}

/// x + bias -> x
bool AttentionMatcher::takeSum(onnx::AddOp op, Scores &scores,
                               Value &next) const {
  if (scores.scale != 1 || scores.softcap != 0)
    return false;
  return inEitherOrder(op, [&](Value x, Value bias) {
    if (!haveSameDims(x, op) || !leadsToProduct(x))
      return false;
    scores.biases.push_back(bias);
    next = x;
    return true;
  });
}

/// where(c, x, hidden), where(c, hidden, x) -> x. `hidden` has to be so low
/// that a score makes no difference to it.
bool AttentionMatcher::takeChoice(onnx::WhereOp op, Scores &scores,
                                  Value &next) const {
  constexpr double low = -1e30;
  if (scores.scale != 1 || scores.softcap != 0 || scores.condition ||
      !scores.biases.empty())
    return false;
  for (unsigned kept : {1, 2}) {
    std::optional<double> hidden = getScalar(op->getOperand(3 - kept));
    if (!hidden || *hidden > low || !haveSameDims(op->getOperand(kept), op))
      continue;
    scores.condition = op->getOperand(0);
    scores.hidden = *hidden;
    scores.hidesIfTrue = kept == 2;
    next = op->getOperand(kept);
    return true;
  }
  return false;
}

std::optional<Scores> AttentionMatcher::getScores(Value value) const {
  Scores scores;
  while (value.hasOneUse()) {
    Operation *op = value.getDefiningOp();
    Value next;
    if (auto product = dyn_cast_if_present<onnx::MatMulOp>(op)) {
      scores.product = product;
      return scores;
    }
    bool taken = false;
    if (auto mul = dyn_cast_if_present<onnx::MulOp>(op))
      taken = takeCap(mul, scores, next) || takeProduct(mul, scores, next);
    else if (auto div = dyn_cast_if_present<onnx::DivOp>(op))
      taken = takeProduct(div, scores, next);
    else if (auto add = dyn_cast_if_present<onnx::AddOp>(op))
      taken = takeSum(add, scores, next);
    else if (auto where = dyn_cast_if_present<onnx::WhereOp>(op))
      taken = takeChoice(where, scores, next);
    else if (isa_and_nonnull<onnx::CastOp>(op))
      taken = (next = skipFloatCast(value)) != value;
    if (!taken)
      return std::nullopt;
    value = next;
  }
  return std::nullopt;
}

/// reshape(transpose(reshape(x))) that swaps the last two of four dimensions,
/// the first two as one -> x
Value AttentionMatcher::skipFlatTranspose(Value value) const {
  auto split = value.getDefiningOp<onnx::ReshapeOp>();
  auto transpose = split ? split.getData().getDefiningOp<onnx::TransposeOp>()
                         : onnx::TransposeOp();
  auto merge = transpose ? transpose.getData().getDefiningOp<onnx::ReshapeOp>()
                         : onnx::ReshapeOp();
  if (!merge || transpose.getPerm() != ArrayRef<int64_t>{0, 2, 1})
    return Value();
  auto from = getDims(merge.getData()), flat = getDims(merge),
       to = getDims(split);
  if (!from || !flat || !to || from->size() != 4 || to->size() != 4)
    return Value();
  ArrayRef<AffineExpr> d = *from;
  bool fits = flat->drop_front() == d.drop_front(2) &&
              *to == ArrayRef<AffineExpr>{d[0], d[1], d[3], d[2]};
  return fits ? merge.getData() : Value();
}

/// Follows scales and transposes up; `isTransposed`: of [.., size, tokens].
HeadOperand AttentionMatcher::getOperand(Value value, bool isTransposed) const {
  HeadOperand operand;
  Scores scales;
  auto skipScales = [&](Value from) {
    Value next;
    while (isa_and_nonnull<onnx::MulOp, onnx::DivOp>(from.getDefiningOp()) &&
           takeProduct(from.getDefiningOp(), scales, next))
      from = next;
    return from;
  };
  Value source = isTransposed || value.hasOneUse() ? skipScales(value) : value;
  auto transpose = source.getDefiningOp<onnx::TransposeOp>();
  std::optional<ArrayRef<int64_t>> order;
  if (transpose)
    order = transpose.getPerm();
  auto is = [&](ArrayRef<int64_t> wanted) { return order && *order == wanted; };
  if (isTransposed && is({0, 1, 3, 2}))
    source = skipScales(transpose.getData());
  else if (isTransposed && is({0, 2, 3, 1}))
    source = skipScales(transpose.getData()), operand.tokensFirst = true;
  else if (Value flat = isTransposed ? skipFlatTranspose(source) : Value())
    source = skipScales(flat);
  else if (isTransposed)
    return {};
  // Of the last two, one transpose more makes the heads come second.
  transpose = source.getDefiningOp<onnx::TransposeOp>();
  order = transpose ? transpose.getPerm() : std::nullopt;
  if (!operand.tokensFirst && is({0, 2, 1, 3})) {
    source = skipScales(transpose.getData());
    operand.tokensFirst = true;
  }
  operand.value = source;
  operand.scale = scales.scale;
  return operand;
}

/// x, of which `value` has what is at `index` along `axis`: a slice without
/// that dimension, or what Gather takes.
Value AttentionMatcher::skipSelection(Value value, int64_t &axis,
                                      int64_t &index) const {
  Value source;
  if (auto gather = value.getDefiningOp<onnx::GatherOp>()) {
    source = gather.getData();
    auto rank = getDims(gather.getIndices());
    std::optional<double> number = getScalar(gather.getIndices());
    if (!rank || !rank->empty() || !number)
      return Value();
    axis = gather.getAxis(), index = int64_t(*number);
  } else if (auto squeeze = value.getDefiningOp<onnx::SqueezeOp>()) {
    auto slice = squeeze.getData().getDefiningOp<onnx::SliceOp>();
    if (!slice || !slice.getAxes())
      return Value();
    source = slice.getData();
    auto from = getIntegers(slice.getStarts()),
         axes = getIntegers(slice.getAxes());
    auto taken = getDims(slice), left = getDims(squeeze);
    if (!from || !axes || axes->size() != 1 || !taken || !left ||
        taken->size() != left->size() + 1)
      return Value();
    axis = axes->front(), index = from->front();
    axis += axis < 0 ? int64_t(taken->size()) : 0;
    SmallVector<AffineExpr> without(*taken);
    without.erase(without.begin() + axis);
    if ((*taken)[axis] != getAffineConstantExpr(1, slice.getContext()) ||
        ArrayRef<AffineExpr>(without) != *left)
      return Value();
  }
  auto count = source ? getDims(source) : std::nullopt;
  if (!count)
    return Value();
  axis += axis < 0 ? int64_t(count->size()) : 0;
  index += index < 0 ? getStaticDim(source, axis).value_or(0) : 0;
  return index < 0 ? Value() : source;
}

std::optional<int64_t> AttentionMatcher::takePart(HeadOperand &operand) const {
  int64_t axis = 0, index = 0;
  Value source = skipSelection(operand.value, axis, index);
  auto dims = source ? getDims(source) : std::nullopt;
  if (!dims || dims->size() != 5)
    return std::nullopt;
  SmallVector<int64_t> order = {0, 1, 2, 3, 4};
  if (auto transpose = source.getDefiningOp<onnx::TransposeOp>()) {
    if (!transpose.getPerm())
      return std::nullopt;
    order.assign(transpose.getPerm()->begin(), transpose.getPerm()->end());
    source = transpose.getData();
  }
  // Of batch, heads, tokens, size, and last of the parts.
  SmallVector<int64_t> axes = order;
  axes.erase(axes.begin() + axis);
  if (operand.tokensFirst)
    std::swap(axes[1], axes[2]);
  axes.push_back(order[axis]);
  if (axes != SmallVector<int64_t>{0, 3, 1, 4, 2})
    return std::nullopt;
  operand.value = source;
  return index;
}

/// where(isnan(x), 0, x) -> x
Value AttentionMatcher::skipZeroed(Value weights, bool &isZeroed) const {
  auto where = weights.getDefiningOp<onnx::WhereOp>();
  if (!where || !weights.hasOneUse() || !isScalar(where->getOperand(1), 0))
    return weights;
  Value source = where->getOperand(2);
  auto test = where->getOperand(0).getDefiningOp<onnx::IsNaNOp>();
  if (!test || test->getOperand(0) != source || !test->hasOneUse() ||
      !source.hasNUses(2))
    return weights;
  isZeroed = true;
  return source;
}

/// reshape(expand(unsqueeze(x))) -> x
bool AttentionMatcher::dropRepeat(HeadOperand &operand, int64_t times) const {
  auto merge = operand.value.getDefiningOp<onnx::ReshapeOp>();
  if (!merge)
    return false;
  auto expand = merge->getOperand(0).getDefiningOp<onnx::ExpandOp>();
  if (!expand)
    return false;
  Operation *insert = expand->getOperand(0).getDefiningOp();
  if (!isa_and_nonnull<onnx::UnsqueezeOp, onnx::ReshapeOp>(insert))
    return false;
  Value source = insert->getOperand(0);
  auto from = getDims(source), wide = getDims(expand), to = getDims(merge);
  if (!from || !wide || !to || from->size() != 4 || wide->size() != 5 ||
      to->size() != 4)
    return false;
  unsigned head = operand.tokensFirst ? 2 : 1;
  SmallVector<AffineExpr> repeated(*from), merged(*from);
  AffineExpr count = getAffineConstantExpr(times, merge.getContext());
  repeated.insert(repeated.begin() + head + 1, count);
  merged[head] = merged[head] * times;
  SmallVector<AffineExpr> inserted = repeated;
  inserted[head + 1] = getAffineConstantExpr(1, merge.getContext());
  auto before = getDims(insert->getResult(0));
  if (*wide != ArrayRef<AffineExpr>(repeated) ||
      *to != ArrayRef<AffineExpr>(merged) || !before ||
      *before != ArrayRef<AffineExpr>(inserted))
    return false;
  operand.value = source;
  auto transpose = source.getDefiningOp<onnx::TransposeOp>();
  std::optional<ArrayRef<int64_t>> order;
  if (transpose)
    order = transpose.getPerm();
  if (!operand.tokensFirst && order &&
      *order == ArrayRef<int64_t>{0, 2, 1, 3}) {
    operand.value = transpose.getData();
    operand.tokensFirst = true;
  }
  return true;
}

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
