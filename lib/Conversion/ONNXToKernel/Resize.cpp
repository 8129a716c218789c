// Resize: nearest in one launch that gathers, linear and cubic one axis after
// the other, as the interpolation is separable.

#include "Attributes.h"
#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

namespace {
/// What Resize does to its axes. Numbers are f32, or f64 where the data is.
class Resampling {
public:
  Resampling(onnx::ResizeOp op, Lowering &lowering);

  LogicalResult check();
  /// Sizes of the result that only scales or sizes read at run time tell.
  void readDims();
  /// The result of mode nearest.
  Value takeNearest();
  /// `x` resampled along `axes[index]`, its elements converted to `element`.
  Value interpolate(Value x, unsigned index, Type element);
  bool isIdentity(unsigned index);

  SmallVector<int64_t> axes;

private:
  /// Numbers of one axis within a launch.
  struct Axis {
    Value scale, inLength, outLength, inSize; // the last an index
    Value begin, end;                         // of the roi
  };

  LaunchBuilder open(Value x, Result result);
  Axis enter(LaunchBuilder &launch, unsigned index);
  Value number(LaunchBuilder &launch,
               const std::optional<SmallVector<double>> &, int input,
               unsigned index);
  Value getScale(LaunchBuilder &launch, unsigned index, Value ratio);
  Value getCommonScale(LaunchBuilder &launch, Type type);
  /// Where output position `out` lies in the input.
  ScalarExpr getOrigin(ScalarCode &code, const Axis &axis, ScalarExpr out);
  ScalarExpr round(ScalarExpr x) const;
  ScalarExpr getWeight(ScalarCode &code, ScalarExpr distance) const;
  bool isCrop() const { return transform == "tf_crop_and_resize"; }
  AffineExpr inDim(unsigned index) const { return inDims[axes[index]]; }
  AffineExpr outDim(unsigned index) const { return outDims[axes[index]]; }

  onnx::ResizeOp op;
  Lowering &lowering;
  Dims inDims, outDims;
  Type real;
  StringRef mode, transform, nearest, policy;
  double cubic, filler;
  bool excludesOutside, antialiases;
  std::optional<SmallVector<double>> scales, roi;
  std::optional<Dims> sizes;
  int scalesInput = -1, sizesInput = -1, roiInput = -1; // of a launch
};
} // namespace

Resampling::Resampling(onnx::ResizeOp op, Lowering &lowering)
    : op(op), lowering(lowering), inDims(lowering.dims(op.getX())),
      outDims(lowering.dims(op->getResult(0))) {
  Type element = lowering.element(op.getX());
  Builder types(op.getContext());
  real = element.isF64() ? element : Type(types.getF32Type());
  mode = getString(op, "mode", "nearest");
  transform = getString(op, "coordinate_transformation_mode", "half_pixel");
  nearest = getString(op, "nearest_mode", "round_prefer_floor");
  policy = getString(op, "keep_aspect_ratio_policy", "stretch");
  cubic = getFloat(op, "cubic_coeff_a", -0.75);
  filler = getFloat(op, "extrapolation_value", 0);
  excludesOutside = getFlag(op, "exclude_outside");
  antialiases = getFlag(op, "antialias");
  if (auto given = op->getAttrOfType<DenseI64ArrayAttr>("axes"))
    for (int64_t axis : given.asArrayRef())
      axes.push_back(axis < 0 ? axis + int64_t(inDims.size()) : axis);
  else
    for (unsigned axis = 0; axis < inDims.size(); ++axis)
      axes.push_back(axis);
  if (op.getScales())
    scales = lowering.floats(op.getScales());
  if (op.getRoi())
    roi = lowering.floats(op.getRoi());
  if (op.getSizes())
    sizes = lowering.elements(op.getSizes());
}

LogicalResult Resampling::check() {
  if (!llvm::is_contained({"nearest", "linear", "cubic"}, mode))
    return op.emitOpError("expected 'mode' to be nearest, linear or cubic, but "
                          "got ")
           << mode;
  static const StringRef transforms[] = {
      "half_pixel",          "half_pixel_symmetric", "pytorch_half_pixel",
      "align_corners",       "asymmetric",           "tf_crop_and_resize",
      "tf_half_pixel_for_nn" /* of opsets 11 and 12 */};
  if (!llvm::is_contained(transforms, transform))
    return op.emitOpError("expected a known coordinate_transformation_mode, "
                          "but got ")
           << transform;
  if (isCrop() && !op.getRoi())
    return op.emitOpError("expected a 'roi' for tf_crop_and_resize, but got "
                          "none");
  if (antialiases && mode == "nearest")
    return op.emitOpError("expected mode linear or cubic with 'antialias', but "
                          "got nearest");
  return success();
}

bool Resampling::isIdentity(unsigned index) {
  if (isCrop() || inDim(index) != outDim(index))
    return false;
  if (op.getSizes())
    return policy == "stretch";
  return scales && (*scales)[index] == 1.0;
}

LaunchBuilder Resampling::open(Value x, Result result) {
  SmallVector<Value> inputs = {x};
  if (op.getScales() && !scales) {
    scalesInput = inputs.size();
    inputs.push_back(op.getScales());
  }
  if (op.getSizes() && policy != "stretch" && !sizes) {
    sizesInput = inputs.size();
    inputs.push_back(op.getSizes());
  }
  if (isCrop() && !roi) {
    roiInput = inputs.size();
    inputs.push_back(op.getRoi());
  }
  return lowering.launch(op.getLoc(), inputs, result);
}

/// Element `index` of a list that is known, or of a launch's input.
Value Resampling::number(LaunchBuilder &launch,
                         const std::optional<SmallVector<double>> &known,
                         int input, unsigned index) {
  ScalarCode code(launch.builder(), launch.loc());
  if (known)
    return code.constant(real, (*known)[index]);
  return code.read(launch.input(input), code.index(index)).to(real);
}

Value Resampling::getScale(LaunchBuilder &launch, unsigned index, Value ratio) {
  if (op.getScales())
    return number(launch, scales, scalesInput, index);
  if (policy == "stretch")
    return ratio;
  return getCommonScale(launch, real);
}

/// The smallest or largest scale that 'sizes' ask for, which all axes get.
Value Resampling::getCommonScale(LaunchBuilder &launch, Type type) {
  ScalarCode code(launch.builder(), launch.loc());
  std::optional<ScalarExpr> scale;
  for (unsigned i = 0; i < axes.size(); ++i) {
    ScalarExpr wanted =
        sizes ? code(launch.index((*sizes)[i])).to(type)
              : code.read(launch.input(sizesInput), code.index(i)).to(type);
    ScalarExpr next = wanted / code(launch.index(inDim(i))).to(type);
    if (scale)
      next = policy == "not_larger" ? scale->min(next) : scale->max(next);
    scale = next;
  }
  return *scale;
}

void Resampling::readDims() {
  Value given = op.getScales() ? op.getScales() : op.getSizes();
  sizesInput = 0; // of the launch that reads them
  lowering.readDims(
      op->getResult(0), given, [&](LaunchBuilder &launch, unsigned axis) {
        ScalarCode code(launch.builder(), launch.loc());
        unsigned index = llvm::find(axes, int64_t(axis)) - axes.begin();
        ScalarExpr number = code.read(launch.input(0), code.index(index));
        ScalarExpr zero = code.index(0);
        if (op.getSizes() && policy == "stretch")
          return Value(number.toIndex().max(zero));
        // In f64 the product of a size and an f32 is exact.
        Type f64 = code.builder.getF64Type();
        ScalarExpr length = code(launch.index(inDims[axis])).to(f64);
        ScalarExpr size =
            op.getScales() ? number.to(f64) * length
                           : code(getCommonScale(launch, f64)) * length + 0.5;
        constexpr double kMost = 2147483647;
        return Value(
            size.floor().clamp(size.like(0), size.like(kMost)).toIndex());
      });
}

Resampling::Axis Resampling::enter(LaunchBuilder &launch, unsigned index) {
  ScalarCode code(launch.builder(), launch.loc());
  Axis axis;
  axis.inSize = launch.index(inDim(index));
  ScalarExpr in = code(axis.inSize).to(real);
  ScalarExpr out = code(launch.index(outDim(index))).to(real);
  axis.scale = getScale(launch, index, out / in);
  axis.inLength = in;
  axis.outLength = out;
  if (isCrop()) {
    axis.begin = number(launch, roi, roiInput, index);
    axis.end = number(launch, roi, roiInput, axes.size() + index);
  }
  return axis;
}

ScalarExpr Resampling::getOrigin(ScalarCode &code, const Axis &axis,
                                 ScalarExpr out) {
  ScalarExpr x = out.to(real), in = code(axis.inLength);
  ScalarExpr scale = code(axis.scale), length = scale * in;
  if (transform == "asymmetric")
    return x / scale;
  if (transform == "tf_half_pixel_for_nn")
    return (scale == 1).select(x, (x + 0.5) / scale);
  if (transform == "align_corners")
    return (length == 1).select(x.like(0), x * (in - 1.0) / (length - 1.0));
  if (isCrop()) {
    ScalarExpr begin = code(axis.begin), end = code(axis.end);
    ScalarExpr middle = (begin + end) * (in - 1.0) * 0.5;
    ScalarExpr moved = x * (end - begin) * (in - 1.0) / (length - 1.0);
    return (length == 1).select(middle, begin * (in - 1.0) + moved);
  }
  ScalarExpr centered = (x + 0.5) / scale - 0.5;
  if (transform == "pytorch_half_pixel")
    return (code(axis.outLength) > 1).select(centered, x.like(0));
  if (transform == "half_pixel_symmetric") {
    ScalarExpr share = code(axis.outLength) / length;
    return centered + in * 0.5 * (share.like(1) - share);
  }
  return centered;
}

ScalarExpr Resampling::round(ScalarExpr x) const {
  if (nearest == "floor")
    return x.floor();
  if (nearest == "ceil")
    return x.ceil();
  return nearest == "round_prefer_ceil" ? (x + 0.5).floor() : (x - 0.5).ceil();
}

Value Resampling::takeNearest() {
  Value x = op.getX();
  LaunchBuilder launch = open(x, Result{lowering.element(x), outDims});
  SmallVector<std::optional<Axis>> known;
  for (unsigned i = 0; i < axes.size(); ++i)
    known.push_back(isIdentity(i) ? std::nullopt
                                  : std::optional(enter(launch, i)));
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarCode::Exprs source(at);
        ScalarExpr inside = code.truth(true);
        for (auto [axis, numbers] : llvm::zip(axes, known)) {
          if (!numbers)
            continue;
          ScalarExpr origin = getOrigin(code, *numbers, at[axis]);
          ScalarExpr last = code(numbers->inLength) - 1.0;
          inside = inside & (origin >= 0) & (origin <= last);
          source[axis] = round(origin).clamp(last.like(0), last).toIndex();
        }
        ScalarExpr element = code.read(launch.input(0), source);
        return isCrop() ? inside.select(element, element.like(filler))
                        : element;
      });
  return lowering.finish(launch, result).getResult(0);
}

/// The interpolation kernel at a distance from its centre.
ScalarExpr Resampling::getWeight(ScalarCode &code, ScalarExpr distance) const {
  ScalarExpr d = distance.abs();
  if (mode == "linear")
    return (d.like(1) - d).max(d.like(0));
  ScalarExpr near = (d * (cubic + 2) - (cubic + 3)) * d * d + 1.0;
  ScalarExpr far = ((d * cubic - 5 * cubic) * d + 8 * cubic) * d - 4 * cubic;
  return (d <= 1).select(near, (d < 2).select(far, d.like(0)));
}

Value Resampling::interpolate(Value x, unsigned index, Type element) {
  Dims dims = lowering.dims(x);
  dims[axes[index]] = outDim(index);
  ElementKind kind = lowering.kind(x), resultKind = lowering.kind(op.getX());
  LaunchBuilder launch = open(x, Result{element, dims});
  Axis axis = enter(launch, index);
  double reach = mode == "linear" ? 1 : 2;
  Value result = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    ScalarExpr origin = getOrigin(code, axis, at[axes[index]]);
    ScalarExpr length = code(axis.inLength);
    ScalarExpr inside = (origin >= 0) & (origin <= length - 1.0);
    // Beyond, all that is read is the edge.
    origin = origin.clamp(length.like(-reach - 1), length + reach);
    ScalarExpr shrink =
        antialiases ? code(axis.scale).min(length.like(1)) : length.like(1);
    ScalarExpr base = origin.floor();
    auto visit = [&](ScalarExpr offset, ArrayRef<ScalarExpr> sums) {
      ScalarExpr place = base + offset;
      ScalarExpr weight = getWeight(code, (place - origin) * shrink);
      if (excludesOutside)
        weight =
            ((place >= 0) & (place < length)).select(weight, weight.like(0));
      ScalarCode::Exprs from(at);
      from[axes[index]] = place.clamp(length.like(0), length - 1.0).toIndex();
      ScalarExpr value =
          toReal(code, code.read(launch.input(0), from), kind, real);
      return ScalarCode::Exprs{sums[0] + weight * value, sums[1] + weight};
    };
    ScalarCode::Exprs sums(2, length.like(0));
    if (antialiases) {
      ScalarExpr taps = (length.like(reach) / shrink)
                            .ceil()
                            .clamp(length.like(1), length * reach + reach);
      ScalarExpr count = taps.toIndex();
      sums = code.loop(code.index(0) - count + 1.0, count + 1.0, sums,
                       [&](ScalarExpr i, ArrayRef<ScalarExpr> sums) {
                         return visit(i.to(real), sums);
                       });
    } else {
      for (double offset = 1 - reach; offset <= reach; ++offset)
        sums = visit(length.like(offset), sums);
    }
    ScalarExpr value =
        antialiases || excludesOutside ? sums[0] / sums[1] : sums[0];
    if (isCrop())
      value = inside.select(value, value.like(filler));
    return fromReal(code, value, element, resultKind);
  });
  return lowering.finish(launch, result).getResult(0);
}

static LogicalResult lowerResize(Operation *op, Lowering &lowering) {
  auto resize = cast<onnx::ResizeOp>(op);
  Resampling resampling(resize, lowering);
  if (failed(resampling.check()))
    return failure();
  resampling.readDims();
  Value x = resize.getX();
  if (resize.getMode() == "nearest") {
    lowering.replace(op, resampling.takeNearest());
    return success();
  }
  SmallVector<unsigned> changed;
  for (unsigned i = 0; i < resampling.axes.size(); ++i)
    if (!resampling.isIdentity(i))
      changed.push_back(i);
  Type element = lowering.element(x);
  Type between =
      element.isF64() ? element : Type(Float32Type::get(op->getContext()));
  for (unsigned i : changed)
    x = resampling.interpolate(x, i, i == changed.back() ? element : between);
  lowering.replace(op, x);
  return success();
}

void tenon::addResizeLowerings(LoweringTable &table) {
  table["onnx.Resize"] = lowerResize;
}
