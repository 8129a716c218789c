// Operators that move elements without looking at them: views, transposes,
// slices, concatenation, padding.

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

/// Reshape, Squeeze, Unsqueeze, Flatten, Identity: the same bytes.
static LogicalResult lowerView(Operation *op, Lowering &lowering) {
  lowering.replace(op, lowering.view(op->getLoc(), op->getOperand(0),
                                     lowering.dims(op->getResult(0))));
  return success();
}

static Value takeElement(OpBuilder &, Location, ValueRange elements) {
  return elements[0];
}

static LogicalResult lowerTranspose(Operation *op, Lowering &lowering) {
  auto transpose = cast<onnx::TransposeOp>(op);
  Value input = transpose->getOperand(0);
  unsigned rank = lowering.dims(input).size();
  SmallVector<int64_t> permutation;
  if (std::optional<ArrayRef<int64_t>> given = transpose.getPerm())
    permutation.assign(given->begin(), given->end());
  else
    for (unsigned i = 0; i < rank; ++i)
      permutation.push_back(rank - 1 - i);
  // Input dimension permutation[i] is the result's dimension i.
  SmallVector<AffineExpr> exprs(rank);
  for (auto [position, source] : llvm::enumerate(permutation))
    exprs[source] = lowering.builder.getAffineDimExpr(position);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), input,
      Result{lowering.element(input), lowering.dims(op->getResult(0))});
  OpBuilder &builder = launch.builder();
  Value moved = launch.generic(
      {{launch.input(0), AffineMap::get(rank, 0, exprs, op->getContext())}},
      {launch.destination(), builder.getMultiDimIdentityMap(rank)},
      takeElement);
  Value result = lowering.finish(launch, moved).getResult(0);
  if (rank == 2 && permutation[0] == 1)
    lowering.setTransposed(result, input);
  lowering.replace(op, result);
  return success();
}

static LogicalResult lowerConcat(Operation *op, Lowering &lowering) {
  Value result = op->getResult(0);
  Dims dims = lowering.dims(result);
  int64_t axis = op->getAttrOfType<IntegerAttr>("axis").getInt();
  axis += axis < 0 ? int64_t(dims.size()) : 0;
  SmallVector<Value> inputs(op->getOperands());
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{lowering.element(result), dims});
  OpBuilder &builder = launch.builder();
  Value joined = launch.destination();
  AffineExpr offset = lowering.constant(0);
  for (auto [index, input] : llvm::enumerate(inputs)) {
    Dims piece = lowering.dims(input);
    if (piece[axis] == lowering.constant(0))
      continue; // it would begin where the result ends
    SmallVector<OpFoldResult> offsets(dims.size(), builder.getIndexAttr(0));
    SmallVector<OpFoldResult> strides(dims.size(), builder.getIndexAttr(1));
    SmallVector<OpFoldResult> sizes;
    for (AffineExpr dim : piece)
      sizes.push_back(launch.size(dim));
    offsets[axis] = launch.size(offset);
    joined = tensor::InsertSliceOp::create(builder, op->getLoc(),
                                           launch.input(index), joined, offsets,
                                           sizes, strides);
    offset = offset + piece[axis];
  }
  lowering.replace(op, lowering.finish(launch, joined).getResults());
  return success();
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
  if (llvm::is_contained(dims, lowering.constant(0))) {
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

static LogicalResult lowerSlice(Operation *op, Lowering &lowering) {
  auto sliceOp = cast<onnx::SliceOp>(op);
  Value input = sliceOp.getData();
  Dims from = lowering.dims(input), to = lowering.dims(op->getResult(0));
  std::optional<Dims> starts = lowering.elements(sliceOp.getStarts());
  if (!starts)
    return op->emitOpError("expected 'starts' that the shapes determine, but "
                           "got a value computed at run time");
  SmallVector<int64_t> axes, steps(starts->size(), 1);
  if (sliceOp.getAxes()) {
    auto known = lowering.constants(sliceOp.getAxes());
    if (!known)
      return op->emitOpError(
          "expected constant 'axes', but got a computed value");
    axes = *known;
  } else {
    for (unsigned i = 0; i < starts->size(); ++i)
      axes.push_back(i);
  }
  if (sliceOp.getSteps()) {
    auto known = lowering.constants(sliceOp.getSteps());
    if (!known)
      return op->emitOpError(
          "expected constant 'steps', but got a computed value");
    steps = *known;
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

void tenon::addMovementLowerings(LoweringTable &table) {
  for (StringRef name :
       {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
    table[("onnx." + name).str()] = lowerView;
  table["onnx.Transpose"] = lowerTranspose;
  table["onnx.Concat"] = lowerConcat;
  table["onnx.Slice"] = lowerSlice;
  table["onnx.Split"] = lowerSplit;
}
