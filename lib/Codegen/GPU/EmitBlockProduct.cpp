// Products with weights of blocks of small integers, for any number of rows: a
// warp sums one element of the result.

#include "ThreadBuilder.h"
#include "WholeKernels.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace tenon;
using kernel::BlockProductOp;

static constexpr unsigned kThreads = 128;

namespace {
class BlockProductEmitter {
public:
  BlockProductEmitter(BlockProductOp op, kernel::FuncOp kernel,
                      KernelFrame &frame);
  AffineExpr emit();

private:
  /// A matrix as one row of elements.
  struct Matrix {
    Value memory;
    ArrayRef<int64_t> shape;
  };

  Matrix open(Value argument);
  AffineExpr number(int64_t value) {
    return getAffineConstantExpr(value, op.getContext());
  }
  /// The element at (row, column), where one row may serve all.
  Value read(const Matrix &matrix, Value row, Value column);
  Value getInteger(const Matrix &matrix, Value row, Value number);
  Value getZero(Value column, Value block);
  void emitElement(Value element);

  BlockProductOp op;
  kernel::FuncOp kernel;
  KernelFrame &frame;
  ThreadBuilder b;
  Type f32;
  int64_t bits, perByte, depth, columns;
  Matrix rows, bytes, scales, zeros, bias, result;
  AffineExpr rowCount;
};
} // namespace

BlockProductEmitter::BlockProductEmitter(BlockProductOp op,
                                         kernel::FuncOp kernel,
                                         KernelFrame &frame)
    : op(op), kernel(kernel), frame(frame), b(frame.builder(), frame.loc()),
      f32(Float32Type::get(op.getContext())), bits(op.getBits()),
      perByte(8 / bits) {
  rows = open(op.getRows());
  bytes = open(op.getBytes());
  scales = open(op.getScales());
  if (op.getZeros())
    zeros = open(op.getZeros());
  if (op.getBias())
    bias = open(op.getBias());
  result = open(op.getDestination());
  depth = rows.shape[1];
  columns = bytes.shape[0];
  unsigned argument = cast<BlockArgument>(op.getRows()).getArgNumber();
  rowCount = kernel.getArgumentDims(argument).getResult(0);
}

BlockProductEmitter::Matrix BlockProductEmitter::open(Value argument) {
  unsigned index = cast<BlockArgument>(argument).getArgNumber();
  auto type = cast<RankedTensorType>(argument.getType());
  AffineExpr count = number(1);
  for (AffineExpr dim : kernel.getArgumentDims(index).getResults())
    count = count * dim;
  count = simplify(count);
  return {frame.bufferAs(index, count, type.getElementType()), type.getShape()};
}

Value BlockProductEmitter::read(const Matrix &matrix, Value row, Value column) {
  Value first = matrix.shape[0] == 1 ? b.index(0) : row;
  return b.load(matrix.memory,
                b.add(b.mul(first, b.index(matrix.shape[1])), column));
}

/// Integer `number` of a row, counted from the least one.
Value BlockProductEmitter::getInteger(const Matrix &matrix, Value row,
                                      Value number) {
  Type i32 = b.builder.getI32Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b.builder, b.loc,
                                     b.builder.getI32IntegerAttr(value));
  };
  Value byte = read(matrix, row, b.div(number, b.index(perByte)));
  Value wide = arith::ExtUIOp::create(b.builder, b.loc, i32, byte);
  if (bits < 8) {
    Value place = b.mul(b.rem(number, b.index(perByte)), b.index(bits));
    Value shift = arith::IndexCastOp::create(b.builder, b.loc, i32, place);
    wide = arith::ShRUIOp::create(b.builder, b.loc, wide, shift);
    wide = arith::AndIOp::create(b.builder, b.loc, wide,
                                 constant((1 << bits) - 1));
  }
  if (op.getIsSigned())
    wide = arith::XOrIOp::create(b.builder, b.loc, wide,
                                 constant(1 << (bits - 1)));
  return arith::SIToFPOp::create(b.builder, b.loc, f32, wide);
}

Value BlockProductEmitter::getZero(Value column, Value block) {
  if (!zeros.memory)
    return b.constant(f32, 1 << (bits - 1));
  if (isa<FloatType>(cast<MemRefType>(zeros.memory.getType()).getElementType()))
    return b.convert(read(zeros, column, block), f32);
  return getInteger(zeros, column, block);
}

void BlockProductEmitter::emitElement(Value element) {
  Value column = b.take(element, b.index(columns)), row = element;
  Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
  auto multiply = [&](Value x, Value y) -> Value {
    return arith::MulFOp::create(b.builder, b.loc, x, y);
  };
  auto plus = [&](OpBuilder &, Value x, Value y) -> Value {
    return arith::AddFOp::create(b.builder, b.loc, x, y);
  };
  Value sum = b.fold(
      lane, b.index(depth), ThreadBuilder::kWarp, b.constant(f32, 0),
      [&](Value k, ValueRange so) {
        Value block = b.div(k, b.index(op.getBlock()));
        Value distance = arith::SubFOp::create(b.builder, b.loc,
                                               getInteger(bytes, column, k),
                                               getZero(column, block));
        Value weight =
            multiply(distance, b.convert(read(scales, column, block), f32));
        Value x = b.load(rows.memory, b.add(b.mul(row, b.index(depth)), k));
        return SmallVector<Value>{
            plus(b.builder, so[0], multiply(b.convert(x, f32), weight))};
      })[0];
  sum = b.reduceWarp(sum, plus);
  Value isFirst = arith::CmpIOp::create(
      b.builder, b.loc, arith::CmpIPredicate::eq, lane, b.index(0));
  b.ifElse(isFirst, [&] {
    if (bias.memory)
      sum = plus(b.builder, sum, b.convert(b.load(bias.memory, column), f32));
    Type type = cast<MemRefType>(result.memory.getType()).getElementType();
    b.store(b.convert(sum, type), result.memory,
            b.add(b.mul(row, b.index(columns)), column));
  });
}

AffineExpr BlockProductEmitter::emit() {
  constexpr unsigned warps = kThreads / ThreadBuilder::kWarp;
  AffineExpr elements = rowCount * columns;
  Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
  Value element = b.add(b.mul(frame.begin(), b.index(warps)), warp);
  // The same for all threads of a warp, so they stay together.
  b.ifElse(b.isLess(element, frame.size(elements)),
           [&] { emitElement(element); });
  return elements.ceilDiv(warps);
}

FailureOr<BlockGrid> tenon::emitBlockProduct(BlockProductOp op,
                                             kernel::FuncOp kernel,
                                             KernelFrame &frame) {
  if (failed(checkAlone(op, kernel)))
    return failure();
  return BlockGrid{BlockProductEmitter(op, kernel, frame).emit(), kThreads};
}
