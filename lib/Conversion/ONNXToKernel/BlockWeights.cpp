// Operators on weights of blocks of small integers, which stay as they are
// stored: MatMulNBits and GatherBlockQuantized of com.microsoft.

#include "LineMatrix.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;
using MatMul = onnx::MsMatMulNBitsOp;
using Gather = onnx::MsGatherBlockQuantizedOp;

/// Checks what both operators have; fails with an error.
static LogicalResult checkBlocks(Operation *op, int64_t bits, int64_t block) {
  if (bits != 2 && bits != 4 && bits != 8)
    return op->emitOpError("expected 'bits' of 2, 4 or 8, but got ") << bits;
  if (block < 16 || (block & (block - 1)) != 0)
    return op->emitOpError("expected 'block_size' a power of two of 16 at "
                           "least, but got ")
           << block;
  return success();
}

/// `value` as a matrix of `rows` rows.
static Value viewRows(Location loc, Value value, int64_t rows,
                      Lowering &lowering) {
  AffineExpr count = lowering.constant(1);
  for (AffineExpr dim : lowering.dims(value))
    count = count * dim;
  return lowering.view(loc, value,
                       {lowering.constant(rows), count.floorDiv(rows)});
}

/// Whether `value` has as many elements as its place in the weights asks for;
/// else an error.
static LogicalResult checkCount(Operation *op, StringRef name, Value value,
                                ArrayRef<int64_t> wanted) {
  auto type = cast<RankedTensorType>(value.getType());
  if (type.hasStaticShape() &&
      llvm::is_contained(wanted, type.getNumElements()))
    return success();
  return op->emitOpError("expected '")
         << name << "' of " << wanted.front() << " elements, but got " << type;
}

static LogicalResult checkWeights(MatMul op, const BlockedIntegers &format) {
  if (op.getGIdx())
    return op.emitOpError("expected no 'g_idx', but got one");
  int64_t n = op.getN(), k = op.getK(), size = format.getBlockSize();
  if (n < 1 || k < 1)
    return op.emitOpError("expected 'N' and 'K' of 1 at least, but got ")
           << n << " and " << k;
  int64_t blocks = (k + size - 1) / size;
  if (failed(checkCount(op, "B", op.getB(),
                        {n * blocks * format.getBlockBytes()})) ||
      failed(checkCount(op, "scales", op.getScales(), {n * blocks})))
    return failure();
  if (!cast<RankedTensorType>(op.getB().getType())
           .getElementType()
           .isInteger(8))
    return op.emitOpError("expected 'B' of bytes, but got ")
           << op.getB().getType();
  int64_t zeroBytes = (blocks * int64_t(op.getBits()) + 7) / 8;
  if (Value zeros = op.getZeroPoints()) {
    bool areFloats = isa<FloatType>(
        cast<RankedTensorType>(zeros.getType()).getElementType());
    if (failed(checkCount(op, "zero_points", zeros,
                          {n * (areFloats ? blocks : zeroBytes)})))
      return failure();
  }
  return op.getBias() ? checkCount(op, "bias", op.getBias(), {n}) : success();
}

static LogicalResult lowerMatMulNBits(Operation *operation,
                                      Lowering &lowering) {
  auto op = cast<MatMul>(operation);
  Location loc = op.getLoc();
  BlockedIntegers format(op.getBits(), op.getBlockSize());
  if (failed(checkBlocks(op, op.getBits(), op.getBlockSize())) ||
      failed(checkWeights(op, format)))
    return failure();
  Dims aDims = lowering.dims(op.getA());
  Type element = lowering.element(op.getA());
  int64_t rows = op.getN(), depth = op.getK();
  if (!isa<Float32Type, Float16Type, BFloat16Type>(element))
    return op.emitOpError("expected 'A' of floats of 16 or 32 bits, but got ")
           << element;
  if (aDims.empty() || aDims.back() != lowering.constant(depth))
    return op.emitOpError("expected 'A' with ")
           << depth << " columns, but got " << op.getA().getType();
  AffineExpr m = lowering.constant(1);
  for (AffineExpr dim : ArrayRef(aDims).drop_back())
    m = m * dim;
  Value a = lowering.view(loc, op.getA(), {m, lowering.constant(depth)});
  Value zeros = op.getZeroPoints();
  LineMatrix matrix{format,
                    rows,
                    depth,
                    viewRows(loc, op.getB(), rows, lowering),
                    viewRows(loc, op.getScales(), rows, lowering),
                    zeros ? viewRows(loc, zeros, rows, lowering) : Value()};
  Value result = multiplyByLines(op, a, matrix, op.getBias(), lowering);
  lowering.replace(op, lowering.view(loc, result, lowering.dims(op.getY())));
  return success();
}

/// output[indices..., k] = element (indices, k) of the stored table
static LogicalResult lowerGatherBlocks(Operation *operation,
                                       Lowering &lowering) {
  auto op = cast<Gather>(operation);
  Dims dataDims = lowering.dims(op.getData());
  Dims dims = lowering.dims(op->getResult(0));
  if (failed(checkBlocks(op, op.getBits(), op.getBlockSize())))
    return failure();
  auto rows = dyn_cast<AffineConstantExpr>(dataDims[0]);
  if (dataDims.size() != 2 || !rows || op.getGatherAxis() != 0 ||
      op.getQuantizeAxis() != 1 || !lowering.element(op.getData()).isInteger(8))
    return op.emitOpError("expected a table of bytes of two dimensions, "
                          "gathered along 0 and quantized along 1, but got ")
           << op.getData().getType();
  auto columns = dyn_cast<AffineConstantExpr>(dims.back());
  if (!columns)
    return op->emitOpError("expected rows of known length, but got ")
           << op->getResult(0).getType();
  int64_t size = op.getBlockSize();
  int64_t blocks = (columns.getValue() + size - 1) / size;
  int64_t zeroBytes = (blocks * int64_t(op.getBits()) + 7) / 8;
  if (failed(checkCount(op, "scales", op.getScales(),
                        {rows.getValue() * blocks})) ||
      (op.getZeroPoints() &&
       failed(checkCount(op, "zero_points", op.getZeroPoints(),
                         {rows.getValue() * zeroBytes}))))
    return failure();
  BlockedIntegers format(op.getBits(), size);
  LineMatrix matrix{format,       rows.getValue(), columns.getValue(),
                    op.getData(), op.getScales(),  op.getZeroPoints()};
  lowering.replace(op, gatherLines(op, op.getIndices(), matrix, lowering));
  return success();
}

void tenon::addBlockWeightLowerings(LoweringTable &table) {
  table["onnx.ms.MatMulNBits"] = lowerMatMulNBits;
  table["onnx.ms.GatherBlockQuantized"] = lowerGatherBlocks;
}
