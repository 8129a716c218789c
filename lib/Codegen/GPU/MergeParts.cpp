#include "MergeParts.h"

#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

/// So many parts are on their way at a time, more than there mostly are.
static constexpr int64_t kAhead = 16;

MergeParts::MergeParts(AttentionOp op, kernel::FuncOp kernel,
                       KernelFrame &frame, AffineExpr parts,
                       bool areLaunchesEarly)
    : AttentionValues(op, kernel, frame), isEarly(areLaunchesEarly),
      whole(result), wholeLse(lse) {
  keepParts(parts);
}

void MergeParts::enterBlock() {
  Value item = frame.begin();
  token = b.take(item, size(query.sizes[2]));
  head = b.take(item, size(query.sizes[1]));
  batch = item;
}

/// Short where the result is rounded to 16 bits, as attention's own weights.
Value MergeParts::getWeight(Value score, Value shift) {
  Value rest = arith::SubFOp::create(b.builder, b.loc, score, shift);
  if (whole.element.getIntOrFloatBitWidth() > 16)
    return math::ExpOp::create(b.builder, b.loc, rest);
  return b.power(multiply(rest, b.constant(type, llvm::numbers::log2e)));
}

MergeParts::Sums MergeParts::addParts(const Sums &sums, const Values &scores,
                                      const Values &parts) {
  Value highest = sums.highest;
  for (Value score : scores)
    highest = arith::MaxNumFOp::create(b.builder, b.loc, highest, score);
  // A row without keys in any part has weights of exp(-inf), not of NaN.
  Value shift = getShift(highest);
  Value rescale = getWeight(sums.highest, shift);
  Value total = multiply(sums.total, rescale);
  Value feature = multiply(sums.feature, rescale);
  for (auto [score, part] : llvm::zip_equal(scores, parts)) {
    Value weight = getWeight(score, shift);
    total = plus(total, weight);
    feature = plus(feature, multiply(weight, part));
  }
  return {highest, total, feature};
}

/// The score, once all parts have come. Their bits and a zero of which ptxas
/// does not know that it is one leave the score as it is: else the parts would
/// be asked for when the weights are there, which wait for the scores.
Value MergeParts::withParts(Value score, const Values &parts, Value zero) {
  Type bits = b.builder.getIntegerType(type.getIntOrFloatBitWidth());
  auto toBits = [&](Value value) -> Value {
    return arith::BitcastOp::create(b.builder, b.loc, bits, value);
  };
  Value all = toBits(parts[0]);
  for (Value part : ArrayRef(parts).drop_front())
    all = arith::OrIOp::create(b.builder, b.loc, all, toBits(part));
  if (bits != zero.getType())
    zero = arith::ExtUIOp::create(b.builder, b.loc, bits, zero);
  all = arith::AndIOp::create(b.builder, b.loc, all, zero);
  return arith::BitcastOp::create(
      b.builder, b.loc, type,
      arith::OrIOp::create(b.builder, b.loc, toBits(score), all));
}

/// Behind the last part its features are read again, with a weight of zero.
/// Where keys have more than one part rows are few, and 32 bits hold distances:
/// addresses must be quick to compute, else loads wait for the first weights.
MergeParts::Sums MergeParts::sumParts(Value feature) {
  Value zero = b.constant(type, 0), count = b.narrow(size(splits));
  Value last = b.sub(count, b.number(1));
  Value none = arith::ShRSIOp::create(b.builder, b.loc, count, b.number(31));
  Value place = offset(b, result, {batch, head, token, feature});
  Value row = lseOffset(b, b.index(0), batch, head, token);
  Value stride = b.narrow(partOffset(b, b.index(1)));
  Value rows =
      b.narrow(lseOffset(b, b.index(1), b.index(0), b.index(0), b.index(0)));
  Values sums = b.fold(
      b.index(0), size(splits), kAhead, {lowest(), zero, zero},
      [&](Value begin, ValueRange so) {
        Value first = b.narrow(begin);
        Values scores, parts;
        for (int64_t i = 0; i < kAhead; ++i) {
          Value own = b.add(first, b.number(i)), part = b.min(own, last);
          auto from = [&](Value memory, Value place, Value stride) {
            return b.load(memory, b.add(place, b.widen(b.mul(part, stride))));
          };
          Value score = from(lse, row, rows);
          scores.push_back(select(b.isLess(own, count), score, lowest()));
          parts.push_back(from(result.memory, place, stride));
        }
        scores[0] = withParts(scores[0], parts, none);
        Sums next = addParts({so[0], so[1], so[2]}, scores, parts);
        return Values{next.highest, next.total, next.feature};
      });
  return {sums[0], sums[1], sums[2]};
}

void MergeParts::storeFeature(Value feature, const Sums &sums) {
  Value quotient =
      arith::DivFOp::create(b.builder, b.loc, sums.feature, sums.total);
  Value zero = b.constant(type, 0);
  if (op.getZeroEmpty())
    quotient = select(isEqual(sums.total, zero), zero, quotient);
  b.store(b.convert(quotient, whole.element), whole.memory,
          offset(b, whole, {batch, head, token, feature}));
}

void MergeParts::storeLse(const Sums &sums) {
  Value log = math::LogOp::create(b.builder, b.loc, sums.total);
  Type element = cast<MemRefType>(wholeLse.getType()).getElementType();
  b.store(b.convert(plus(sums.highest, log), element), wholeLse,
          lseOffset(b, b.index(0), batch, head, token));
}

AffineExpr MergeParts::emit() {
  enterBlock();
  if (isEarly)
    b.waitForLaunchBefore();
  Value features = size(value.sizes[3]);
  // At least one round, for `lse`.
  b.forEach(
      b.thread(), b.max(features, b.index(1)), kThreads, [&](Value feature) {
        Sums sums = sumParts(feature);
        b.ifElse(b.isLess(feature, features),
                 [&] { storeFeature(feature, sums); });
        if (wholeLse)
          b.ifElse(b.isLess(feature, b.index(1)), [&] { storeLse(sums); });
      });
  return query.sizes[0] * query.sizes[1] * query.sizes[2];
}
