// RotaryEmbedding, of ai.onnx and of com.microsoft.

#include "Positions.h"
#include "Turn.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

static LogicalResult rotate(Operation *op, const Rotation &r,
                            Lowering &lowering) {
  Location loc = op->getLoc();
  SmallVector<Value> inputs = {r.input.value, r.cos, r.sin};
  if (r.positions)
    inputs.push_back(r.positions);
  LaunchBuilder launch = lowering.launch(
      loc, inputs, Result{lowering.element(r.input.value), r.input.dims()});
  Turn turn(r, launch, /*first=*/0, /*angles=*/1, lowering);
  Value turned = fillByPosition(
      launch, [&](OpBuilder &builder, Location loc, ValueRange position) {
        SmallVector<Value> at(position);
        if (r.input.isTokensFirst())
          std::swap(at[1], at[2]);
        return turn.emit(builder, loc, at);
      });
  Value result = lowering.finish(launch, turned).getResult(0);
  lowering.replace(op,
                   lowering.view(loc, result, lowering.dims(op->getResult(0))));
  return success();
}

static LogicalResult lowerRotary(Operation *operation, Lowering &lowering) {
  auto op = cast<onnx::RotaryEmbeddingOp>(operation);
  FailureOr<HeadTensor> input =
      HeadTensor::get(op, op.getX(), "num_heads", lowering);
  if (failed(input))
    return failure();
  FailureOr<Rotation> r = Rotation::get(
      op, *input, op.getCosCache(), op.getSinCache(), op.getPositionIds(),
      op.getRotaryEmbeddingDim(), op.getInterleaved() != 0, lowering);
  return failed(r) ? failure() : rotate(op, *r, lowering);
}

/// Without 'num_heads', a tensor of rank 3 has heads twice as wide as the
/// caches.
static LogicalResult setHeads(onnx::MsRotaryEmbeddingOp op,
                              Lowering &lowering) {
  Dims dims = lowering.dims(op.getInput());
  if (dims.size() != 3 || op.getNumHeads() > 0)
    return success();
  auto width = dyn_cast<AffineConstantExpr>(dims[2]);
  auto half = dyn_cast<AffineConstantExpr>(lowering.dims(op.getCosCache())[1]);
  if (!width || !half || half.getValue() < 1 ||
      width.getValue() % (2 * half.getValue()) != 0)
    return op.emitOpError("expected 'num_heads', or an input of a multiple of "
                          "twice the caches' columns, but got ")
           << op.getInput().getType();
  op.setNumHeads(width.getValue() / (2 * half.getValue()));
  return success();
}

static LogicalResult lowerMsRotary(Operation *operation, Lowering &lowering) {
  auto op = cast<onnx::MsRotaryEmbeddingOp>(operation);
  if (op.getIsPackedBatching())
    return op.emitOpError("expected 'is_packed_batching' of 0, but got ")
           << op.getIsPackedBatching();
  if (lowering.dims(op.getCosCache()).size() != 2)
    return op.emitOpError("expected caches of rank 2, but got ")
           << op.getCosCache().getType();
  if (failed(setHeads(op, lowering)))
    return failure();
  FailureOr<HeadTensor> input =
      HeadTensor::get(op, op.getInput(), "num_heads", lowering);
  if (failed(input))
    return failure();
  FailureOr<Rotation> r = Rotation::get(
      op, *input, op.getCosCache(), op.getSinCache(), op.getPositionIds(),
      op.getRotaryEmbeddingDim(), op.getInterleaved() != 0, lowering);
  return failed(r) ? failure() : rotate(op, *r, lowering);
}

void tenon::addRotaryLowerings(LoweringTable &table) {
  table["onnx.RotaryEmbedding"] = lowerRotary;
  table["onnx.ms.RotaryEmbedding"] = lowerMsRotary;
}
