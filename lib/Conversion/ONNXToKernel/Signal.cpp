// DFT and STFT: each frequency is the sum over its signal, with the angle
// reduced in integers and the sum in f64, so that long signals lose no
// precision.

#include "Attributes.h"
#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

namespace {
/// A sum over a signal of complex numbers times roots of unity.
struct Transform {
  Value length; // of the roots' circle, an index
  Value count;  // how many elements the signal has, an index
  bool isInverse = false;
  Type real;

  /// The real or, if `part` is 1, imaginary part of frequency `k`; `read` gives
  /// element n, real and imaginary.
  ScalarExpr emit(ScalarCode &code, ScalarExpr k, ScalarExpr part,
                  function_ref<Exprs(ScalarExpr n)> read) const;
};
} // namespace

ScalarExpr Transform::emit(ScalarCode &code, ScalarExpr k, ScalarExpr part,
                           function_ref<Exprs(ScalarExpr n)> read) const {
  constexpr double kTurn = 6.283185307179586476925;
  return code.loop(code.index(0), code(count), code.constant(real, 0),
                   [&](ScalarExpr n, ArrayRef<ScalarExpr> sum) -> Exprs {
                     ScalarExpr steps = (k * n) % code(length);
                     ScalarExpr angle = steps.to(real) / code(length).to(real) *
                                        (isInverse ? kTurn : -kTurn);
                     Exprs x = read(n);
                     ScalarExpr c = angle.cos(), s = angle.sin();
                     ScalarExpr re = x[0] * c - x[1] * s,
                                im = x[0] * s + x[1] * c;
                     return {sum[0] + (part == 0).select(re, im)};
                   })[0];
}

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

static LogicalResult lowerDFT(Operation *op, Lowering &lowering) {
  auto dft = cast<onnx::DFTOp>(op);
  Value x = dft.getInput();
  if (failed(checkParts(op, x)))
    return failure();
  Dims dims = lowering.dims(x), outDims = lowering.dims(op->getResult(0));
  int64_t axis = -2, rank = dims.size();
  if (dft.getAxis()) {
    auto known = lowering.constants(dft.getAxis());
    if (!known)
      return op->emitOpError("expected a constant 'axis', but got a value "
                             "computed at run time");
    axis = known->front();
  }
  axis += axis < 0 ? rank : 0;
  if (axis < 0 || axis >= rank - 1)
    return op->emitOpError("expected an axis before the last, but got ")
           << axis;
  bool isInverse = getFlag(op, "inverse", false);
  bool isHalf = isInverse && getFlag(op, "onesided", false);
  AffineExpr length = isHalf ? (dims[axis] - 1) * 2 : dims[axis];
  if (dft.getDftLength()) {
    std::optional<Dims> known = lowering.elements(dft.getDftLength());
    if (!known)
      return op->emitOpError("expected a 'dft_length' that the shapes "
                             "determine, but got a value computed at run time");
    length = known->front();
  }
  Type element = lowering.element(x), real = lowering.builder.getF64Type();
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), x, Result{element, outDims});
  ScalarCode outer(launch.builder(), op->getLoc());
  ScalarExpr whole = outer(launch.index(length));
  ScalarExpr used = isHalf ? whole / 2.0 + 1.0 : whole;
  Value parts = launch.index(dims.back());
  Transform transform{whole, used.min(outer(launch.index(dims[axis]))),
                      isInverse, real};
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr n) {
          Exprs from(at.drop_back());
          from[axis] = n;
          Exprs value = readComplex(code, launch.input(0), parts, from, real);
          if (!isHalf)
            return value;
          // What is not its own mirror image stands for two.
          ScalarExpr isAlone = (n == 0) | (n * 2.0 == code(transform.length));
          ScalarExpr weight =
              isAlone.select(value[0].like(1), value[0].like(2));
          return Exprs{value[0] * weight, value[1] * weight};
        };
        ScalarExpr sum = transform.emit(code, at[axis], at.back(), read);
        return isInverse ? sum / code(transform.length).to(real) : sum;
      });
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
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
    return op->emitOpError("expected 'frame_step' and 'frame_length' that the "
                           "shapes determine, but got values computed at run "
                           "time");
  SmallVector<Value> inputs = {signal};
  if (window)
    inputs.push_back(window);
  Type element = lowering.element(signal);
  Type real = lowering.builder.getF64Type();
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(op->getResult(0))});
  Transform transform{launch.index(length), launch.index(length),
                      /*isInverse=*/false, real};
  Value hop = launch.index(step->front());
  Value parts = launch.index(lowering.dims(signal).back());
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto read = [&](ScalarExpr n) {
          Exprs x = readComplex(code, launch.input(0), parts,
                                {at[0], at[1] * code(hop) + n}, real);
          if (!window)
            return x;
          ScalarExpr weight = code.read(launch.input(1), n).to(real);
          return Exprs{x[0] * weight, x[1] * weight};
        };
        return transform.emit(code, at[2], at[3], read);
      });
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
}

void tenon::addSignalLowerings(LoweringTable &table) {
  table["onnx.DFT"] = lowerDFT;
  table["onnx.STFT"] = lowerSTFT;
}
