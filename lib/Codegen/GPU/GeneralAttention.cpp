#include "GeneralAttention.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

void GeneralAttention::enterBlock() {
  Value item = frame.begin();
  split = b.take(item, size(splits));
  token = b.take(item, size(query.sizes[2]));
  head = b.take(item, size(query.sizes[1]));
  batch = item;
  keyHead = b.div(head, size(group));
  auto [first, limit] = visibleKeys(b, batch, token);
  Value part = size(keys.ceilDiv(splits));
  Value low = b.mul(split, part);
  begin = b.max(first, low);
  end = b.min(limit, b.add(low, part));
}

/// The scaled product of the query and a key, capped and masked.
Value GeneralAttention::getScore(Value at) {
  Value q = offset(b, query, {batch, head, token});
  Value k = offset(b, key, {batch, keyHead, at});
  Value score = b.fold(
      b.index(0), size(query.sizes[3]), 1, constant(0),
      [&](Value feature, ValueRange sum) {
        Value x = b.load(query.memory,
                         b.add(q, b.mul(feature, size(query.strides[3]))));
        Value y =
            b.load(key.memory, b.add(k, b.mul(feature, size(key.strides[3]))));
        Value scaled = multiply(b.convert(x, type), factor);
        return SmallVector<Value>{
            plus(sum[0], multiply(scaled, b.convert(y, type)))};
      })[0];
  if (double softcap = op.getSoftcap().convertToDouble(); softcap != 0) {
    Value cap = constant(softcap);
    Value part = arith::DivFOp::create(b.builder, b.loc, score, cap);
    score = multiply(math::TanhOp::create(b.builder, b.loc, part), cap);
  }
  return op.getMask() ? addMask(score, at) : score;
}

/// Keys behind the mask's end are hidden.
Value GeneralAttention::addMask(Value score, Value at) {
  bool mayEnd = maskKeys && maskKeys != keys;
  Value place = at, known;
  if (mayEnd) {
    Value last = b.sub(size(maskKeys), b.index(1));
    known = b.isLess(at, size(maskKeys));
    place = b.max(b.index(0), b.min(at, last));
  }
  Value element =
      b.load(mask.memory, offset(b, mask, {batch, head, token, place}));
  if (mask.element.isInteger(1)) {
    Value zero = arith::ConstantOp::create(b.builder, b.loc,
                                           b.builder.getI8IntegerAttr(0));
    Value seen = arith::CmpIOp::create(b.builder, b.loc,
                                       arith::CmpIPredicate::ne, element, zero);
    score = select(seen, score, lowest());
  } else {
    score = plus(score, b.convert(element, type));
  }
  return mayEnd ? select(known, score, lowest()) : score;
}

/// Keys `first` and those that follow, one for each thread.
SmallVector<Value> GeneralAttention::emitTile(Value first, Value feature,
                                              ValueRange running) {
  Value at = b.add(first, thread), last = b.sub(end, b.index(1));
  Value score = select(b.isLess(at, end), getScore(b.min(at, last)), lowest());
  auto larger = [&](OpBuilder &, Value x, Value y) { return higher(x, y); };
  auto sum = [&](OpBuilder &, Value x, Value y) { return plus(x, y); };
  Value highest =
      higher(b.reduceBlock(score, lowest(), kThreads, larger), running[0]);
  // Without any key so far, -inf - -inf would be NaN.
  Value shift = getShift(highest);
  Value weight = exp(minus(score, shift));
  Value rescale = exp(minus(running[0], shift));
  b.store(weight, weights, thread);
  // Waits for all weights to be stored, too.
  Value total = plus(multiply(running[1], rescale),
                     b.reduceBlock(weight, constant(0), kThreads, sum));
  Value count = b.min(b.sub(end, first), b.index(kThreads));
  Value place = offset(b, value, {batch, keyHead, first, feature});
  Value weighted =
      b.fold(b.index(0), count, 1, multiply(running[2], rescale),
             [&](Value i, ValueRange so) {
               Value v = b.load(value.memory,
                                b.add(place, b.mul(i, size(value.strides[2]))));
               return SmallVector<Value>{plus(
                   so[0], multiply(b.load(weights, i), b.convert(v, type)))};
             })[0];
  b.barrier();
  return {highest, total, weighted};
}

void GeneralAttention::finish(Value feature, const Sums &sums) {
  Value zero = constant(0);
  Value inverse =
      arith::DivFOp::create(b.builder, b.loc, constant(1), sums.total);
  if (op.getZeroEmpty() || isSplit)
    inverse = select(isEqual(sums.total, zero), zero, inverse);
  b.ifElse(b.isLess(feature, size(value.sizes[3])), [&] {
    Value at = offset(b, result, {batch, head, token, feature});
    if (isSplit)
      at = b.add(at, partOffset(b, split));
    b.store(b.convert(multiply(sums.feature, inverse), result.element),
            result.memory, at);
  });
  if (!lse)
    return;
  b.ifElse(isZero(feature), [&] {
    Value log = math::LogOp::create(b.builder, b.loc, sums.total);
    Type element = cast<MemRefType>(lse.getType()).getElementType();
    b.store(b.convert(plus(sums.highest, log), element), lse,
            lseOffset(b, split, batch, head, token));
  });
}

/// As many features as there are threads, this one's `feature`.
void GeneralAttention::emitFeatures(Value feature) {
  Value highest = lowest(), total = constant(0);
  if (sinks) {
    Value sink = b.convert(b.load(sinks, head), type);
    highest = select(isZero(split), sink, highest);
    total = select(isZero(split), constant(1), total);
  }
  Value last = b.max(b.index(0), b.sub(size(value.sizes[3]), b.index(1)));
  Value known = b.min(feature, last);
  SmallVector<Value> sums =
      b.fold(begin, end, kThreads, {highest, total, constant(0)},
             [&](Value first, ValueRange running) {
               return emitTile(first, known, running);
             });
  finish(feature, {sums[0], sums[1], sums[2]});
}

AffineExpr GeneralAttention::emit() {
  thread = b.thread();
  factor = scale(b);
  weights = b.allocateShared(kThreads, type);
  enterBlock();
  // At least one round, for `lse`.
  Value features = b.max(b.index(1), size(value.sizes[3]));
  b.forEach(b.index(0), features, kThreads,
            [&](Value first) { emitFeatures(b.add(first, thread)); });
  return query.sizes[0] * query.sizes[1] * query.sizes[2] * splits;
}
