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
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
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
        auto readRoot = [&](ScalarExpr m) -> ComplexExpr {
          Value table = launch.input(roots);
          return {code.read(table, {m, code.index(0)}),
                  code.read(table, {m, code.index(1)})};
        };
        FourierStage stage{code,
                           transform.getReal(),
                           transform.isInverse,
                           code.index(transform.length),
                           code.index(radix),
                           code.index(earlier),
                           code.index(later),
                           read,
                           readRoot};
        ScalarExpr position = at[transform.axis];
        ComplexExpr value = stage.emitAt(position, radix);
        if (later == 1)
          value = finishFrequency(value, position, stage.length,
                                  code(launch.index(transform.parts)) == 1,
                                  transform.isInverse);
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
