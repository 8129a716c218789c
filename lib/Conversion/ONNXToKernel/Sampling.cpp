// Operators that read images between pixels: GridSample, RoiAlign, DeformConv.

#include "Attributes.h"
#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

namespace {
enum class Padding { Zeros, Border, Reflection };

/// Reads the last axes of an image at fractional positions.
class Sampler {
public:
  Sampler(LaunchBuilder &launch, unsigned input, ArrayRef<AffineExpr> spatial,
          Type real, Padding padding, bool alignsCorners)
      : launch(launch), input(input), real(real), padding(padding),
        alignsCorners(alignsCorners) {
    for (AffineExpr size : spatial)
      sizes.push_back(launch.index(size));
  }

  unsigned rank() const { return sizes.size(); }
  ScalarExpr size(ScalarCode &code, unsigned axis) const {
    return code(sizes[axis]).to(real);
  }
  /// The weighted sum of the `taps` pixels nearest on each axis: 1, 2 or 4 of
  /// nearest, linear and cubic interpolation. `lead`: batch and channel.
  ScalarExpr interpolate(ScalarCode &code, ArrayRef<ScalarExpr> lead,
                         ArrayRef<ScalarExpr> position, unsigned taps) const;
  /// A coordinate of the image inside it, as padding says.
  ScalarExpr fold(ScalarCode &code, unsigned axis, ScalarExpr x) const;

private:
  ScalarExpr reflect(ScalarCode &code, unsigned axis, ScalarExpr x) const;
  ScalarExpr visit(ScalarCode &code, Exprs at, ScalarExpr inside,
                   ArrayRef<ScalarExpr> position, unsigned taps) const;
  static ScalarExpr getWeight(ScalarExpr distance, unsigned taps);

  LaunchBuilder &launch;
  unsigned input;
  Type real;
  Padding padding;
  bool alignsCorners;
  SmallVector<Value> sizes;
};
} // namespace

/// x mirrored at the image's edges until it is between them.
ScalarExpr Sampler::reflect(ScalarCode &code, unsigned axis,
                            ScalarExpr x) const {
  ScalarExpr last = size(code, axis) - 1.0;
  ScalarExpr low = alignsCorners ? x.like(0) : x.like(-0.5);
  ScalarExpr range = alignsCorners ? last : last + 1.0;
  ScalarExpr distance = (x - low).abs();
  ScalarExpr turns = (distance / range).floor();
  ScalarExpr rest = distance - turns * range;
  ScalarExpr isEven = (turns * 0.5).floor() * 2.0 == turns;
  ScalarExpr folded = isEven.select(low + rest, low + range - rest);
  return (range == 0).select(low, folded);
}

ScalarExpr Sampler::fold(ScalarCode &code, unsigned axis, ScalarExpr x) const {
  if (padding == Padding::Reflection)
    x = reflect(code, axis, x);
  if (padding != Padding::Zeros)
    x = x.clamp(x.like(0), size(code, axis) - 1.0);
  return x;
}

ScalarExpr Sampler::getWeight(ScalarExpr distance, unsigned taps) {
  ScalarExpr d = distance.abs();
  if (taps == 1)
    return d.like(1);
  if (taps == 2)
    return d.like(1) - d;
  ScalarExpr near = (d * 1.25 - 2.25) * d * d + 1.0;
  ScalarExpr far = ((d * -0.75 + 3.75) * d - 6.0) * d + 3.0;
  return (d <= 1).select(near, far);
}

ScalarExpr Sampler::interpolate(ScalarCode &code, ArrayRef<ScalarExpr> lead,
                                ArrayRef<ScalarExpr> position,
                                unsigned taps) const {
  return visit(code, Exprs(lead), code.truth(true), position, taps);
}

ScalarExpr Sampler::visit(ScalarCode &code, Exprs at, ScalarExpr inside,
                          ArrayRef<ScalarExpr> position, unsigned taps) const {
  if (position.empty()) {
    ScalarExpr pixel = code.read(launch.input(input), at).to(real);
    return inside.select(pixel, pixel.like(0));
  }
  unsigned axis = rank() - position.size();
  ScalarExpr last = size(code, axis) - 1.0;
  ScalarExpr x = position.front();
  // Far outside all pixels are alike, but where they are mirrored.
  if (padding != Padding::Reflection)
    x = x.clamp(last.like(-4), last + 4.0);
  ScalarExpr base = x.floor();
  std::optional<ScalarExpr> sum;
  for (unsigned tap = 0; tap < taps; ++tap) {
    ScalarExpr pixel = base + (double(tap) - (taps == 4 ? 1 : 0));
    ScalarExpr folded = fold(code, axis, pixel);
    ScalarExpr fits = (folded >= 0) & (folded <= last);
    Exprs next = at;
    next.push_back(folded.clamp(last.like(0), last).toIndex());
    ScalarExpr value =
        visit(code, next, inside & fits, position.drop_front(), taps) *
        getWeight(x - pixel, taps);
    sum = sum ? *sum + value : value;
  }
  return *sum;
}

static LogicalResult lowerGridSample(Operation *op, Lowering &lowering) {
  Value x = op->getOperand(0), grid = op->getOperand(1);
  Dims dims = lowering.dims(x), outDims = lowering.dims(op->getResult(0));
  StringRef mode = getString(op, "mode", "linear");
  StringRef mark = getString(op, "padding_mode", "zeros");
  Type element = lowering.element(x);
  if (!isa<FloatType>(element))
    return op->emitOpError("expected a float input, but got ") << element;
  if (!llvm::is_contained({"nearest", "linear", "cubic"}, mode))
    return op->emitOpError("expected 'mode' to be nearest, linear or cubic, "
                           "but got ")
           << mode;
  Padding padding = mark == "border"       ? Padding::Border
                    : mark == "reflection" ? Padding::Reflection
                                           : Padding::Zeros;
  bool aligns = getInteger(op, "align_corners", 0) != 0;
  Type real = getAccumulatorType(element);
  unsigned taps = mode == "nearest" ? 1 : mode == "linear" ? 2 : 4;
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {x, grid}, Result{element, outDims});
  Sampler sampler(launch, 0, ArrayRef(dims).drop_front(2), real, padding,
                  aligns);
  Value sampled =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Exprs position;
        unsigned rank = sampler.rank();
        for (unsigned axis = 0; axis < rank; ++axis) {
          Exprs from = {at[0]};
          llvm::append_range(from, at.drop_front(2));
          // The grid's last axis begins with the image's last.
          from.push_back(code.index(rank - 1 - axis));
          ScalarExpr raw = code.read(launch.input(1), from).to(real) + 1.0;
          ScalarExpr size = sampler.size(code, axis);
          ScalarExpr place =
              aligns ? raw * 0.5 * (size - 1.0) : (raw * size - 1.0) * 0.5;
          if (taps == 1)
            place = place.roundEven();
          // Of cubic interpolation each pixel is folded, as PyTorch does.
          if (taps != 4)
            place = sampler.fold(code, axis, place);
          position.push_back(place);
        }
        return sampler.interpolate(code, at.take_front(2), position, taps);
      });
  lowering.replace(op, lowering.finish(launch, sampled).getResults());
  return success();
}

namespace {
/// Numbers of one axis of a region of RoiAlign.
struct RegionAxis {
  Value size, pooled; // floats: of the image, of the output
  ScalarExpr start, bin, count;
};
} // namespace

/// The samples of a region's bins along one axis.
static RegionAxis getRegionAxis(Operation *op, ScalarCode &code, Value regions,
                                ScalarExpr region, unsigned axis, Value size,
                                Value pooled) {
  bool isHalfPixel = getString(op, "coordinate_transformation_mode",
                               "half_pixel") == "half_pixel";
  auto scaleAttr = op->getAttrOfType<FloatAttr>("spatial_scale");
  double scale = scaleAttr ? scaleAttr.getValueAsDouble() : 1.0;
  Type real = size.getType();
  // A region is x1, y1, x2, y2; axis 0 is y.
  auto read = [&](unsigned corner) {
    return code.read(regions, {region, code.index(2 * corner + 1 - axis)})
                   .to(real) *
               scale -
           (isHalfPixel ? 0.5 : 0.0);
  };
  ScalarExpr start = read(0), length = read(1) - start;
  if (!isHalfPixel)
    length = length.max(length.like(1));
  ScalarExpr bin = length / code(pooled);
  int64_t ratio = getInteger(op, "sampling_ratio", 0);
  // A region larger than its image has as many samples as that has pixels.
  ScalarExpr count = ratio > 0
                         ? bin.like(ratio)
                         : bin.ceil().clamp(bin.like(0), code(size) + 1.0);
  return {size, pooled, start, bin, count};
}

/// The two pixels around a sample and the weight of the second.
static std::array<ScalarExpr, 3>
getNeighbours(ScalarCode &code, const RegionAxis &axis, ScalarExpr x) {
  ScalarExpr last = code(axis.size) - 1.0;
  ScalarExpr inner = x.clamp(x.like(0), last);
  ScalarExpr low = inner.floor();
  return {low.toIndex(), (low + 1.0).min(last).toIndex(), inner - low};
}

/// The sample at a position: one value, or the largest of its weighted pixels.
static ScalarExpr sampleRegion(ScalarCode &code, Value image,
                               ArrayRef<ScalarExpr> lead, const RegionAxis &ys,
                               const RegionAxis &xs, ScalarExpr y, ScalarExpr x,
                               bool takesMax) {
  auto rows = getNeighbours(code, ys, y), columns = getNeighbours(code, xs, x);
  std::optional<ScalarExpr> result;
  for (unsigned i = 0; i < 2; ++i)
    for (unsigned j = 0; j < 2; ++j) {
      ScalarExpr down = i ? rows[2] : rows[2].like(1) - rows[2];
      ScalarExpr right = j ? columns[2] : columns[2].like(1) - columns[2];
      ScalarExpr pixel =
          code.read(image, {lead[0], lead[1], rows[i], columns[j]});
      ScalarExpr part = pixel.to(down.type()) * (down * right);
      if (result)
        part = takesMax ? result->max(part) : *result + part;
      result = part;
    }
  ScalarExpr outside =
      (y < -1) | (y > code(ys.size)) | (x < -1) | (x > code(xs.size));
  return outside.select(result->like(0), *result);
}

static LogicalResult lowerRoiAlign(Operation *op, Lowering &lowering) {
  auto align = cast<onnx::RoiAlignOp>(op);
  Value x = align.getX();
  Dims dims = lowering.dims(x), outDims = lowering.dims(op->getResult(0));
  Type element = lowering.element(x), real = getAccumulatorType(element);
  bool takesMax = getString(op, "mode", "avg") == "max";
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), {x, align.getRois(), align.getBatchIndices()},
      Result{element, outDims});
  ScalarCode outer(launch.builder(), op->getLoc());
  SmallVector<Value> sizes, pooled;
  for (unsigned axis = 2; axis < 4; ++axis) {
    sizes.push_back(outer(launch.index(dims[axis])).to(real));
    pooled.push_back(outer(launch.index(outDims[axis])).to(real));
  }
  Value batches = launch.index(dims[0]);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        SmallVector<RegionAxis, 2> axes;
        for (unsigned axis = 0; axis < 2; ++axis)
          axes.push_back(getRegionAxis(op, code, launch.input(1), at[0], axis,
                                       sizes[axis], pooled[axis]));
        ScalarExpr batch = code.read(launch.input(2), at[0]).toIndex();
        batch = batch.max(code.index(0)).min(code(batches) - 1.0);
        auto getPlace = [&](unsigned axis, ScalarExpr i) {
          ScalarExpr bin = axes[axis].bin;
          return axes[axis].start + at[2 + axis].to(real) * bin +
                 (i.to(real) + 0.5) * bin / axes[axis].count;
        };
        ScalarExpr first =
            takesMax
                ? code.constant(real, -std::numeric_limits<double>::infinity())
                : code.constant(real, 0);
        ScalarExpr sum = code.loop(
            code.index(0), axes[0].count.toIndex(), first,
            [&](ScalarExpr i, ArrayRef<ScalarExpr> rows) {
              return code.loop(
                  code.index(0), axes[1].count.toIndex(), rows,
                  [&](ScalarExpr j, ArrayRef<ScalarExpr> sums) -> Exprs {
                    ScalarExpr sample = sampleRegion(
                        code, launch.input(0), {batch, at[1]}, axes[0], axes[1],
                        getPlace(0, i), getPlace(1, j), takesMax);
                    return {takesMax ? sums[0].max(sample) : sums[0] + sample};
                  });
            })[0];
        ScalarExpr count = axes[0].count * axes[1].count;
        if (takesMax)
          return (count < 1).select(count.like(0), sum);
        return sum / count.max(count.like(1));
      });
  lowering.replace(op, lowering.finish(launch, result).getResults());
  return success();
}

/// [batch, channels, kernel..., output...]: the pixels under each window, moved
/// by the offsets.
static Value sampleWindows(onnx::DeformConvOp op, Lowering &lowering) {
  Value x = op.getX(), mask = op.getMask();
  Dims dims = lowering.dims(x), w = lowering.dims(op.getW());
  Dims out = lowering.dims(op->getResult(0));
  Type element = lowering.element(x), real = getAccumulatorType(element);
  auto getInts = [&](StringRef name, unsigned count, int64_t otherwise) {
    auto attr = op->getAttrOfType<DenseI64ArrayAttr>(name);
    return attr ? SmallVector<int64_t>(attr.asArrayRef())
                : SmallVector<int64_t>(count, otherwise);
  };
  SmallVector<int64_t> strides = getInts("strides", 2, 1);
  SmallVector<int64_t> dilations = getInts("dilations", 2, 1);
  SmallVector<int64_t> pads = getInts("pads", 4, 0);
  int64_t groups = getInteger(op, "offset_group", 1);
  SmallVector<Value> inputs = {x, op.getOffset()};
  if (mask)
    inputs.push_back(mask);
  LaunchBuilder launch = lowering.launch(
      op.getLoc(), inputs,
      Result{element, {dims[0], dims[1], w[2], w[3], out[2], out[3]}});
  Sampler sampler(launch, 0, ArrayRef(dims).drop_front(2), real, Padding::Zeros,
                  false);
  Value perGroup = launch.index(dims[1].floorDiv(groups));
  Value area = launch.index(w[2] * w[3]), width = launch.index(w[3]);
  Value columns = mapPositions(launch, [&](ScalarCode &code,
                                           ArrayRef<ScalarExpr> at) {
    ScalarExpr group = at[1] / code(perGroup);
    ScalarExpr tap = group * code(area) + at[2] * code(width) + at[3];
    Exprs position;
    for (unsigned axis = 0; axis < 2; ++axis) {
      ScalarExpr moved = code.read(
          launch.input(1), {at[0], tap * 2.0 + double(axis), at[4], at[5]});
      ScalarExpr place = at[4 + axis] * double(strides[axis]) +
                         at[2 + axis] * double(dilations[axis]) -
                         double(pads[axis]);
      position.push_back(place.to(real) + moved.to(real));
    }
    ScalarExpr value = sampler.interpolate(code, at.take_front(2), position, 2);
    if (mask)
      value = value *
              code.read(launch.input(2), {at[0], tap, at[4], at[5]}).to(real);
    return value;
  });
  return lowering.finish(launch, columns).getResult(0);
}

/// The windows' pixels times the weights, in groups, plus the bias.
static LogicalResult lowerDeformConv(Operation *op, Lowering &lowering) {
  auto conv = cast<onnx::DeformConvOp>(op);
  Location loc = op->getLoc();
  MLIRContext *context = op->getContext();
  Dims x = lowering.dims(conv.getX()), w = lowering.dims(conv.getW());
  Dims out = lowering.dims(op->getResult(0));
  if (x.size() != 4)
    return op->emitOpError("expected two spatial axes, but got ")
           << int64_t(x.size()) - 2;
  int64_t groups = getInteger(op, "group", 1);
  Type element = lowering.element(conv.getX());
  Type sumType = getAccumulatorType(element);
  AffineExpr g = lowering.constant(groups), f = out[1].floorDiv(groups);
  AffineExpr q = w[1] * w[2] * w[3], area = out[2] * out[3];
  SmallVector<Value> inputs = {
      lowering.view(loc, sampleWindows(conv, lowering), {x[0], g, q, area}),
      lowering.view(loc, conv.getW(), {g, f, q})};
  if (conv.getB())
    inputs.push_back(lowering.view(loc, conv.getB(), {g, f}));
  Dims resultDims = {x[0], g, f, area};
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{element, resultDims});
  auto map = [&](unsigned rank, ArrayRef<unsigned> dims) {
    return AffineMap::getMultiDimMapWithTargets(rank, dims, context);
  };
  ScalarCode code(launch.builder(), loc);
  Value sums = launch.filled(code.constant(sumType, 0),
                             launch.empty(resultDims, sumType));
  sums = launch.generic( // over (n, g, f, p, q)
      {{launch.input(1), map(5, {1, 2, 4})},
       {launch.input(0), map(5, {0, 1, 4, 3})}},
      {sums, map(5, {0, 1, 2, 3})},
      [](OpBuilder &nested, Location loc, ValueRange v) {
        return multiplyAdd(nested, loc, v[0], v[1], v[2]);
      });
  SmallVector<LaunchBuilder::Access> accesses = {{sums, map(4, {0, 1, 2, 3})}};
  if (conv.getB())
    accesses.push_back({launch.input(2), map(4, {1, 2})});
  Value y = launch.generic(
      accesses, {launch.destination(), map(4, {0, 1, 2, 3})},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        ScalarCode code(nested, loc);
        ScalarExpr sum = code(v[0]);
        if (conv.getB())
          sum = sum + code(v[1]).to(sumType);
        return sum.to(element);
      });
  Value result = lowering.finish(launch, y).getResult(0);
  lowering.replace(op, lowering.view(loc, result, out));
  return success();
}

void tenon::addSamplingLowerings(LoweringTable &table) {
  table["onnx.DeformConv"] = lowerDeformConv;
  table["onnx.GridSample"] = lowerGridSample;
  table["onnx.RoiAlign"] = lowerRoiAlign;
}
