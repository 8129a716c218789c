// Mixed radix, decimation in frequency, each stage in natural order (Stockham):
// an element of a stage is one output of a small transform times a root of
// unity. Factors are 4, 2 and odd primes, in the order of pocketfft, whose
// results NumPy users have.

#include "FourierStages.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

Type FourierTransform::getReal() const {
  if (element.isF64())
    return element;
  return Float32Type::get(element.getContext());
}

bool tenon::hasFourierStages(int64_t length) {
  constexpr int64_t kMostRoots = 1 << 22; // a table of 32 MB
  return length > 1 && length <= kMostRoots;
}

static SmallVector<int64_t> getFactors(int64_t length) {
  SmallVector<int64_t> factors;
  for (; length % 4 == 0; length /= 4)
    factors.push_back(4);
  if (length % 2 == 0) {
    factors.insert(factors.begin(), 2);
    length /= 2;
  }
  for (int64_t factor = 3; factor * factor <= length; factor += 2)
    for (; length % factor == 0; length /= factor)
      factors.push_back(factor);
  if (length > 1)
    factors.push_back(length);
  return factors;
}

/// cos and sin of 2 pi `eighths` / (8 `length`), from an angle of at most an
/// eighth of a turn.
static std::pair<double, double> getRoot(int64_t eighths, int64_t length) {
  if (eighths > 4 * length) {
    auto [c, s] = getRoot(8 * length - eighths, length);
    return {c, -s};
  }
  if (eighths > 2 * length) {
    auto [c, s] = getRoot(4 * length - eighths, length);
    return {-c, s};
  }
  if (eighths > length) {
    auto [c, s] = getRoot(2 * length - eighths, length);
    return {s, c};
  }
  constexpr double kEighth = 0.7853981633974483096157;
  double angle = kEighth * (double(eighths) / double(length));
  return {std::cos(angle), std::sin(angle)};
}

/// All roots of unity of the transform's order, in the direction that it turns.
template <typename T>
static DenseElementsAttr getRoots(const FourierTransform &transform) {
  std::vector<T> roots;
  for (int64_t m = 0; m < transform.length; ++m) {
    auto [c, s] = getRoot(8 * m, transform.length);
    roots.push_back(static_cast<T>(c));
    roots.push_back(static_cast<T>(transform.isInverse ? s : -s));
  }
  return DenseElementsAttr::get(
      RankedTensorType::get({transform.length, 2}, transform.getReal()),
      ArrayRef<T>(roots));
}

namespace {
/// The transforms of size `radix` of one factor. Elements of the stage before
/// are at (product of earlier factors, radix, product of later ones), those of
/// this one at (radix, earlier, later).
struct Stage {
  const FourierTransform &transform;
  int64_t radix, earlier, later;
  LaunchBuilder &launch;
  unsigned roots; // input of the launch
  ScalarCode &code;
  function_ref<ComplexExpr(ScalarExpr n)> read;

  bool isLast() const { return later == 1; }

  ComplexExpr readRoot(ScalarExpr m) const {
    Value table = launch.input(roots);
    return {code.read(table, {m, code.index(0)}),
            code.read(table, {m, code.index(1)})};
  }
  /// 1 where the condition holds, else -1.
  ScalarExpr getSign(ScalarExpr condition) const {
    ScalarExpr one = code.constant(transform.getReal(), 1);
    return condition.select(one, -one);
  }

  /// Frequency `u` of the transform of x[0], ..., x[radix - 1].
  ComplexExpr emitSmall(ScalarExpr u,
                        function_ref<ComplexExpr(ScalarExpr)> x) const {
    if (radix == 2)
      return x(code.index(0)) + x(code.index(1)) * getSign(u == 0);
    return radix == 4 ? emitFour(u, x) : emitOdd(u, x);
  }

  ComplexExpr emitFour(ScalarExpr u,
                       function_ref<ComplexExpr(ScalarExpr)> x) const {
    ScalarExpr isEven = u % 2.0 == 0, parity = getSign(isEven);
    ComplexExpr even = x(code.index(0)) + x(code.index(2)) * parity;
    ComplexExpr odd = x(code.index(1)) + x(code.index(3)) * parity;
    // Odd frequencies turn by a quarter.
    ScalarExpr quarter = transform.isInverse ? parity.like(1) : parity.like(-1);
    ComplexExpr turned = {isEven.select(odd.re, -(odd.im * quarter)),
                          isEven.select(odd.im, odd.re * quarter)};
    return even + turned * getSign(u < 2);
  }

  /// Pairs of elements that mirror each other share their cosine and sine.
  ComplexExpr emitOdd(ScalarExpr u,
                      function_ref<ComplexExpr(ScalarExpr)> x) const {
    ComplexExpr first = x(code.index(0));
    ScalarExpr zero = first.re.like(0);
    Exprs sums = code.loop(
        code.index(1), code.index((radix + 1) / 2),
        {first.re, first.im, zero, zero},
        [&](ScalarExpr j, ArrayRef<ScalarExpr> sum) -> Exprs {
          ComplexExpr near = x(j), far = x(-j + double(radix));
          ScalarExpr step = (u * j) % double(radix);
          ComplexExpr root = readRoot(step * double(transform.length / radix));
          ComplexExpr both = near + far, apart = near - far;
          return {sum[0] + root.re * both.re, sum[1] + root.re * both.im,
                  sum[2] + root.im * apart.re, sum[3] + root.im * apart.im};
        });
    return {sums[0] - sums[3], sums[1] + sums[2]};
  }

  ComplexExpr emit(ScalarExpr position) const {
    ScalarExpr i = position % double(later), rest = position / double(later);
    ScalarExpr k = rest % double(earlier), u = rest / double(earlier);
    ComplexExpr small = emitSmall(u, [&](ScalarExpr j) {
      return read((j + k * double(radix)) * double(later) + i);
    });
    return isLast() ? small : small * readRoot(u * i * double(earlier));
  }

  /// What a real signal's transform has no imaginary part of, and an inverse
  /// one's scale.
  ComplexExpr finish(ComplexExpr value, ScalarExpr frequency) const {
    ScalarExpr isOwnMirror =
        (frequency == 0) |
        (frequency * 2.0 == frequency.like(double(transform.length)));
    ScalarExpr isReal = code(launch.index(transform.parts)) == 1;
    value.im = (isReal & isOwnMirror).select(value.im.like(0), value.im);
    return transform.isInverse ? value * value.re.like(1.0 / transform.length)
                               : value;
  }
};
} // namespace

static Value makeTable(const FourierTransform &transform, Lowering &lowering) {
  Type real = transform.getReal();
  Value table = kernel::WeightOp::create(
      lowering.builder, transform.loc,
      RankedTensorType::get({transform.length, 2}, real),
      lowering.builder.getStringAttr("roots"),
      real.isF64() ? getRoots<double>(transform) : getRoots<float>(transform));
  lowering.setDims(table,
                   {lowering.constant(transform.length), lowering.constant(2)});
  return table;
}

/// The launch of one factor; `previous` is what the launch before made, or
/// null.
static Value emitStage(const FourierTransform &transform, int64_t radix,
                       int64_t earlier, Value previous, Value table,
                       Lowering &lowering) {
  int64_t later = transform.length / (earlier * radix);
  SmallVector<Value> inputs =
      previous ? SmallVector<Value>{previous} : transform.inputs;
  unsigned roots = inputs.size();
  inputs.push_back(table);
  Result made{transform.element, transform.dims};
  if (later > 1) {
    made.element = transform.getReal();
    made.dims[transform.axis] = lowering.constant(transform.length);
    made.dims.back() = lowering.constant(2);
  }
  LaunchBuilder launch = lowering.launch(transform.loc, inputs, made);
  Value result = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    auto read = [&](ScalarExpr n) -> ComplexExpr {
      if (!previous)
        return transform.read(launch, code, at, n);
      Exprs from(at);
      from[transform.axis] = n;
      from.back() = code.index(0);
      ScalarExpr re = code.read(launch.input(0), from);
      from.back() = code.index(1);
      return {re, code.read(launch.input(0), from)};
    };
    Stage stage{transform, radix, earlier, later, launch, roots, code, read};
    ScalarExpr position = at[transform.axis];
    ComplexExpr value = stage.emit(position);
    if (stage.isLast())
      value = stage.finish(value, position);
    return (at.back() == 0).select(value.re, value.im);
  });
  return lowering.finish(launch, result).getResult(0);
}

Value tenon::emitFourierStages(const FourierTransform &transform,
                               Lowering &lowering) {
  Value table = makeTable(transform, lowering), result;
  int64_t earlier = 1;
  for (int64_t radix : getFactors(transform.length)) {
    result = emitStage(transform, radix, earlier, result, table, lowering);
    earlier *= radix;
  }
  return result;
}
