#include "FourierRadix.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// 1 where the condition holds, else -1.
ScalarExpr FourierStage::getSign(ScalarExpr condition) const {
  ScalarExpr one = code.constant(real, 1);
  return condition.select(one, -one);
}

ComplexExpr FourierStage::emitTwo(ScalarExpr u, Elements x) const {
  return x(code.index(0)) + x(code.index(1)) * getSign(u == 0);
}

ComplexExpr FourierStage::emitFour(ScalarExpr u, Elements x) const {
  ScalarExpr isEven = u % 2.0 == 0, parity = getSign(isEven);
  ComplexExpr even = x(code.index(0)) + x(code.index(2)) * parity;
  ComplexExpr odd = x(code.index(1)) + x(code.index(3)) * parity;
  // Odd frequencies turn by a quarter.
  ScalarExpr quarter = isInverse ? parity.like(1) : parity.like(-1);
  ComplexExpr turned = {isEven.select(odd.re, -(odd.im * quarter)),
                        isEven.select(odd.im, odd.re * quarter)};
  return even + turned * getSign(u < 2);
}

/// Pairs of elements that mirror each other share their cosine and sine.
ComplexExpr FourierStage::emitOdd(ScalarExpr u, Elements x,
                                  std::optional<int64_t> factor) const {
  ComplexExpr first = x(code.index(0));
  ScalarExpr zero = first.re.like(0), stride = length / radix;
  auto addPair = [&](ScalarExpr j, ScalarExpr step,
                     ArrayRef<ScalarExpr> sum) -> Exprs {
    ComplexExpr near = x(j), far = x(radix - j);
    ComplexExpr root = readRoot(step * stride);
    ComplexExpr both = near + far, apart = near - far;
    return {sum[0] + root.re * both.re, sum[1] + root.re * both.im,
            sum[2] + root.im * apart.re, sum[3] + root.im * apart.im};
  };
  Exprs sums{first.re, first.im, zero, zero};
  if (factor && *factor <= 5) {
    for (int64_t j = 1; 2 * j < *factor; ++j)
      sums = addPair(code.index(j), (u * double(j)) % radix, sums);
  } else {
    sums.push_back(u); // u times j, less whole turns
    sums = code.loop(code.index(1), (radix + 1.0) / 2.0, sums,
                     [&](ScalarExpr j, ArrayRef<ScalarExpr> sum) -> Exprs {
                       Exprs next = addPair(j, sum[4], sum);
                       ScalarExpr turned = sum[4] + u;
                       ScalarExpr isOver = turned >= radix;
                       next.push_back(isOver.select(turned - radix, turned));
                       return next;
                     });
  }
  return {sums[0] - sums[3], sums[1] + sums[2]};
}

ComplexExpr FourierStage::emitSmall(ScalarExpr u, ScalarExpr k, ScalarExpr i,
                                    std::optional<int64_t> factor) const {
  auto x = [&](ScalarExpr j) { return read((j + k * radix) * later + i); };
  if (factor == 2)
    return emitTwo(u, x);
  return factor == 4 ? emitFour(u, x) : emitOdd(u, x, factor);
}

ComplexExpr FourierStage::emit(ScalarExpr u, ScalarExpr k, ScalarExpr i,
                               std::optional<int64_t> factor) const {
  ComplexExpr value = emitSmall(u, k, i, factor);
  ComplexExpr turned = value * readRoot(u * i * earlier);
  ScalarExpr isLast = later == 1;
  return {isLast.select(value.re, turned.re),
          isLast.select(value.im, turned.im)};
}

ComplexExpr FourierStage::emitAt(ScalarExpr position,
                                 std::optional<int64_t> factor) const {
  ScalarExpr i = position % later, rest = position / later;
  ScalarExpr u = rest / earlier;
  return emit(factor ? u : u.min(radix - 1.0), rest % earlier, i, factor);
}

ComplexExpr tenon::finishFrequency(ComplexExpr value, ScalarExpr frequency,
                                   ScalarExpr length, ScalarExpr isReal,
                                   bool isInverse) {
  Type f64 = Float64Type::get(length.type().getContext());
  ScalarExpr isOwnMirror = (frequency == 0) | (frequency * 2.0 == length);
  value.im = (isReal & isOwnMirror).select(value.im.like(0), value.im);
  if (!isInverse)
    return value;
  ScalarExpr wide = length.to(f64);
  return value * (wide.like(1) / wide).to(value.re.type());
}
