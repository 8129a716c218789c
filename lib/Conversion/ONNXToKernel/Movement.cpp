// Operators that move whole tensors: transposes and concatenation.

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

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

void tenon::addMovementLowerings(LoweringTable &table) {
  table["onnx.Transpose"] = lowerTranspose;
  table["onnx.Concat"] = lowerConcat;
}
