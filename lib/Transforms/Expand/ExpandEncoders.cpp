// What ONNX Runtime's optimizer and quantizer make of encoders and recurrent
// layers, as what it was made from.

#include "Parts.h"

using namespace mlir;
using namespace tenon;

namespace {
/// What attention with packed weights is made of, quantized or not.
struct PackedAttention {
  Value projected;  // [B, S, query | key | value]
  Value mask, past; // may be absent
  Value bias;       // added to the scores; may be absent
  SmallVector<int64_t> widths;
  Type present;  // null where the caches are not wanted
  int64_t batch; // perhaps not known
  int64_t heads;
  bool isCausal;
  double filter;
  FloatAttr scale;
};
} // namespace

/// Columns of query, key and value; empty where they are not known.
static SmallVector<int64_t> getWidths(Value weights,
                                      std::optional<ArrayRef<int64_t>> sizes) {
  RankedTensorType type = getRanked(weights);
  if (type.getRank() != 2 || type.isDynamicDim(1))
    return {};
  int64_t width = type.getDimSize(1);
  SmallVector<int64_t> widths(3, width / 3);
  if (sizes)
    widths = SmallVector<int64_t>(*sizes);
  if (widths.size() != 3 || widths[0] + widths[1] + widths[2] != width)
    return {};
  return widths;
}

/// Why an attention cannot be said by MultiHeadAttention; null if it can.
template <typename Op>
static const char *checkAttention(Op op, Value weights,
                                  std::optional<ArrayRef<int64_t>> sizes) {
  if (op.getDoRotary() || op.getPastPresentShareBuffer())
    return "it rotates, or its cache is a buffer";
  if (getWidths(weights, sizes).empty())
    return "the widths of query, key and value are not known";
  if (op.getMaskIndex() && getRanked(op.getMaskIndex()).getRank() > 3)
    return "the mask has four axes";
  return nullptr;
}

/// i32 [B, T]: 1 for each key before the length of its sequence, and, where the
/// mask has twice as many elements, not before its beginning.
static Value getValidKeys(const PackedAttention &from, Parts &parts) {
  Value total = parts.size(from.projected, 1);
  if (from.past)
    total = parts.add(total, parts.size(from.past, 3));
  Type i32 = parts.builder().getI32Type();
  Value keys = parts.cast(parts.range(parts.squeeze(total, {0})), i32);
  auto isLess = [&](Value a, Value b) {
    return parts.make("onnx.Less", {a, b},
                      parts.typeOf(2, parts.builder().getI1Type()));
  };
  int64_t batch = from.batch;
  int64_t numbers = getRanked(from.mask).getDimSize(0);
  bool hasBegins = !ShapedType::isDynamic(batch) && numbers == 2 * batch;
  if (!hasBegins)
    return parts.cast(isLess(keys, parts.unsqueeze(from.mask, {1})), i32);
  SmallVector<Value> ends = parts.split(from.mask, 0, {batch, batch});
  Value isBefore = isLess(keys, parts.unsqueeze(ends[1], {1}));
  Value isWithin = isLess(keys, parts.unsqueeze(ends[0], {1}));
  return parts.sub(parts.cast(isWithin, i32), parts.cast(isBefore, i32));
}

/// 0 where mask [B, S, T] lets a query see a key, else the filter value.
static Value getScoreBias(const PackedAttention &from, Parts &parts) {
  Type element = getRanked(from.projected).getElementType();
  Value isHidden = parts.equal(
      from.mask,
      parts.integer(0, getRanked(from.mask).getElementTypeBitWidth()));
  Value bias =
      parts.where(parts.unsqueeze(isHidden, {1}),
                  parts.scalar(element, from.filter), parts.scalar(element, 0));
  return from.bias ? parts.add(bias, from.bias) : bias;
}

/// projection -> Split, MultiHeadAttention; caches are taken from one tensor
/// and stacked in one again.
static SmallVector<Value> attend(const PackedAttention &from, Parts &parts) {
  SmallVector<Value> qkv = parts.split(from.projected, 2, from.widths);
  Value padding, bias = from.bias;
  int64_t maskRank = from.mask ? getRanked(from.mask).getRank() : 0;
  if (maskRank == 1)
    padding = getValidKeys(from, parts);
  else if (maskRank == 2)
    padding = from.mask;
  else if (maskRank == 3)
    bias = getScoreBias(from, parts);
  SmallVector<Value> past(2);
  if (from.past)
    for (auto [one, part] : llvm::zip(past, parts.split(from.past, 0, {1, 1})))
      one = parts.squeeze(part, {0});

  Type element = getRanked(from.projected).getElementType();
  Type cache = from.present ? parts.typeOf(4, element) : Type();
  SmallVector<NamedAttribute> attributes = {
      parts.named("num_heads", from.heads),
      parts.named("unidirectional", from.isCausal),
      parts.number("mask_filter_value", from.filter)};
  if (from.scale)
    attributes.push_back(parts.builder().getNamedAttr("scale", from.scale));
  Operation *op = parts.node(
      "onnx.ms.MultiHeadAttention",
      {qkv[0], qkv[1], qkv[2], Value(), padding, bias, past[0], past[1]},
      {parts.typeOf(3, element), cache, cache, Type()}, attributes);
  if (!from.present)
    return {op->getResult(0), Value()};
  Value present = parts.concat({parts.unsqueeze(op->getResult(1), {0}),
                                parts.unsqueeze(op->getResult(2), {0})},
                               0);
  return {op->getResult(0), present};
}

template <typename Op>
static SmallVector<Value> attendAs(Op op, Value projected, Value bias,
                                   ArrayRef<int64_t> widths, Parts &parts) {
  PackedAttention from;
  from.projected = projected;
  from.mask = op.getMaskIndex();
  from.past = op.getPast();
  from.bias = bias;
  from.widths.assign(widths.begin(), widths.end());
  from.present = op.getPresent() ? op.getPresent().getType() : Type();
  from.batch = getRanked(op.getInput()).getDimSize(0);
  from.heads = op.getNumHeads();
  from.isCausal = op.getUnidirectional() != 0;
  from.filter = op.getMaskFilterValueAttr().getValueAsDouble();
  from.scale = op.getScaleAttr();
  return attend(from, parts);
}

static const char *checkPacked(onnx::MsAttentionOp op) {
  return op.getPastSequenceLength()
             ? "the cache is a buffer"
             : checkAttention(op, op.getWeights(), op.getQkvHiddenSizes());
}

static SmallVector<Value> expandPacked(onnx::MsAttentionOp op, Parts &parts) {
  Value projected = parts.matmul(op.getInput(), op.getWeights());
  if (op.getBias())
    projected = parts.add(projected, op.getBias());
  return attendAs(op, projected, op.getAttentionBias(),
                  getWidths(op.getWeights(), op.getQkvHiddenSizes()), parts);
}

static const char *checkQuantized(onnx::MsQAttentionOp op) {
  return checkAttention(op, op.getWeight(), std::nullopt);
}

/// The integer product times both scales, then attention of floats.
static SmallVector<Value> expandQuantized(onnx::MsQAttentionOp op,
                                          Parts &parts) {
  Type i32 = parts.builder().getI32Type();
  Value sums = parts.make("onnx.MatMulInteger",
                          {op.getInput(), op.getWeight(),
                           op.getInputZeroPoint(), op.getWeightZeroPoint()},
                          parts.typeOf(3, i32));
  Type element = getRanked(op.getBias()).getElementType();
  Value scale = parts.times(op.getWeightScale(), op.getInputScale());
  Value projected = parts.times(parts.cast(sums, element), scale);
  projected = parts.add(projected, op.getBias());
  return attendAs(op, projected, /*bias=*/Value(),
                  getWidths(op.getWeight(), std::nullopt), parts);
}

/// i32 [B]: how many elements of each row of the mask are 1; 0 without a mask.
static Value countMask(Value mask, Value ids, Parts &parts) {
  Type i32 = parts.builder().getI32Type();
  if (!mask) {
    Value zero = parts.integers({0}, 32);
    return parts.make("onnx.Expand", {zero, parts.size(ids, 0)},
                      parts.typeOf(1, i32));
  }
  Value isOne = parts.equal(
      mask, parts.integer(1, getRanked(mask).getElementTypeBitWidth()));
  return parts.make("onnx.ReduceSum",
                    {parts.cast(isOne, i32), parts.integers({1})},
                    parts.typeOf(1, i32), parts.named("keepdims", 0));
}

/// The first rows of the table of positions, as many as there are tokens.
static Value takePositions(Value table, Value ids, Parts &parts) {
  return parts.slice(table, 0, parts.integers({0}), parts.size(ids, 1));
}

static Value normalize(Value sum, Value gamma, Value beta, FloatAttr epsilon,
                       Parts &parts) {
  return parts.make("onnx.LayerNormalization", {sum, gamma, beta},
                    sum.getType(),
                    {parts.named("axis", -1),
                     parts.number("epsilon", epsilon.getValueAsDouble())});
}

static SmallVector<Value> expandEmbedding(onnx::MsEmbedLayerNormalizationOp op,
                                          Parts &parts) {
  Value ids = op.getInputIds(), table = op.getPositionEmbedding();
  Value sum = parts.gather(op.getWordEmbedding(), ids);
  sum = parts.add(sum, op.getPositionIds()
                           ? parts.gather(table, op.getPositionIds())
                           : takePositions(table, ids, parts));
  if (op.getSegmentIds() && op.getSegmentEmbedding())
    sum = parts.add(sum,
                    parts.gather(op.getSegmentEmbedding(), op.getSegmentIds()));
  Value output =
      normalize(sum, op.getGamma(), op.getBeta(), op.getEpsilonAttr(), parts);
  Value count =
      op.getMaskIndex() ? countMask(op.getMask(), ids, parts) : Value();
  return {output, count, sum};
}

/// Rows are gathered while they are integers.
static SmallVector<Value>
expandQuantizedEmbedding(onnx::MsQEmbedLayerNormalizationOp op, Parts &parts) {
  Value ids = op.getInputIds();
  Value sum = parts.dequantize(parts.gather(op.getWordEmbeddingQuant(), ids),
                               op.getWordEmbeddingScale(),
                               op.getWordEmbeddingZeroPoint(), 0);
  Value positions = takePositions(op.getPositionEmbeddingQuant(), ids, parts);
  sum =
      parts.add(sum, parts.dequantize(positions, op.getPositionEmbeddingScale(),
                                      op.getPositionEmbeddingZeroPoint(), 0));
  if (op.getSegmentIds() && op.getSegmentEmbedding())
    sum =
        parts.add(sum, parts.dequantize(parts.gather(op.getSegmentEmbedding(),
                                                     op.getSegmentIds()),
                                        op.getSegmentEmbeddingScale(),
                                        op.getSegmentEmbeddingZeroPoint(), 0));
  Value gamma = parts.dequantize(op.getGammaQuant(), op.getGammaScale(),
                                 op.getGammaZeroPoint(), 0);
  Value beta = parts.dequantize(op.getBetaQuant(), op.getBetaScale(),
                                op.getBetaZeroPoint(), 0);
  Value output = normalize(sum, gamma, beta, op.getEpsilonAttr(), parts);
  Value count =
      op.getMaskIndexOut() ? countMask(op.getMask(), ids, parts) : Value();
  return {output, count};
}

/// [directions, inputs, gates] of integers as LSTM's weights; a scale is for a
/// direction or for a gate's unit in one.
static Value dequantizeGates(Value weight, Value scale, Value zero,
                             Parts &parts) {
  if (getRanked(scale).getRank() < 2)
    return parts.turned(parts.dequantize(weight, scale, zero, 0), true);
  Type element = getRanked(scale).getElementType();
  Value steps = parts.sub(parts.cast(weight, element),
                          parts.unsqueeze(parts.cast(zero, element), {1}));
  return parts.turned(parts.times(steps, parts.unsqueeze(scale, {1})), true);
}

static SmallVector<Value> expandRecurrence(onnx::MsDynamicQuantizeLSTMOp op,
                                           Parts &parts) {
  Value w =
      dequantizeGates(op.getW(), op.getWScale(), op.getWZeroPoint(), parts);
  Value r =
      dequantizeGates(op.getR(), op.getRScale(), op.getRZeroPoint(), parts);
  SmallVector<NamedAttribute> attributes;
  for (NamedAttribute attribute : op->getAttrs())
    if (!attribute.getName().strref().ends_with("SegmentSizes"))
      attributes.push_back(attribute);
  auto typeOf = [&](Value output, int64_t rank) {
    return output ? parts.typeOf(rank, getRanked(op.getX()).getElementType())
                  : Type();
  };
  Operation *lstm = parts.node(
      "onnx.LSTM",
      {op.getX(), w, r, op.getB(), op.getSequenceLens(), op.getInitialH(),
       op.getInitialC(), op.getP()},
      {typeOf(op.getY(), 4), typeOf(op.getYH(), 3), typeOf(op.getYC(), 3)},
      attributes);
  return cast<onnx::NodeInterface>(lstm).getOnnxOutputs();
}

void tenon::populateEncoderPatterns(RewritePatternSet &patterns) {
  auto add = [&](auto *pattern) {
    patterns.add(std::unique_ptr<RewritePattern>(pattern));
  };
  using namespace onnx;
  MLIRContext *context = patterns.getContext();
  add(new PartsPattern<MsAttentionOp>(context, expandPacked, checkPacked));
  add(new PartsPattern<MsQAttentionOp>(context, expandQuantized,
                                       checkQuantized));
  add(new PartsPattern<MsEmbedLayerNormalizationOp>(context, expandEmbedding));
  add(new PartsPattern<MsQEmbedLayerNormalizationOp>(context,
                                                     expandQuantizedEmbedding));
  add(new PartsPattern<MsDynamicQuantizeLSTMOp>(context, expandRecurrence));
}
