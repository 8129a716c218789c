#include "AttentionMatcher.h"

using namespace mlir;
using namespace tenon;

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
