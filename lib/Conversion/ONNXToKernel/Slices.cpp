// Slice and Split: parts of a tensor, at places that the shapes or the run know.

#include "Positions.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

static Value takeElement(OpBuilder &, Location, ValueRange elements) {
  return elements[0];
}

/// One result: elements offset + i * step of `input`, on every axis.
static Value slice(Operation *op, Value input, ArrayRef<AffineExpr> dims,
                   ArrayRef<AffineExpr> offsets, ArrayRef<int64_t> steps,
                   Lowering &lowering) {
  Location loc = op->getLoc();
  LaunchBuilder launch =
      lowering.launch(loc, input, Result{lowering.element(input), Dims(dims)});
  OpBuilder &builder = launch.builder();
  bool forward = llvm::all_of(steps, [](int64_t step) { return step > 0; });
  Value result;
  if (llvm::is_contained(dims, lowering.constant(0)) ||
      llvm::is_contained(lowering.dims(input), lowering.constant(0))) {
    result = launch.destination(); // no element to move
  } else if (forward) {
    SmallVector<OpFoldResult> starts, sizes, strides;
    for (auto [dim, offset, step] : llvm::zip(dims, offsets, steps)) {
      starts.push_back(launch.size(offset));
      sizes.push_back(launch.size(dim));
      strides.push_back(builder.getIndexAttr(step));
    }
    Value piece = tensor::ExtractSliceOp::create(
        builder, loc, cast<RankedTensorType>(launch.destination().getType()),
        launch.input(0), starts, sizes, strides);
    AffineMap identity = builder.getMultiDimIdentityMap(dims.size());
    result = launch.generic({{piece, identity}},
                            {launch.destination(), identity}, takeElement);
  } else {
    SmallVector<Value> starts, stepValues;
    for (auto [offset, step] : llvm::zip(offsets, steps)) {
      starts.push_back(launch.index(offset));
      stepValues.push_back(arith::ConstantIndexOp::create(builder, loc, step));
    }
    result = launch.generic(
        {}, {launch.destination(), builder.getMultiDimIdentityMap(dims.size())},
        [&](OpBuilder &nested, Location loc, ValueRange) -> Value {
          SmallVector<Value> position;
          for (auto [axis, start] : llvm::enumerate(starts)) {
            Value i = linalg::IndexOp::create(nested, loc, axis);
            Value moved =
                arith::MulIOp::create(nested, loc, i, stepValues[axis]);
            position.push_back(
                arith::AddIOp::create(nested, loc, start, moved));
          }
          return tensor::ExtractOp::create(nested, loc, launch.input(0),
                                           position);
        });
  }
  Value sliced = lowering.finish(launch, result).getResult(0);
  if (lowering.kind(input) == ElementKind::Unsigned)
    lowering.markUnsigned(sliced);
  return sliced;
}

/// Where a slice begins on an axis of size `dim`: negative counts from the end.
static AffineExpr getSliceStart(AffineExpr start, AffineExpr dim, int64_t step,
                                Lowering &lowering) {
  auto constant = dyn_cast<AffineConstantExpr>(start);
  auto size = dyn_cast<AffineConstantExpr>(dim);
  if (!constant)
    return start;
  int64_t from = constant.getValue();
  if (!size) {
    if (from >= 0)
      return step > 0 || from < (int64_t(1) << 31) ? start : dim - 1;
    return from < -(int64_t(1) << 31) ? lowering.constant(0) : dim + from;
  }
  int64_t n = size.getValue();
  from = from < 0 ? from + n : from;
  int64_t last = step > 0 ? n : n - 1;
  return lowering.constant(
      std::clamp<int64_t>(from, 0, std::max<int64_t>(last, 0)));
}

namespace {
/// The bounds of one axis, as indices of a launch.
struct AxisPart {
  Value start, step, length;
};

/// A Slice whose operands are read by its kernels.
class RuntimeSlice {
public:
  RuntimeSlice(onnx::SliceOp op, Lowering &lowering)
      : op(op), lowering(lowering), dims(lowering.dims(op.getData())),
        starts(op.getStarts(), lowering), ends(op.getEnds(), lowering) {
    if (op.getAxes())
      axes.emplace(op.getAxes(), lowering);
    if (op.getSteps())
      steps.emplace(op.getSteps(), lowering);
  }

  LogicalResult lower();

private:
  void addInputs(SmallVectorImpl<Value> &inputs) {
    starts.addTo(inputs);
    ends.addTo(inputs);
    if (axes)
      axes->addTo(inputs);
    if (steps)
      steps->addTo(inputs);
  }
  AxisPart getPart(LaunchBuilder &launch, unsigned axis) const;
  AxisPart clampPart(const IndexMath &math, AxisPart raw, Value end,
                     Value size) const;

  onnx::SliceOp op;
  Lowering &lowering;
  Dims dims;
  Integers starts, ends;
  std::optional<Integers> axes, steps;
};
} // namespace

/// As NumPy: bounds count from the end where negative, then are clamped. A step of
/// 0 gives the length -1, which no dimension can have.
AxisPart RuntimeSlice::clampPart(const IndexMath &math, AxisPart raw, Value end,
                                 Value size) const {
  using P = arith::CmpIPredicate;
  Value zero = math.constant(0), one = math.constant(1);
  Value before = math.constant(-1), last = math.sub(size, one);
  Value backward = math.compare(P::slt, raw.step, zero);
  Value low = math.select(backward, before, zero);
  Value high = math.select(backward, last, size);
  auto fromFront = [&](Value bound) {
    Value moved = math.select(math.compare(P::slt, bound, zero),
                              math.add(bound, size), bound);
    return math.clamp(moved, low, high);
  };
  Value start = fromFront(raw.start), stop = fromFront(end);
  Value way = math.select(backward, math.sub(start, stop),
                          math.sub(stop, start));
  Value stride =
      math.select(backward, math.sub(zero, raw.step), raw.step);
  Value rounded = math.sub(math.add(math.max(way, zero), stride), one);
  Value length = math.div(rounded, math.max(stride, one));
  Value isStill = math.compare(P::eq, raw.step, zero);
  return {start, raw.step, math.select(isStill, before, length)};
}

AxisPart RuntimeSlice::getPart(LaunchBuilder &launch, unsigned axis) const {
  OpBuilder &builder = launch.builder();
  IndexMath math{builder, launch.loc()};
  Value size = launch.index(dims[axis]), rank = math.constant(dims.size());
  Value wanted = math.constant(axis);
  SmallVector<Value> whole{math.constant(0), size, math.constant(1)};
  // The entry for this axis, if there is one.
  SmallVector<Value> found = emitLoops(
      builder, launch.loc(), launch.index(starts.getLength()), whole,
      [&](OpBuilder &nested, Location loc, ValueRange position,
          ValueRange state) -> SmallVector<Value> {
        IndexMath inner{nested, loc};
        Value entry = position[0];
        Value place = axes ? axes->get(launch, inner, entry) : entry;
        Value wrapped = inner.select(
            inner.compare(arith::CmpIPredicate::slt, place, inner.constant(0)),
            inner.add(place, rank), place);
        Value hit = inner.compare(arith::CmpIPredicate::eq, wrapped, wanted);
        Value step = steps ? steps->get(launch, inner, entry)
                           : inner.constant(1);
        return {inner.select(hit, starts.get(launch, inner, entry), state[0]),
                inner.select(hit, ends.get(launch, inner, entry), state[1]),
                inner.select(hit, step, state[2])};
      });
  return clampPart(math, {found[0], found[2], nullptr}, found[1], size);
}

LogicalResult RuntimeSlice::lower() {
  Value result = op->getResult(0);
  SmallVector<Value> sizeInputs;
  addInputs(sizeInputs);
  lowering.readDims(result, sizeInputs,
                    [&](LaunchBuilder &launch, unsigned axis) {
                      return getPart(launch, axis).length;
                    });
  SmallVector<Value> inputs;
  addInputs(inputs);
  unsigned data = inputs.size();
  inputs.push_back(op.getData());
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs,
      Result{lowering.element(result), lowering.dims(result)});
  SmallVector<AxisPart> parts;
  SmallVector<Value> sizes = getExtents(launch, dims);
  IndexMath outer{launch.builder(), launch.loc()};
  Value total = outer.constant(1);
  for (unsigned axis = 0; axis < dims.size(); ++axis) {
    parts.push_back(getPart(launch, axis));
    total = outer.mul(total, sizes[axis]);
  }
  // The plan says how much is moved, the operands from where: what they do not agree
  // on must not be read.
  Value moved = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        IndexMath math{nested, loc};
        SmallVector<Value> source;
        for (auto [place, part, size] : llvm::zip(position, parts, sizes)) {
          Value from = math.add(part.start, math.mul(place, part.step));
          source.push_back(math.clamp(from, math.constant(0),
                                      math.sub(size, math.constant(1))));
        }
        return readNonEmpty(nested, loc, launch.input(data), source, total);
      });
  lowering.replace(op, lowering.finish(launch, moved).getResults());
  return success();
}

/// Whether each bound is where getSliceStart finds it.
static bool isStaticSlice(onnx::SliceOp op, Lowering &lowering) {
  std::optional<Dims> starts = lowering.elements(op.getStarts());
  if (!starts || (op.getAxes() && !lowering.constants(op.getAxes())) ||
      !lowering.foundDims(op->getResult(0)).empty())
    return false;
  if (!op.getSteps())
    return true;
  auto steps = lowering.constants(op.getSteps());
  bool isForward = steps && llvm::all_of(*steps, [](int64_t step) {
                     return step > 0;
                   });
  // Backwards a symbolic start is clamped to the last element.
  return isForward || (steps && lowering.constants(op.getStarts()) &&
                       llvm::all_of(lowering.dims(op.getData()),
                                    llvm::IsaPred<AffineConstantExpr>));
}

static LogicalResult lowerSlice(Operation *op, Lowering &lowering) {
  auto sliceOp = cast<onnx::SliceOp>(op);
  if (!isStaticSlice(sliceOp, lowering))
    return RuntimeSlice(sliceOp, lowering).lower();
  Value input = sliceOp.getData();
  Dims from = lowering.dims(input), to = lowering.dims(op->getResult(0));
  std::optional<Dims> starts = lowering.elements(sliceOp.getStarts());
  SmallVector<int64_t> axes, steps(starts->size(), 1);
  if (sliceOp.getAxes()) {
    axes = *lowering.constants(sliceOp.getAxes());
  } else {
    for (unsigned i = 0; i < starts->size(); ++i)
      axes.push_back(i);
  }
  if (sliceOp.getSteps()) {
    steps = *lowering.constants(sliceOp.getSteps());
  }
  SmallVector<AffineExpr> offsets(from.size(), lowering.constant(0));
  SmallVector<int64_t> strides(from.size(), 1);
  for (auto [start, axis, step] : llvm::zip(*starts, axes, steps)) {
    axis += axis < 0 ? int64_t(from.size()) : 0;
    offsets[axis] = getSliceStart(start, from[axis], step, lowering);
    strides[axis] = step;
  }
  lowering.replace(op, slice(op, input, to, offsets, strides, lowering));
  return success();
}

static LogicalResult lowerSplit(Operation *op, Lowering &lowering) {
  Value input = op->getOperand(0);
  Dims from = lowering.dims(input);
  auto axisAttr = op->getAttrOfType<IntegerAttr>("axis");
  int64_t axis = axisAttr ? axisAttr.getInt() : 0;
  axis += axis < 0 ? int64_t(from.size()) : 0;
  SmallVector<AffineExpr> offsets(from.size(), lowering.constant(0));
  SmallVector<int64_t> steps(from.size(), 1);
  SmallVector<Value> pieces;
  for (Value result : op->getResults()) {
    Dims to = lowering.dims(result);
    pieces.push_back(slice(op, input, to, offsets, steps, lowering));
    offsets[axis] = offsets[axis] + to[axis];
  }
  lowering.replace(op, pieces);
  return success();
}

void tenon::addSliceLowerings(LoweringTable &table) {
  table["onnx.Slice"] = lowerSlice;
  table["onnx.Split"] = lowerSplit;
}
