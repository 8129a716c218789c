// DFT, STFT and the weights of mel bins. A transform of known length and axis
// is a launch for each of its stages; another's stages are loops of one launch.

#include "Attributes.h"
#include "FourierLoops.h"
#include "FourierStages.h"
#include "Lowering.h"
#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// Element `at` of a signal whose last axis has a real part and, if there are
/// two `parts`, an imaginary one.
static Exprs readComplex(ScalarCode &code, Value signal, Value parts, Exprs at,
                         Type real) {
  at.push_back(code.index(0));
  ScalarExpr re = code.read(signal, at).to(real);
  at.back() = code(parts).min(code.index(2)) - 1.0;
  ScalarExpr im = code.read(signal, at).to(real);
  return {re, (code(parts) > 1).select(im, im.like(0))};
}

/// Whether the parts of a signal are known to be one or two.
static LogicalResult checkParts(Operation *op, Value signal) {
  auto type = cast<RankedTensorType>(signal.getType());
  int64_t parts = type.getRank() < 2 ? 0 : type.getShape().back();
  if (parts != 1 && parts != 2 && ShapedType::isStatic(parts))
    return op->emitOpError("expected a last axis of size 1 or 2, but got ")
           << type;
  if (!isa<FloatType>(type.getElementType()))
    return op->emitOpError("expected a float signal, but got ") << type;
  return success();
}

namespace {
/// The axis of a transform: a constant, or read at run time.
class TransformAxis {
public:
  /// Where the axis is an input to read, it becomes one of the launch's.
  TransformAxis(std::optional<int64_t> known, unsigned rank)
      : known(known), rank(rank) {}

  bool isKnown() const { return known.has_value(); }
  unsigned getKnown() const { return *known; }
  /// To be called at the top of a launch that has the axis as that input.
  void enter(LaunchBuilder &launch, unsigned input) {
    if (known)
      return;
    ScalarCode code(launch.builder(), launch.loc());
    IndexMath math{launch.builder(), launch.loc()};
    ScalarExpr axis = code(extractScalar(math, launch.input(input))).toIndex();
    place = (axis < 0).select(axis + double(rank), axis);
  }
  ScalarExpr is(ScalarCode &code, unsigned axis) const {
    return known ? code.truth(*known == axis) : code(place) == double(axis);
  }
  /// The element of `all` at the axis, which is one before the last.
  ScalarExpr pick(ScalarCode &code, ArrayRef<ScalarExpr> all) const {
    if (known)
      return all[*known];
    ScalarExpr picked = all[0];
    for (unsigned axis = 1; axis + 1 < rank; ++axis)
      picked = is(code, axis).select(all[axis], picked);
    return picked;
  }
  /// The product of the sizes before the axis, or of those after it.
  ScalarExpr multiply(ScalarCode &code, ArrayRef<ScalarExpr> all,
                      bool isBefore) const {
    ScalarExpr product = code.index(1), one = product;
    for (unsigned axis = 0; axis + 1 < rank; ++axis) {
      ScalarExpr number = code.index(axis), own = code(place);
      ScalarExpr counts = isBefore ? number < own : number > own;
      product = product * counts.select(all[axis], one);
    }
    return product;
  }

private:
  std::optional<int64_t> known;
  unsigned rank;
  Value place; // an index
};

/// One DFT: its operands and what its attributes say.
struct Dft {
  using Sizes = OpenTransform::Sizes;

  onnx::DFTOp op;
  Dims dims; // of the input
  TransformAxis axis;
  bool isInverse, isOneSided;
  std::optional<AffineExpr> given; // dft_length

  bool isHalf() const { return isInverse && isOneSided; }
  /// How many roots of unity there are, where the axis is known.
  AffineExpr getLength() const {
    AffineExpr size = dims[axis.getKnown()];
    return given ? *given : isHalf() ? (size - 1) * 2 : size;
  }
  /// The same, if it is a constant.
  std::optional<int64_t> getKnownLength() const {
    auto length = dyn_cast_if_present<AffineConstantExpr>(
        axis.isKnown() ? getLength() : AffineExpr());
    return length ? std::optional(length.getValue()) : std::nullopt;
  }
  SmallVector<Value> sizeInputs() {
    return axis.isKnown() ? SmallVector<Value>()
                          : SmallVector<Value>{op.getAxis()};
  }
  /// In a launch on sizeInputs, from number `first` on; the axis is unknown.
  Sizes readSizes(LaunchBuilder &launch, unsigned first);
};
} // namespace

Dft::Sizes Dft::readSizes(LaunchBuilder &launch, unsigned first) {
  ScalarCode code(launch.builder(), launch.loc());
  axis.enter(launch, first);
  Exprs all;
  for (AffineExpr dim : dims)
    all.push_back(code(launch.index(dim)));
  ScalarExpr size = axis.pick(code, all), length = size;
  if (given)
    length = code(launch.index(*given));
  else if (isHalf())
    length = (size - 1.0) * 2.0;
  ScalarExpr frequencies =
      isOneSided && !isInverse ? length / 2.0 + 1.0 : length;
  return {axis.multiply(code, all, /*isBefore=*/true),
          axis.multiply(code, all, /*isBefore=*/false), size, length,
          frequencies};
}

/// Sizes of the result where the run tells which axis is transformed.
static void readTransformedDims(Dft &dft, Lowering &lowering) {
  lowering.readDims(dft.op->getResult(0), dft.sizeInputs(),
                    [&](LaunchBuilder &launch, unsigned axis) -> Value {
                      ScalarCode code(launch.builder(), launch.loc());
                      Dft::Sizes sizes = dft.readSizes(launch, 0);
                      return dft.axis.is(code, axis)
                          .select(code(sizes.frequencies),
                                  code(launch.index(dft.dims[axis])));
                    });
}

static Value transformInStages(Dft &dft, int64_t length, Lowering &lowering) {
  Value x = dft.op.getInput();
  unsigned axis = dft.axis.getKnown();
  bool isHalf = dft.isInverse && dft.isOneSided;
  auto size = dyn_cast<AffineConstantExpr>(dft.dims[axis]);
  bool isWhole = size && size.getValue() >= (isHalf ? length / 2 + 1 : length);
  FourierTransform transform{dft.op.getLoc(),
                             length,
                             axis,
                             lowering.dims(dft.op->getResult(0)),
                             lowering.element(x),
                             dft.dims.back(),
                             dft.isInverse,
                             {x},
                             nullptr};
  transform.read = [&](LaunchBuilder &launch, ScalarCode &code,
                       ArrayRef<ScalarExpr> at, ScalarExpr n) -> ComplexExpr {
    Exprs from(at.drop_back());
    ScalarExpr isMirror = n * 2.0 > double(length);
    from[axis] = isHalf ? isMirror.select(-n + double(length), n) : n;
    Type real = transform.getReal();
    auto read = [&](unsigned part) -> ScalarExpr {
      Value parts = launch.index(dft.dims.back());
      return readComplex(code, launch.input(0), parts, from, real)[part];
    };
    auto readPart = [&](unsigned part) -> ScalarExpr {
      if (isWhole)
        return read(part);
      return code.choose(
          from[axis] < code(launch.index(dft.dims[axis])),
          [&] { return read(part); }, [&] { return code.constant(real, 0); });
    };
    ScalarExpr im = readPart(1);
    return {readPart(0), isHalf ? isMirror.select(-im, im) : im};
  };
  return emitFourierStages(transform, lowering);
}

/// Element `n` of a signal: what is beyond the input's axis is zero, the other
/// half of one that is given by a half mirrors it.
static ComplexExpr readSignal(const Dft &dft, LaunchBuilder &launch,
                              ScalarCode &code, const Dft::Sizes &sizes,
                              ScalarExpr row, ScalarExpr column, ScalarExpr n,
                              Type real) {
  ScalarExpr length = code(sizes.length), size = code(sizes.size);
  ScalarExpr isMirror = n * 2.0 > length;
  ScalarExpr place = dft.isHalf() ? isMirror.select(length - n, n) : n;
  Value parts = launch.index(dft.dims.back());
  ScalarExpr zero = code.constant(real, 0);
  Exprs x = code.chooseAll(
      place < size,
      [&] {
        AffineExpr elements =
            getAffineConstantExpr(1, code.builder.getContext());
        for (AffineExpr dim : ArrayRef(dft.dims).drop_back())
          elements = elements * dim;
        // What two sizes of one thing may disagree about stays within.
        ScalarExpr last = code(launch.index(elements)) - 1.0;
        ScalarExpr number =
            ((row * size + place) * code(sizes.columns) + column).min(last);
        return readComplex(code, launch.input(0), parts, {number}, real);
      },
      [&] { return Exprs{zero, zero}; });
  return {x[0], dft.isHalf() ? isMirror.select(-x[1], x[1]) : x[1]};
}

static OpenTransform::Extents getExtents(const Dft &dft, AffineExpr frequencies,
                                         Lowering &lowering) {
  ArrayRef<AffineExpr> dims(dft.dims);
  unsigned axis = dft.axis.getKnown();
  return {lowering.product(dims.take_front(axis)),
          lowering.product(dims.drop_front(axis + 1).drop_back()), dims[axis],
          dft.getLength(), frequencies};
}

static Value transformInLoops(Dft &dft, Lowering &lowering) {
  Value x = dft.op.getInput();
  Location loc = dft.op.getLoc();
  Dims made = lowering.dims(dft.op->getResult(0));
  AffineExpr count = lowering.product(ArrayRef(made).drop_back());
  AffineExpr elements = lowering.product(ArrayRef(dft.dims).drop_back());
  OpenTransform transform{loc, lowering.element(x), dft.isInverse,
                          dft.dims.back(), made.back()};
  transform.count = count;
  transform.most = dft.isOneSided && !dft.isInverse ? count * 2 : count;
  transform.inputs = {lowering.view(loc, x, {elements, dft.dims.back()})};
  transform.sizeInputs = dft.sizeInputs();
  if (dft.axis.isKnown())
    transform.dims = getExtents(dft, made[dft.axis.getKnown()], lowering);
  else
    transform.readSizes = [&](LaunchBuilder &launch, unsigned first) {
      return dft.readSizes(launch, first);
    };
  transform.read = [&](LaunchBuilder &launch, ScalarCode &code,
                       const Dft::Sizes &sizes, ScalarExpr row,
                       ScalarExpr column, ScalarExpr n) {
    return readSignal(dft, launch, code, sizes, row, column, n,
                      transform.getReal());
  };
  return lowering.view(loc, emitFourierLoops(transform, lowering), made);
}

static Value transform(Dft &dft, Lowering &lowering) {
  std::optional<int64_t> known = dft.getKnownLength();
  return known && hasFourierStages(*known)
             ? transformInStages(dft, *known, lowering)
             : transformInLoops(dft, lowering);
}

static LogicalResult lowerDFT(Operation *op, Lowering &lowering) {
  auto dft = cast<onnx::DFTOp>(op);
  if (failed(checkParts(op, dft.getInput())))
    return failure();
  Dims dims = lowering.dims(dft.getInput());
  int64_t rank = dims.size();
  std::optional<int64_t> axis = -2;
  if (dft.getAxis()) {
    auto known = lowering.constants(dft.getAxis());
    axis = known ? std::optional(known->front()) : std::nullopt;
  }
  if (axis && *axis < 0)
    *axis += rank;
  if (axis && (*axis < 0 || *axis >= rank - 1))
    return op->emitOpError("expected an axis before the last, but got ")
           << *axis;
  Dft transformed{dft,
                  dims,
                  TransformAxis(axis, rank),
                  getFlag(op, "inverse", false),
                  getFlag(op, "onesided", false),
                  std::nullopt};
  if (dft.getDftLength()) {
    std::optional<Dims> known = lowering.elements(dft.getDftLength());
    if (!known)
      return op->emitOpError("expected a 'dft_length' of type int64 or int32, "
                             "but got ")
             << dft.getDftLength().getType();
    transformed.given = known->front();
  }
  readTransformedDims(transformed, lowering);
  lowering.replace(op, transform(transformed, lowering));
  return success();
}

namespace {
/// The frames of a signal, input 0 of a launch, under a window, input 1 if
/// there is one.
struct Frames {
  AffineExpr step, parts;
  bool hasWindow;
  /// How many elements a signal has, where frames are counted and not looped
  /// over: then their places are kept within it.
  AffineExpr size = {};

  /// Element `n` of the frame of the result's position `at`.
  Exprs read(LaunchBuilder &launch, ScalarCode &code, ArrayRef<ScalarExpr> at,
             ScalarExpr n, Type real) const {
    ScalarExpr place = at[1] * code(launch.index(step)) + n;
    if (size)
      place = place.min(code(launch.index(size)) - 1.0);
    Exprs x = readComplex(code, launch.input(0), launch.index(parts),
                          {at[0], place}, real);
    if (!hasWindow)
      return x;
    ScalarExpr weight = code.read(launch.input(1), n).to(real);
    return {x[0] * weight, x[1] * weight};
  }
};
} // namespace

static Value loopOverFrames(onnx::STFTOp op, Frames frames, AffineExpr length,
                            ArrayRef<Value> inputs, Lowering &lowering) {
  Location loc = op->getLoc();
  Dims made = lowering.dims(op->getResult(0));
  AffineExpr one = lowering.constant(1);
  OpenTransform transform{loc, lowering.element(op.getSignal()),
                          /*isInverse=*/false, frames.parts, made.back()};
  transform.dims = {made[0] * made[1], one, length, length, made[2]};
  frames.size = lowering.dims(op.getSignal())[1];
  transform.inputs.assign(inputs.begin(), inputs.end());
  transform.read = [&](LaunchBuilder &launch, ScalarCode &code,
                       const OpenTransform::Sizes &, ScalarExpr row, ScalarExpr,
                       ScalarExpr n) -> ComplexExpr {
    ScalarExpr count = code(launch.index(made[1]));
    ScalarExpr batches = code(launch.index(made[0]));
    Exprs at{(row / count).min(batches - 1.0), row % count};
    Exprs x = frames.read(launch, code, at, n, transform.getReal());
    return {x[0], x[1]};
  };
  return lowering.view(loc, emitFourierLoops(transform, lowering), made);
}

static Value transformFrames(onnx::STFTOp op, const Frames &frames,
                             int64_t length, ArrayRef<Value> inputs,
                             Lowering &lowering) {
  FourierTransform transform{op->getLoc(),
                             length,
                             /*axis=*/2,
                             lowering.dims(op->getResult(0)),
                             lowering.element(op.getSignal()),
                             frames.parts,
                             /*isInverse=*/false,
                             SmallVector<Value>(inputs),
                             nullptr};
  transform.read = [&](LaunchBuilder &launch, ScalarCode &code,
                       ArrayRef<ScalarExpr> at, ScalarExpr n) -> ComplexExpr {
    Exprs x = frames.read(launch, code, at, n, transform.getReal());
    return {x[0], x[1]};
  };
  return emitFourierStages(transform, lowering);
}

static LogicalResult lowerSTFT(Operation *op, Lowering &lowering) {
  auto stft = cast<onnx::STFTOp>(op);
  Value signal = stft.getSignal(), window = stft.getWindow();
  if (failed(checkParts(op, signal)))
    return failure();
  std::optional<Dims> step = lowering.elements(stft.getFrameStep());
  AffineExpr length;
  if (stft.getFrameLength()) {
    if (std::optional<Dims> known = lowering.elements(stft.getFrameLength()))
      length = known->front();
  } else {
    length = window ? lowering.dims(window)[0] : lowering.dims(signal)[1];
  }
  if (!step || !length)
    return op->emitOpError("expected 'frame_step' and 'frame_length' of type "
                           "int64 or int32 and a signal of known rank");
  SmallVector<Value> inputs = {signal};
  if (window)
    inputs.push_back(window);
  Frames frames{step->front(), lowering.dims(signal).back(), bool(window)};
  auto known = dyn_cast<AffineConstantExpr>(length);
  lowering.replace(
      op,
      known && hasFourierStages(known.getValue())
          ? transformFrames(stft, frames, known.getValue(), inputs, lowering)
          : loopOverFrames(stft, frames, length, inputs, lowering));
  return success();
}

/// The spectrum's bins at which triangles of the mel scale begin, peak and end:
/// evenly spaced in mels, rounded down.
static ScalarExpr getMelBin(ScalarCode &code, ScalarExpr number,
                            ArrayRef<ScalarExpr> scalars) {
  constexpr double kScale = 2595, kBreak = 700, kLn10 = 2.302585092994046;
  auto log1p = [&](ScalarExpr x) {
    return code(math::LogOp::create(code.builder, code.loc, Value(x + 1.0)));
  };
  auto toMel = [&](ScalarExpr hertz) {
    return log1p(hertz / kBreak) * kScale / kLn10;
  };
  ScalarExpr count = scalars[0], length = scalars[1], rate = scalars[2];
  ScalarExpr low = toMel(scalars[3]), high = toMel(scalars[4]);
  ScalarExpr mel = number * ((high - low) / (count + 2.0)) + low;
  ScalarExpr hertz = ((mel / kScale * kLn10).exp() - 1.0) * kBreak;
  return ((length + 1.0) * hertz / rate).floor();
}

/// Triangles over the spectrum, one a column.
static LogicalResult lowerMelWeightMatrix(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0);
  Type element = lowering.element(result), real = lowering.builder.getF64Type();
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), SmallVector<Value>(op->getOperands()),
                      Result{element, lowering.dims(result)});
  ScalarCode outer(launch.builder(), op->getLoc());
  IndexMath math{launch.builder(), op->getLoc()};
  Exprs scalars;
  for (unsigned i = 0; i < 5; ++i)
    scalars.push_back(outer(extractScalar(math, launch.input(i))).to(real));
  Value weights =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr j = at[0].to(real), i = at[1].to(real);
        ScalarExpr low = getMelBin(code, i, scalars),
                   peak = getMelBin(code, i + 1.0, scalars),
                   high = getMelBin(code, i + 2.0, scalars);
        ScalarExpr rises = (j >= low) & (j <= peak), zero = j.like(0);
        ScalarExpr width = (low == peak).select(j.like(1), peak - low);
        ScalarExpr weight = rises.select((j - low) / width, zero);
        weight =
            (low == peak).select((j == peak).select(j.like(1), zero), weight);
        ScalarExpr falls = (j >= peak) & (j < high);
        weight = falls.select((high - j) / (high - peak), weight);
        return isa<FloatType>(element) ? weight : weight.floor();
      });
  lowering.replace(op, lowering.finish(launch, weights).getResults());
  return success();
}

void tenon::addSignalLowerings(LoweringTable &table) {
  table["onnx.DFT"] = lowerDFT;
  table["onnx.MelWeightMatrix"] = lowerMelWeightMatrix;
  table["onnx.STFT"] = lowerSTFT;
}
