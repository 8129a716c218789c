#include "Windows.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

static SmallVector<int64_t> getInts(Operation *op, StringRef name,
                                    unsigned rank, int64_t otherwise) {
  if (auto attr = op->getAttrOfType<DenseI64ArrayAttr>(name))
    return SmallVector<int64_t>(attr.asArrayRef());
  return SmallVector<int64_t>(rank, otherwise);
}

Windows::Windows(Operation *op, Lowering &lowering, ArrayRef<AffineExpr> sizes,
                 ArrayRef<AffineExpr> outputDims)
    : op(op), lowering(lowering), kernel(sizes),
      output(outputDims.drop_front(2)) {
  if (kernel.empty())
    for (int64_t size : getInts(op, "kernel_shape", 0, 1))
      kernel.push_back(lowering.constant(size));
  strides = getInts(op, "strides", rank(), 1);
  dilations = getInts(op, "dilations", rank(), 1);
  readPads(ArrayRef(lowering.dims(op->getOperand(0))).drop_front(2));
}

void Windows::readPads(ArrayRef<AffineExpr> inputDims) {
  auto mode = op->getAttrOfType<StringAttr>("auto_pad");
  StringRef name = mode ? mode.getValue() : "NOTSET";
  SmallVector<int64_t> pads = getInts(op, "pads", 2 * rank(), 0);
  for (unsigned axis = 0; axis < rank(); ++axis) {
    if (!name.starts_with("SAME")) {
      bool isValid = name == "VALID";
      before.push_back(lowering.constant(isValid ? 0 : pads[axis]));
      after.push_back(lowering.constant(isValid ? 0 : pads[rank() + axis]));
      continue;
    }
    AffineExpr reach = (output[axis] - 1) * strides[axis] +
                       (kernel[axis] - 1) * dilations[axis] + 1;
    AffineExpr total = reach - inputDims[axis];
    if (auto known = dyn_cast<AffineConstantExpr>(total))
      total = lowering.constant(std::max<int64_t>(known.getValue(), 0));
    AffineExpr small = total.floorDiv(2);
    before.push_back(name == "SAME_UPPER" ? small : total - small);
    after.push_back(name == "SAME_UPPER" ? total - small : small);
  }
}

/// With SAME and steps larger than windows, sizes may fall short of the input.
static Value getPad(LaunchBuilder &launch, AffineExpr pad) {
  Value value = launch.index(pad);
  if (isa<AffineConstantExpr>(pad))
    return value;
  ScalarExpr known(launch.builder(), launch.loc(), value);
  return known.max(known.like(0));
}

Value Windows::padBefore(LaunchBuilder &launch, unsigned axis) const {
  return getPad(launch, before[axis]);
}

Value Windows::padAfter(LaunchBuilder &launch, unsigned axis) const {
  return getPad(launch, after[axis]);
}

static std::optional<int64_t> getConstant(AffineExpr expr) {
  auto constant = dyn_cast<AffineConstantExpr>(expr);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

/// Whether windows certainly leave out none of the input: the last one begins
/// less than a stride before the padded end.
bool Windows::coverInput() const {
  for (unsigned axis = 0; axis < rank(); ++axis) {
    std::optional<int64_t> first = getConstant(before[axis]);
    std::optional<int64_t> last = getConstant(after[axis]);
    if (!first || !last || *first < 0 || *last < strides[axis] - 1)
      return false;
  }
  return true;
}

/// Whether windows stay within the input as it is: nothing is padded, and sizes
/// were rounded down.
bool Windows::stayInside() const {
  auto mode = op->getAttrOfType<StringAttr>("auto_pad");
  auto ceil = op->getAttrOfType<IntegerAttr>("ceil_mode");
  if ((mode && mode.getValue().starts_with("SAME")) || (ceil && ceil.getInt()))
    return false;
  for (unsigned axis = 0; axis < rank(); ++axis)
    if (getConstant(before[axis]) != 0 || getConstant(after[axis]) != 0)
      return false;
  return true;
}

bool Windows::areToPadWithin(AffineExpr channels) const {
  // Threads share a launch by channels where it pads them. And few of them are
  // soon read, so that it costs more to find where windows reach into pads.
  constexpr int64_t leastChannels = 16;
  return lowering.padsWithin && canPadWithin() &&
         getConstant(channels).value_or(0) >= leastChannels;
}

/// A fill and a copy of rows.
Value Windows::padWhole(Value input, ArrayRef<AffineExpr> padded,
                        TypedAttr value) {
  Location loc = op->getLoc();
  Type element = lowering.element(input);
  LaunchBuilder launch =
      lowering.launch(loc, input, Result{element, Dims(padded)});
  OpBuilder &builder = launch.builder();
  Value filler = arith::ConstantOp::create(builder, loc, value);
  Dims dims = lowering.dims(input);
  SmallVector<OpFoldResult> low(2, builder.getIndexAttr(0)), high(low);
  for (unsigned axis = 0; axis < rank(); ++axis) {
    low.push_back(launch.size(before[axis]));
    high.push_back(
        launch.size(padded[2 + axis] - dims[2 + axis] - before[axis]));
  }
  Value result =
      tensor::PadOp::create(builder, loc, launch.destination().getType(),
                            launch.input(0), low, high, filler);
  return lowering.finish(launch, result).getResult(0);
}

AffineExpr Windows::getPadded(unsigned axis, AffineExpr size) const {
  if (stayInside())
    return size;
  return (output[axis] - 1) * strides[axis] +
         (kernel[axis] - 1) * dilations[axis] + 1;
}

Value Windows::padWithin(LaunchBuilder &launch, unsigned input,
                         ArrayRef<AffineExpr> sizes, ArrayRef<AffineExpr> dims,
                         unsigned first, TypedAttr value) {
  Location loc = op->getLoc();
  OpBuilder &builder = launch.builder();
  Value image = launch.input(input);
  Type element = getElementTypeOrSelf(image.getType());
  Dims padded(dims);
  SmallVector<OpFoldResult> low(dims.size(), builder.getIndexAttr(0)),
      high(low);
  bool isPadded = false;
  for (unsigned axis = 0; axis < rank(); ++axis) {
    AffineExpr whole = getPadded(axis, sizes[axis]);
    padded[first + axis] = whole;
    isPadded |= getConstant(before[axis]) != 0 || whole != sizes[axis];
    low[first + axis] = launch.size(before[axis]);
    high[first + axis] = launch.size(whole - sizes[axis] - before[axis]);
  }
  if (!isPadded)
    return image;
  if (!value)
    value = cast<TypedAttr>(builder.getZeroAttr(element));
  Value filler = arith::ConstantOp::create(builder, loc, value);
  return tensor::PadOp::create(builder, loc, getTensorType(padded, element),
                               image, low, high, filler);
}

Value Windows::pad(Value input, TypedAttr value) {
  Dims dims = lowering.dims(input), padded(dims.begin(), dims.begin() + 2);
  for (unsigned axis = 0; axis < rank(); ++axis)
    padded.push_back((output[axis] - 1) * strides[axis] +
                     (kernel[axis] - 1) * dilations[axis] + 1);
  bool isWhole = llvm::all_of(
      before, [](AffineExpr pad) { return getConstant(pad) == 0; });
  if (stayInside() || (isWhole && llvm::equal(padded, dims)))
    return input;
  if (coverInput())
    return padWhole(input, padded, value);
  // Windows may stop short of the input's end: what they never read is dropped.
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), input, Result{lowering.element(input), padded});
  OpBuilder &builder = launch.builder();
  Location loc = op->getLoc();
  Value filler = arith::ConstantOp::create(builder, loc, value);
  SmallVector<Value> starts, sizes;
  for (unsigned axis = 0; axis < rank(); ++axis) {
    starts.push_back(padBefore(launch, axis));
    sizes.push_back(launch.index(dims[2 + axis]));
  }
  AffineMap identity = builder.getMultiDimIdentityMap(padded.size());
  Value result = launch.generic(
      {}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange) -> Value {
        SmallVector<Value> position = {linalg::IndexOp::create(nested, loc, 0),
                                       linalg::IndexOp::create(nested, loc, 1)};
        Value zero = arith::ConstantIndexOp::create(nested, loc, 0);
        Value inside =
            arith::ConstantOp::create(nested, loc, nested.getBoolAttr(true));
        for (unsigned axis = 0; axis < rank(); ++axis) {
          Value out = linalg::IndexOp::create(nested, loc, 2 + axis);
          Value in = arith::SubIOp::create(nested, loc, out, starts[axis]);
          Value fits = arith::CmpIOp::create(
              nested, loc, arith::CmpIPredicate::ult, in, sizes[axis]);
          inside = arith::AndIOp::create(nested, loc, inside, fits);
          position.push_back(
              arith::SelectOp::create(nested, loc, fits, in, zero));
        }
        Value read =
            tensor::ExtractOp::create(nested, loc, launch.input(0), position);
        return arith::SelectOp::create(nested, loc, inside, read, filler);
      });
  return lowering.finish(launch, result).getResult(0);
}

/// The number of k in [0, kernel) with 0 <= origin + k * dilation < limit.
static Value countInside(OpBuilder &builder, Location loc, Value origin,
                         Value kernel, int64_t dilation, Value limit) {
  auto c = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  Value zero = c(0), step = c(dilation);
  // First k at or after zero: ceil(-origin / dilation), at least 0.
  Value negated = arith::SubIOp::create(builder, loc, zero, origin);
  Value below = arith::MaxSIOp::create(builder, loc, negated, zero);
  Value first = arith::CeilDivUIOp::create(builder, loc, below, step);
  // First k at or after the limit, at most kernel.
  Value room = arith::SubIOp::create(builder, loc, limit, origin);
  Value above = arith::MaxSIOp::create(builder, loc, room, zero);
  Value last = arith::CeilDivUIOp::create(builder, loc, above, step);
  Value end = arith::MinSIOp::create(builder, loc, last, kernel);
  Value count = arith::SubIOp::create(builder, loc, end, first);
  return arith::MaxSIOp::create(builder, loc, count, zero);
}

Value Windows::divideByCounts(Value sums, Type element,
                              ArrayRef<AffineExpr> inputDims,
                              bool includesPads) {
  Dims dims = lowering.dims(sums);
  Type sumType = lowering.element(sums);
  Location loc = op->getLoc();
  LaunchBuilder launch = lowering.launch(loc, sums, Result{element, dims});
  OpBuilder &builder = launch.builder();
  SmallVector<Value> starts, limits, sizes;
  for (unsigned axis = 0; axis < rank(); ++axis) {
    starts.push_back(padBefore(launch, axis));
    Value limit = launch.index(inputDims[2 + axis]);
    if (includesPads)
      limit =
          arith::AddIOp::create(builder, loc, limit, padAfter(launch, axis));
    limits.push_back(limit);
    sizes.push_back(launch.index(kernel[axis]));
  }
  AffineMap identity = builder.getMultiDimIdentityMap(dims.size());
  Value means = launch.generic(
      {{launch.input(0), identity}}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
        Value count = arith::ConstantIndexOp::create(nested, loc, 1);
        for (unsigned axis = 0; axis < rank(); ++axis) {
          Value out = linalg::IndexOp::create(nested, loc, 2 + axis);
          Value stride =
              arith::ConstantIndexOp::create(nested, loc, strides[axis]);
          Value moved = arith::MulIOp::create(nested, loc, out, stride);
          Value origin =
              arith::SubIOp::create(nested, loc, moved, starts[axis]);
          Value from = origin;
          if (includesPads) // the padded input begins at -before
            from = moved;
          Value limit = limits[axis];
          if (includesPads)
            limit = arith::AddIOp::create(nested, loc, limit, starts[axis]);
          Value inside = countInside(nested, loc, from, sizes[axis],
                                     dilations[axis], limit);
          count = arith::MulIOp::create(nested, loc, count, inside);
        }
        Value whole =
            arith::IndexCastOp::create(nested, loc, nested.getI64Type(), count);
        Value divisor = arith::SIToFPOp::create(nested, loc, sumType, whole);
        Value mean = arith::DivFOp::create(nested, loc, v[0], divisor);
        return convertFloat(nested, loc, mean, element);
      });
  return lowering.finish(launch, means).getResult(0);
}

WindowWalk::WindowWalk(const Windows &windows, LaunchBuilder &launch,
                       ArrayRef<AffineExpr> inputDims)
    : windows(windows) {
  for (unsigned axis = 0; axis < windows.rank(); ++axis) {
    sizes.push_back(launch.index(inputDims[2 + axis]));
    starts.push_back(windows.padBefore(launch, axis));
    counts.push_back(launch.index(windows.kernel[axis]));
  }
}

ScalarCode::Exprs WindowWalk::visit(ScalarCode &code, ArrayRef<ScalarExpr> at,
                                    ArrayRef<ScalarExpr> state,
                                    Visitor visitor) {
  ScalarCode::Exprs position(at);
  for (unsigned axis = 0; axis < windows.rank(); ++axis)
    position[2 + axis] =
        at[2 + axis] * windows.strides[axis] - code(starts[axis]);
  return visitFrom(0, code, position, code.truth(true), state, visitor);
}

ScalarCode::Exprs WindowWalk::visitFrom(unsigned axis, ScalarCode &code,
                                        ScalarCode::Exprs position,
                                        ScalarExpr inside,
                                        ArrayRef<ScalarExpr> state,
                                        Visitor visitor) {
  if (axis == windows.rank())
    return visitor(position, inside, state);
  return code.loop(
      code.index(0), code(counts[axis]), state,
      [&](ScalarExpr k, ArrayRef<ScalarExpr> state) {
        ScalarExpr in = position[2 + axis] + k * windows.dilations[axis];
        ScalarExpr fits = (in >= 0) & (in < code(sizes[axis]));
        ScalarCode::Exprs next = position;
        next[2 + axis] = fits.select(in, code.index(0));
        return visitFrom(axis + 1, code, next, inside & fits, state, visitor);
      });
}
