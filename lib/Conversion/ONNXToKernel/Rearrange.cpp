// Operators whose every element is one of the input's, found by arithmetic on
// its position: Tile, DepthToSpace, SpaceToDepth, ReverseSequence, GatherND,
// TensorScatter; or a choice of two: OneHot, EyeLike.

#include "Positions.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

using Position = SmallVector<ScalarExpr, 4>;

static LaunchBuilder open(Operation *op, ArrayRef<Value> inputs,
                          Lowering &lowering) {
  Value result = op->getResult(0);
  return lowering.launch(
      op->getLoc(), inputs,
      Result{lowering.element(result), lowering.dims(result)});
}

static LogicalResult close(Operation *op, LaunchBuilder &launch, Value value,
                           Lowering &lowering) {
  lowering.replace(op, lowering.finish(launch, value).getResults());
  return success();
}

static LogicalResult lowerTile(Operation *op, Lowering &lowering) {
  Value input = op->getOperand(0);
  LaunchBuilder launch = open(op, input, lowering);
  SmallVector<Value> sizes;
  for (AffineExpr dim : lowering.dims(input))
    sizes.push_back(launch.index(dim));
  Value tiled =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Position source;
        for (auto [i, size] : llvm::zip(at, sizes))
          source.push_back(i % code(size));
        return code.read(launch.input(0), source);
      });
  return close(op, launch, tiled, lowering);
}

/// Blocks of the spatial axes <-> channels. DCR: the block's position is the
/// channel's leading part, CRD: its trailing one.
static LogicalResult lowerDepthToSpace(Operation *op, Lowering &lowering) {
  auto blocks = cast<onnx::DepthToSpaceOp>(op);
  Value input = blocks.getInput();
  double size = blocks.getBlocksize();
  bool isCRD = blocks.getMode() == "CRD";
  LaunchBuilder launch = open(op, input, lowering);
  Value channels = launch.index(lowering.dims(op->getResult(0))[1]);
  Value moved =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr block = at[2] % size * size + at[3] % size;
        ScalarExpr channel = isCRD ? at[1] * (size * size) + block
                                   : block * code(channels) + at[1];
        return code.read(launch.input(0),
                         {at[0], channel, at[2] / size, at[3] / size});
      });
  return close(op, launch, moved, lowering);
}

static LogicalResult lowerSpaceToDepth(Operation *op, Lowering &lowering) {
  auto blocks = cast<onnx::SpaceToDepthOp>(op);
  Value input = blocks.getInput();
  double size = blocks.getBlocksize();
  bool isCRD = op->getAttrOfType<StringAttr>("mode") &&
               op->getAttrOfType<StringAttr>("mode").getValue() == "CRD";
  LaunchBuilder launch = open(op, input, lowering);
  Value channels = launch.index(lowering.dims(input)[1]);
  Value moved = mapPositions(launch, [&](ScalarCode &code,
                                         ArrayRef<ScalarExpr> at) {
    ScalarExpr block = isCRD ? at[1] % (size * size) : at[1] / code(channels);
    ScalarExpr channel = isCRD ? at[1] / (size * size) : at[1] % code(channels);
    return code.read(launch.input(0),
                     {at[0], channel, at[2] * size + block / size,
                      at[3] * size + block % size});
  });
  return close(op, launch, moved, lowering);
}

/// The first sequence_lens[b] steps of each batch in reverse.
static LogicalResult lowerReverseSequence(Operation *op, Lowering &lowering) {
  auto reverse = cast<onnx::ReverseSequenceOp>(op);
  int64_t batch = reverse.getBatchAxis(), time = reverse.getTimeAxis();
  int64_t rank = lowering.dims(reverse.getInput()).size();
  if (std::min(batch, time) < 0 || std::max(batch, time) > 1 || batch == time ||
      rank < 2)
    return op->emitOpError("expected batch_axis and time_axis to be 0 and 1, "
                           "but got ")
           << batch << " and " << time;
  LaunchBuilder launch =
      open(op, {reverse.getInput(), reverse.getSequenceLens()}, lowering);
  Value reversed =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr length = code.read(launch.input(1), at[batch]).toIndex();
        ScalarExpr mirrored = (length - at[time] - 1).max(code.index(0));
        Position source(at);
        source[time] = (at[time] < length).select(mirrored, at[time]);
        return code.read(launch.input(0), source);
      });
  return close(op, launch, reversed, lowering);
}

/// result[b, i, r] = data[b, indices[b, i], r]
static LogicalResult lowerGatherND(Operation *op, Lowering &lowering) {
  auto gather = cast<onnx::GatherNDOp>(op);
  Value data = gather.getData(), indices = gather.getIndices();
  Dims dataDims = lowering.dims(data), indexDims = lowering.dims(indices);
  auto width = dyn_cast<AffineConstantExpr>(indexDims.back());
  int64_t batch = gather.getBatchDims(), rank = dataDims.size();
  if (!width || width.getValue() < 1 || batch < 0 ||
      batch + width.getValue() > rank || batch >= int64_t(indexDims.size()))
    return op->emitOpError("expected the last dimension of 'indices' to be a "
                           "constant of 1 to ")
           << rank - batch;
  unsigned outer = indexDims.size() - 1;
  LaunchBuilder launch = open(op, {data, indices}, lowering);
  SmallVector<Value> sizes;
  for (AffineExpr dim : dataDims)
    sizes.push_back(launch.index(dim));
  Value gathered =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Position source(at.take_front(batch));
        for (int64_t i = 0; i < width.getValue(); ++i) {
          Position where(at.take_front(outer));
          where.push_back(code.index(i));
          Value index = normalizeIndex(code.builder, code.loc,
                                       code.read(launch.input(1), where),
                                       sizes[batch + i]);
          source.push_back(code(index));
        }
        llvm::append_range(source, at.drop_front(outer));
        return code.read(launch.input(0), source);
      });
  return close(op, launch, gathered, lowering);
}

/// The update where it falls on an axis, from write_indices[b] on, else the
/// past.
static LogicalResult lowerTensorScatter(Operation *op, Lowering &lowering) {
  auto scatter = cast<onnx::TensorScatterOp>(op);
  Value past = scatter.getPastCache(), update = scatter.getUpdate();
  Dims dims = lowering.dims(past);
  FailureOr<int64_t> axis = lowering.axis(op, -2, dims.size());
  if (failed(axis))
    return failure();
  bool isCircular = scatter.getMode() == "circular";
  SmallVector<Value> inputs = {past, update};
  if (scatter.getWriteIndices())
    inputs.push_back(scatter.getWriteIndices());
  LaunchBuilder launch = open(op, inputs, lowering);
  Value length = launch.index(lowering.dims(update)[*axis]);
  Value capacity = launch.index(dims[*axis]);
  Value scattered =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr start = inputs.size() > 2
                               ? code.read(launch.input(2), at[0]).toIndex()
                               : code.index(0);
        ScalarExpr offset = at[*axis] - start;
        if (isCircular)
          offset = (offset % code(capacity) + code(capacity)) % code(capacity);
        ScalarExpr isNew = (offset >= code.index(0)) & (offset < code(length));
        Position source(at);
        source[*axis] = offset;
        return code.choose(
            isNew, [&] { return code.read(launch.input(1), source); },
            [&] { return code.read(launch.input(0), at); });
      });
  return close(op, launch, scattered, lowering);
}

/// The depth as a size, where it is a float or a small integer: 0 at least.
static void readDepth(onnx::OneHotOp op, Lowering &lowering) {
  ElementKind kind = lowering.kind(op.getDepth());
  lowering.readDims(
      op->getResult(0), op.getDepth(), [&](LaunchBuilder &launch, unsigned) {
        ScalarCode code(launch.builder(), launch.loc());
        IndexMath math{launch.builder(), launch.loc()};
        ScalarExpr depth = toReal(code, extractScalar(math, launch.input(0)),
                                  kind, code.builder.getF64Type());
        constexpr double kMost = 2147483647;
        return Value(depth.clamp(depth.like(0), depth.like(kMost)).toIndex());
      });
}

static LogicalResult lowerOneHot(Operation *op, Lowering &lowering) {
  auto oneHot = cast<onnx::OneHotOp>(op);
  readDepth(oneHot, lowering);
  Dims dims = lowering.dims(op->getResult(0));
  FailureOr<int64_t> axis = lowering.axis(op, -1, dims.size());
  if (failed(axis))
    return failure();
  LaunchBuilder launch =
      open(op, {oneHot.getIndices(), oneHot.getValues()}, lowering);
  Value depth = launch.index(dims[*axis]);
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        Position where(at);
        where.erase(where.begin() + *axis);
        ScalarExpr index = code.read(launch.input(0), where).toIndex();
        index = (index < 0).select(index + code(depth), index);
        ScalarExpr isOn = index == at[*axis];
        return code.read(launch.input(1),
                         isOn.select(code.index(1), code.index(0)));
      });
  return close(op, launch, result, lowering);
}

static LogicalResult lowerEyeLike(Operation *op, Lowering &lowering) {
  auto eye = cast<onnx::EyeLikeOp>(op);
  double diagonal = eye.getK();
  Type element = lowering.element(op->getResult(0));
  LaunchBuilder launch = open(op, {}, lowering);
  Value result = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    ScalarExpr isOn = at[1] == at[0] + diagonal;
    return isOn.select(code.constant(element, 1), code.constant(element, 0));
  });
  return close(op, launch, result, lowering);
}

void tenon::addRearrangeLowerings(LoweringTable &table) {
  table["onnx.Tile"] = lowerTile;
  table["onnx.DepthToSpace"] = lowerDepthToSpace;
  table["onnx.SpaceToDepth"] = lowerSpaceToDepth;
  table["onnx.ReverseSequence"] = lowerReverseSequence;
  table["onnx.GatherND"] = lowerGatherND;
  table["onnx.TensorScatter"] = lowerTensorScatter;
  table["onnx.OneHot"] = lowerOneHot;
  table["onnx.EyeLike"] = lowerEyeLike;
}
