// The stages of FourierStages.cpp in one launch, which loops over the factors
// that another has found. Where there are no threads to share, each signal goes
// through all stages before the next, by whole small transforms; else each
// stage is a loop over the elements of all signals.

#include "FourierLoops.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// A length below 2^63 has at most 40 factors that are 4, 2 once, or odd.
static constexpr int64_t kMostFactors = 40;
/// How many roots of the finer of the two circles that all are products of.
static constexpr int64_t kFineRoots = 64;

Type OpenTransform::getReal() const {
  if (element.isF64())
    return element;
  return Float32Type::get(element.getContext());
}

namespace {
/// What stages read and make are tensors of signals whose last dimension has
/// the real and the imaginary part.
class FourierLoops {
public:
  FourierLoops(const OpenTransform &transform, Lowering &lowering)
      : transform(transform), lowering(lowering), loc(transform.loc),
        real(transform.getReal()) {}

  Value run();

private:
  using Read = FourierStage::Reader;
  using EmitStage = function_ref<ScalarExpr(
      ScalarExpr radix, ScalarExpr earlier, Value from, Value to)>;

  // Launches of their own.
  Value findFactors();
  Value makeCircles();
  Value makeRoots();
  /// A launch on the sizes' inputs and `more`, which stand first.
  LaunchBuilder launchWith(ArrayRef<Value> more, Result result);
  OpenTransform::Sizes getSizes(LaunchBuilder &launch, unsigned first) const;
  /// In a launch on the sizes' inputs alone.
  Value getLength(LaunchBuilder &launch) const {
    return transform.dims ? launch.index(transform.dims->length)
                          : transform.readSizes(launch, 0).length;
  }
  AffineExpr getMostRoots() const {
    return transform.dims ? transform.dims->length : transform.most;
  }

  // Within the launch that transforms.
  Value loopOverPairs(ScalarCode &code, Value signals, Value room,
                      EmitStage emit);
  FourierStage getStage(ScalarCode &code, ScalarExpr radix, ScalarExpr earlier,
                        Read read);
  ComplexExpr finish(ScalarCode &code, ScalarExpr k, Read read);
  ScalarExpr readFactor(ScalarCode &code, ScalarExpr number,
                        ScalarExpr earlier);

  // One signal after the other, [length, 2].
  Value transformInTurn();
  Value transformOne(ScalarCode &code, Value result, ScalarExpr row,
                     ScalarExpr column);
  ScalarExpr runStage(ScalarCode &code, ScalarExpr radix, ScalarExpr earlier,
                      Value from, Value to);
  Exprs runSmall(ScalarCode &code, const FourierStage &stage,
                 std::optional<int64_t> factor, ScalarExpr k, ScalarExpr i,
                 ScalarExpr to);
  ScalarExpr insert(ScalarCode &code, ScalarExpr signal, ScalarExpr n,
                    ComplexExpr value);
  Value store(ScalarCode &code, Value result, ScalarExpr row, ScalarExpr column,
              ScalarExpr k, ComplexExpr value);

  // All signals together, [rows, columns, length, 2].
  Value transformTogether();
  Value mapElements(
      Value target,
      function_ref<ComplexExpr(ScalarCode &, ArrayRef<ScalarExpr> at)> emit);
  /// Row, column and element of a signal.
  Exprs locate(ScalarCode &code, ArrayRef<ScalarExpr> at);
  /// Elements of a signal.
  Read readSignal(ScalarCode &code, Value from, ScalarExpr row,
                  ScalarExpr column);
  ComplexExpr emitElement(ScalarCode &code, ArrayRef<ScalarExpr> at,
                          Value radix, Value earlier, Value from);
  Value storeAll(Value signals);

  const OpenTransform &transform;
  Lowering &lowering;
  Location loc;
  Type real;
  LaunchBuilder *launch = nullptr;
  OpenTransform::Sizes sizes;
  unsigned roots = 0, factors = 0; // inputs of the launch
};
} // namespace

static ComplexExpr readComplex(ScalarCode &code, Value tensor, Exprs at) {
  at.push_back(code.index(0));
  ScalarExpr re = code.read(tensor, at);
  at.back() = code.index(1);
  return {re, code.read(tensor, at)};
}

LaunchBuilder FourierLoops::launchWith(ArrayRef<Value> more, Result result) {
  SmallVector<Value> inputs(more);
  llvm::append_range(inputs, transform.sizeInputs);
  return lowering.launch(loc, inputs, result);
}

OpenTransform::Sizes FourierLoops::getSizes(LaunchBuilder &launch,
                                            unsigned first) const {
  if (!transform.dims)
    return transform.readSizes(launch, first);
  const OpenTransform::Extents &dims = *transform.dims;
  return {launch.index(dims.rows), launch.index(dims.columns),
          launch.index(dims.size), launch.index(dims.length),
          launch.index(dims.frequencies)};
}

/// [count, factors..., 1...]: 2 if it is one of them, then 4s, then odd ones.
Value FourierLoops::findFactors() {
  Type i64 = lowering.builder.getI64Type();
  LaunchBuilder launch =
      launchWith({}, {i64, {lowering.constant(kMostFactors + 4)}});
  ScalarCode code(launch.builder(), loc);
  ScalarExpr zero = code.index(0), one = code.index(1);
  ScalarExpr length = code(getLength(launch)).max(one);
  Exprs twos = code.loopWhile(
      {length, zero}, [&](ArrayRef<ScalarExpr> s) { return s[0] % 2.0 == 0; },
      [&](ArrayRef<ScalarExpr> s) { return Exprs{s[0] / 2.0, s[1] + 1.0}; });
  auto put = [&](ScalarExpr list, ScalarExpr place, ScalarExpr factor) {
    return code(tensor::InsertOp::create(launch.builder(), loc, factor.to(i64),
                                         list, Value(place)));
  };
  ScalarExpr list =
      code(launch.filled(code.constant(i64, 1), launch.destination()));
  ScalarExpr isOdd = twos[1] % 2.0 == 1;
  list = put(list, one, isOdd.select(one + 1.0, one));
  ScalarExpr first = isOdd.select(one, zero), fours = twos[1] / 2.0;
  list =
      code.loop(zero, fours, list, [&](ScalarExpr i, ArrayRef<ScalarExpr> s) {
        return Exprs{put(s[0], first + i + 1.0, code.index(4))};
      })[0];
  Exprs odd = code.loopWhile(
      {twos[0], code.index(3), first + fours, list},
      [&](ArrayRef<ScalarExpr> s) { return s[1] * s[1] <= s[0]; },
      [&](ArrayRef<ScalarExpr> s) {
        ScalarExpr divides = s[0] % s[1] == 0;
        ScalarExpr next = put(s[3], s[2] + 1.0, divides.select(s[1], one));
        return Exprs{divides.select(s[0] / s[1], s[0]),
                     divides.select(s[1], s[1] + 2.0),
                     divides.select(s[2] + 1.0, s[2]), next};
      });
  ScalarExpr count = (odd[0] > 1).select(odd[2] + 1.0, odd[2]);
  list = put(put(odd[3], odd[2] + 1.0, odd[0]), zero, count);
  return lowering.finish(launch, Value(list)).getResult(0);
}

/// Roots of unity of the numbers 0, 1, ..., then of the multiples of
/// kFineRoots, in f64 and from an angle of at most an eighth of a turn.
Value FourierLoops::makeCircles() {
  Type wide = lowering.builder.getF64Type();
  AffineExpr count = getMostRoots().ceilDiv(kFineRoots) + kFineRoots;
  LaunchBuilder launch = launchWith({}, {wide, {count, lowering.constant(2)}});
  Value length = getLength(launch);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        constexpr double kEighth = 0.7853981633974483096157;
        ScalarExpr fine = code.index(kFineRoots);
        ScalarExpr whole = code(length).max(code.index(1));
        ScalarExpr number = (at[0] < fine).select(at[0], (at[0] - fine) * fine);
        ScalarExpr turn = number % whole * 8.0;
        auto fold = [&](double eighths) {
          ScalarExpr isBeyond = turn > whole * eighths;
          turn = isBeyond.select(whole * (2 * eighths) - turn, turn);
          return isBeyond;
        };
        ScalarExpr isBelow = fold(4), isLeft = fold(2), isSteep = fold(1);
        ScalarExpr angle = turn.to(wide) / whole.to(wide) * kEighth;
        ScalarExpr c = isSteep.select(angle.sin(), angle.cos());
        ScalarExpr s = isSteep.select(angle.cos(), angle.sin());
        c = isLeft.select(-c, c);
        s = transform.isInverse ? s : -s;
        return (at[1] == 0).select(c, isBelow.select(-s, s));
      });
  return lowering.finish(launch, result).getResult(0);
}

/// All roots of unity of the length's order, each the product of two.
Value FourierLoops::makeRoots() {
  Value circles = makeCircles();
  LaunchBuilder launch = lowering.launch(
      loc, circles, Result{real, {getMostRoots(), lowering.constant(2)}});
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr number) {
          return readComplex(code, launch.input(0), {number});
        };
        ScalarExpr fine = code.index(kFineRoots);
        ComplexExpr root = read(at[0] % fine) * read(at[0] / fine + fine);
        ScalarExpr part = (at[1] == 0).select(root.re, root.im);
        // What the products' rounding leaves of a zero; no root has less.
        constexpr double kNone = 1e-13;
        return (part.abs() < kNone).select(part.like(0), part);
      });
  return lowering.finish(launch, result).getResult(0);
}

/// A factor of what `earlier` ones leave of the length, whatever the list has:
/// so no place that is made of factors lies outside of a signal.
ScalarExpr FourierLoops::readFactor(ScalarCode &code, ScalarExpr number,
                                    ScalarExpr earlier) {
  ScalarExpr one = code.index(1);
  ScalarExpr factor = code.read(launch->input(factors), number).toIndex();
  return factor.min(code(sizes.length) / earlier).max(one);
}

FourierStage FourierLoops::getStage(ScalarCode &code, ScalarExpr radix,
                                    ScalarExpr earlier, Read read) {
  ScalarExpr length = code(sizes.length);
  auto readRoot = [this, &code](ScalarExpr m) {
    return readComplex(code, launch->input(roots), {m});
  };
  ScalarExpr own = code(radix), before = code(earlier);
  return {code,    real,   transform.isInverse,     length,
          own,     before, length / (before * own), read,
          readRoot};
}

/// Two stages a round, from the signals to the room and back.
Value FourierLoops::loopOverPairs(ScalarCode &code, Value signals, Value room,
                                  EmitStage emit) {
  ScalarExpr count = code.read(launch->input(factors), code.index(0));
  ScalarExpr pairs =
      (count.toIndex().min(code.index(kMostFactors)) + 1.0) / 2.0;
  return code.loop(
      code.index(0), pairs, {code.index(1), code(signals), code(room)},
      [&](ScalarExpr pair, ArrayRef<ScalarExpr> s) -> Exprs {
        ScalarExpr first = readFactor(code, pair * 2.0 + 1.0, s[0]);
        ScalarExpr between = s[0] * first;
        ScalarExpr second = readFactor(code, pair * 2.0 + 2.0, between);
        ScalarExpr there = emit(first, s[0], s[1], s[2]);
        ScalarExpr back = emit(second, between, there, s[1]);
        return {between * second, back, there};
      })[1];
}

/// Frequency `k` from the last stage; nothing is there of an empty signal.
ComplexExpr FourierLoops::finish(ScalarCode &code, ScalarExpr k, Read read) {
  ScalarExpr zero = code.constant(real, 0), length = code(sizes.length);
  Exprs value = code.chooseAll(
      k < length,
      [&] {
        ComplexExpr value = read(k);
        return Exprs{value.re, value.im};
      },
      [&] { return Exprs{zero, zero}; });
  ScalarExpr isReal = code(launch->index(transform.parts)) == 1;
  return finishFrequency({value[0], value[1]}, k, length, isReal,
                         transform.isInverse);
}

ScalarExpr FourierLoops::insert(ScalarCode &code, ScalarExpr signal,
                                ScalarExpr n, ComplexExpr value) {
  for (auto [part, place] :
       {std::pair(value.re, code.index(0)), std::pair(value.im, code.index(1))})
    signal = code(tensor::InsertOp::create(code.builder, loc, part, signal,
                                           ValueRange{n, place}));
  return signal;
}

/// All frequencies of the small transform at (k, i), put into `to`.
Exprs FourierLoops::runSmall(ScalarCode &code, const FourierStage &stage,
                             std::optional<int64_t> factor, ScalarExpr k,
                             ScalarExpr i, ScalarExpr to) {
  auto put = [&](ScalarExpr u, ComplexExpr value, ScalarExpr signal) {
    ScalarExpr place = (u * stage.earlier + k) * stage.later + i;
    return insert(code, signal, place, value);
  };
  if (!factor)
    return code.loop(code.index(0), stage.radix, to,
                     [&](ScalarExpr u, ArrayRef<ScalarExpr> s) -> Exprs {
                       return {put(u, stage.emit(u, k, i, factor), s[0])};
                     });
  SmallVector<ComplexExpr> values;
  for (int64_t u = 0; u < *factor; ++u)
    values.push_back(stage.emit(code.index(u), k, i, factor));
  for (auto [u, value] : llvm::enumerate(values))
    to = put(code.index(u), value, to);
  return {to};
}

/// to = a stage of from; the small transforms one by one.
ScalarExpr FourierLoops::runStage(ScalarCode &code, ScalarExpr radix,
                                  ScalarExpr earlier, Value from, Value to) {
  auto runAll = [&](std::optional<int64_t> factor) {
    FourierStage stage =
        getStage(code, factor ? code.index(*factor) : radix, earlier,
                 [&](ScalarExpr n) { return readComplex(code, from, {n}); });
    return code.loop(code.index(0), earlier, code(to),
                     [&](ScalarExpr k, ArrayRef<ScalarExpr> outer) {
                       return code.loop(
                           code.index(0), stage.later, outer,
                           [&](ScalarExpr i, ArrayRef<ScalarExpr> inner) {
                             return runSmall(code, stage, factor, k, i,
                                             inner[0]);
                           });
                     });
  };
  std::function<Exprs(ArrayRef<int64_t>)> choose =
      [&](ArrayRef<int64_t> known) -> Exprs {
    if (known.empty())
      return runAll(std::nullopt);
    return code.chooseAll(
        radix == double(known[0]), [&] { return runAll(known[0]); },
        [&] { return choose(known.drop_front()); });
  };
  return choose({4, 2, 3, 5})[0];
}

Value FourierLoops::store(ScalarCode &code, Value result, ScalarExpr row,
                          ScalarExpr column, ScalarExpr k, ComplexExpr value) {
  ScalarExpr zero = code.index(0);
  Exprs at{row, k, column, zero};
  if (!transform.dims)
    at = {zero,
          (row * code(sizes.frequencies) + k) * code(sizes.columns) + column,
          zero, zero};
  auto insert = [&](ScalarExpr part) {
    SmallVector<Value> place(at.begin(), at.end());
    result = tensor::InsertOp::create(
        code.builder, loc, part.to(transform.element), result, place);
  };
  insert(value.re);
  at.back() = code.index(1);
  if (transform.resultParts == 2)
    insert(value.im);
  return result;
}

Value FourierLoops::transformOne(ScalarCode &code, Value result, ScalarExpr row,
                                 ScalarExpr column) {
  ScalarExpr zero = code.index(0);
  Dims dims{getMostRoots(), lowering.constant(2)};
  Exprs loaded = code.loop(
      zero, code(sizes.length), code(launch->empty(dims, real)),
      [&](ScalarExpr n, ArrayRef<ScalarExpr> s) -> Exprs {
        return {insert(code, s[0], n,
                       transform.read(*launch, code, sizes, row, column, n))};
      });
  Value done = loopOverPairs(
      code, loaded[0], launch->empty(dims, real),
      [&](ScalarExpr radix, ScalarExpr earlier, Value from, Value to) {
        return runStage(code, radix, earlier, from, to);
      });
  auto read = [&](ScalarExpr n) { return readComplex(code, done, {n}); };
  return code.loop(zero, code(sizes.frequencies), code(result),
                   [&](ScalarExpr k, ArrayRef<ScalarExpr> s) -> Exprs {
                     ComplexExpr value = finish(code, k, read);
                     return {code(store(code, s[0], row, column, k, value))};
                   })[0];
}

Value FourierLoops::transformInTurn() {
  ScalarCode code(launch->builder(), loc);
  return code.loop(code.index(0), code(sizes.rows), code(launch->destination()),
                   [&](ScalarExpr row, ArrayRef<ScalarExpr> outer) {
                     return code.loop(
                         code.index(0), code(sizes.columns), outer,
                         [&](ScalarExpr column, ArrayRef<ScalarExpr> inner) {
                           return Exprs{
                               code(transformOne(code, inner[0], row, column))};
                         });
                   })[0];
}

Value FourierLoops::mapElements(
    Value target,
    function_ref<ComplexExpr(ScalarCode &, ArrayRef<ScalarExpr>)> emit) {
  AffineMap identity = launch->builder().getMultiDimIdentityMap(4);
  return launch->generic(
      {}, {target, identity},
      [&](OpBuilder &nested, Location at, ValueRange) -> Value {
        ScalarCode code(nested, at);
        Exprs place;
        for (int64_t axis = 0; axis < 4; ++axis)
          place.push_back(code(linalg::IndexOp::create(nested, at, axis)));
        ComplexExpr value = emit(code, place);
        return (place[3] == 0).select(value.re, value.im);
      });
}

Exprs FourierLoops::locate(ScalarCode &code, ArrayRef<ScalarExpr> at) {
  if (transform.dims)
    return Exprs(at.drop_back());
  // There may be more elements than those of all signals.
  ScalarExpr one = code.index(1), length = code(sizes.length).max(one);
  ScalarExpr columns = code(sizes.columns).max(one);
  ScalarExpr signal = (at[2] / length).min(code(sizes.rows) * columns - 1.0);
  return {signal / columns, signal % columns, at[2] % length};
}

FourierStage::Reader FourierLoops::readSignal(ScalarCode &code, Value from,
                                              ScalarExpr row,
                                              ScalarExpr column) {
  ScalarExpr zero = code.index(0), first = zero;
  Exprs place{row, column, zero};
  if (!transform.dims) {
    first = (row * code(sizes.columns) + column) * code(sizes.length);
    place = {zero, zero, zero};
  }
  return [&code, from, place, first](ScalarExpr n) mutable -> ComplexExpr {
    place[2] = first + n;
    return readComplex(code, from, place);
  };
}

ComplexExpr FourierLoops::emitElement(ScalarCode &code, ArrayRef<ScalarExpr> at,
                                      Value radix, Value earlier, Value from) {
  Exprs place = locate(code, at);
  Read read = readSignal(code, from, place[0], place[1]);
  auto emit = [&](std::optional<int64_t> factor) -> Exprs {
    ScalarExpr own = factor ? code.index(*factor) : code(radix);
    ComplexExpr value =
        getStage(code, own, code(earlier), read).emitAt(place[2], factor);
    return {value.re, value.im};
  };
  Exprs value = code.chooseAll(
      code(radix) == 4, [&] { return emit(4); },
      [&] {
        return code.chooseAll(
            code(radix) == 2, [&] { return emit(2); },
            [&] { return emit(std::nullopt); });
      });
  return {value[0], value[1]};
}

/// [rows, columns, frequencies] -> [rows, frequencies, columns, parts]
Value FourierLoops::storeAll(Value signals) {
  MLIRContext *context = lowering.builder.getContext();
  unsigned order[] = {0, 2, 1, 3};
  AffineMap turned = AffineMap::getPermutationMap(order, context);
  return launch->generic(
      {}, {launch->destination(), turned},
      [&](OpBuilder &nested, Location at, ValueRange) -> Value {
        ScalarCode code(nested, at);
        auto index = [&](int64_t loop) {
          return code(linalg::IndexOp::create(nested, at, loop));
        };
        ScalarExpr row = index(0), column = index(1), k = index(2);
        if (!transform.dims) {
          ScalarExpr columns = code(sizes.columns);
          ScalarExpr frequencies = code(sizes.frequencies);
          column = k % columns;
          k = k / columns;
          row = k / frequencies;
          k = k % frequencies;
        }
        ComplexExpr value =
            finish(code, k, readSignal(code, signals, row, column));
        ScalarExpr part = (index(3) == 0).select(value.re, value.im);
        return part.to(transform.element);
      });
}

Value FourierLoops::transformTogether() {
  AffineExpr one = lowering.constant(1);
  Dims all{one, one, transform.most};
  if (transform.dims)
    all = {transform.dims->rows, transform.dims->columns,
           transform.dims->length};
  all.push_back(lowering.constant(2));
  Value loaded = mapElements(
      launch->empty(all, real), [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Exprs place = locate(code, at);
        return transform.read(*launch, code, sizes, place[0], place[1],
                              place[2]);
      });
  ScalarCode code(launch->builder(), loc);
  return storeAll(loopOverPairs(
      code, loaded, launch->empty(all, real),
      [&](ScalarExpr radix, ScalarExpr earlier, Value from, Value to) {
        return code(
            mapElements(to, [&](ScalarCode &nested, ArrayRef<ScalarExpr> at) {
              return emitElement(nested, at, radix, earlier, from);
            }));
      }));
}

Value FourierLoops::run() {
  Value found = findFactors(), table = makeRoots();
  const std::optional<OpenTransform::Extents> &dims = transform.dims;
  AffineExpr one = lowering.constant(1);
  Dims result{one, transform.count, one, transform.resultParts};
  if (dims)
    result = {dims->rows, dims->frequencies, dims->columns,
              transform.resultParts};
  SmallVector<Value> inputs = transform.inputs;
  roots = inputs.size();
  factors = roots + 1;
  inputs.append({table, found});
  LaunchBuilder made = launchWith(inputs, {transform.element, result});
  launch = &made;
  sizes = getSizes(made, factors + 1);
  Value value = lowering.isForThreads ? transformTogether() : transformInTurn();
  return lowering.finish(made, value).getResult(0);
}

Value tenon::emitFourierLoops(const OpenTransform &transform,
                              Lowering &lowering) {
  return FourierLoops(transform, lowering).run();
}
