#include "EmitBlockProduct.h"
#include "LaneProduct.h"
#include "Transpose.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;
using kernel::BlockProductOp;

/// Columns of an item, and the rows up to which each weight is decoded for each
/// row anew instead of once for all.
static constexpr int64_t kColumns = 32, kFewRows = 4;
/// Rows that are multiplied at a time, and columns of which sums are in
/// registers.
static constexpr int64_t kRowTile = 64, kColumnsAtOnce = 4;

namespace {
class BlockProductEmitter {
public:
  BlockProductEmitter(BlockProductOp op, kernel::FuncOp kernel,
                      CPUFrame &frame);
  AffineExpr emit();

private:
  Value open(Value argument);
  AffineExpr number(int64_t value) {
    return getAffineConstantExpr(value, op.getContext());
  }
  Value offset(Value row, int64_t width, Value column) {
    return loops.add(loops.mul(row, loops.index(width)), column);
  }
  Value fma(Value a, Value b, Value c) {
    return vector::FMAOp::create(loops.builder, loops.loc, a, b, c);
  }
  Value multiply(Value a, Value b) {
    return arith::MulFOp::create(loops.builder, loops.loc, a, b);
  }
  Value plus(Value a, Value b) {
    return arith::AddFOp::create(loops.builder, loops.loc, a, b);
  }
  Value raise(Value bytes);
  Value extract(Value bytes, int64_t place);
  Value getScale(Value column, Value block);
  Value getZero(Value column, Value block);
  void storeResult(Value sum, Value row, Value column);

  void emitFewRows();
  void spreadRow(Value row);
  void emitColumns(Value row, Value column, int64_t count);
  void emitManyRows();
  void decodeTile(Value first, Value count);
  void decodeSquares(Value first, Value last);
  void decodeScalars(Value first, Value last);
  void storeTile(Value firstRow, Value rows, Value first, Value count);

  BlockProductOp op;
  kernel::FuncOp kernel;
  CPUFrame &frame;
  LoopBuilder loops;
  Type f32;
  int64_t width; // of a vector
  AffineExpr rowCount;
  int64_t columns, depth, bits, perByte, block, blocks, blockBytes, rowBytes;
  ArrayRef<int64_t> scaleShape, zeroShape;
  Value rows, bytes, scales, zeros, bias, result;
  Value spread,
      blockSums; // of a few rows: [row][place in byte][byte], [row][block]
  Value tile, products; // of many: decoded [depth][column], [row][column]
};
} // namespace

BlockProductEmitter::BlockProductEmitter(BlockProductOp op,
                                         kernel::FuncOp kernel, CPUFrame &frame)
    : op(op), kernel(kernel), frame(frame), loops(frame.builder(), frame.loc()),
      f32(Float32Type::get(op.getContext())),
      width(frame.getTarget().vectorBits / 32) {
  auto getShape = [](Value value) {
    return cast<RankedTensorType>(value.getType()).getShape();
  };
  columns = getShape(op.getBytes())[0];
  rowBytes = getShape(op.getBytes())[1];
  depth = getShape(op.getRows())[1];
  bits = op.getBits();
  perByte = 8 / bits;
  block = op.getBlock();
  blockBytes = block / perByte;
  blocks = rowBytes / blockBytes;
  rows = open(op.getRows());
  bytes = open(op.getBytes());
  scales = open(op.getScales());
  scaleShape = getShape(op.getScales());
  if (op.getZeros()) {
    zeros = open(op.getZeros());
    zeroShape = getShape(op.getZeros());
  }
  if (op.getBias())
    bias = open(op.getBias());
  result = open(op.getDestination());
  unsigned argument = cast<BlockArgument>(op.getRows()).getArgNumber();
  rowCount = kernel.getArgumentDims(argument).getResult(0);
  spread = frame.allocate(number(kFewRows * perByte * rowBytes), f32);
  blockSums = frame.allocate(number(kFewRows * blocks), f32);
  tile = frame.allocate(number(blocks * block * kColumns), f32);
  products = frame.allocate(number(kRowTile * kColumns), f32);
}

Value BlockProductEmitter::open(Value argument) {
  unsigned index = cast<BlockArgument>(argument).getArgNumber();
  AffineExpr count = number(1);
  for (AffineExpr dim : kernel.getArgumentDims(index).getResults())
    count = count * dim;
  return frame.bufferAs(
      index, simplify(count),
      cast<RankedTensorType>(argument.getType()).getElementType());
}

/// Bytes of signed integers with these counted from the least one, so that they
/// are unsigned.
Value BlockProductEmitter::raise(Value source) {
  if (!op.getIsSigned())
    return source;
  // The highest bit of every integer in a byte.
  int64_t mask = bits == 8 ? 0x80 : bits == 4 ? 0x88 : 0xAA;
  TypedAttr attr = loops.builder.getIntegerAttr(
      getElementTypeOrSelf(source.getType()), APInt(8, mask).getSExtValue());
  if (auto vector = dyn_cast<VectorType>(source.getType()))
    attr = DenseElementsAttr::get(vector, Attribute(attr));
  Value masks = arith::ConstantOp::create(loops.builder, loops.loc, attr);
  return arith::XOrIOp::create(loops.builder, loops.loc, source, masks);
}

/// Integer `place` of each of a vector of raised bytes, or of one, as f32.
Value BlockProductEmitter::extract(Value source, int64_t place) {
  auto vector = dyn_cast<VectorType>(source.getType());
  Type i32 = loops.builder.getI32Type(), to = f32;
  if (vector)
    i32 = vector.clone(i32), to = vector.clone(f32);
  auto constant = [&](int64_t value) -> Value {
    TypedAttr attr = loops.builder.getI32IntegerAttr(value);
    if (vector)
      attr = DenseElementsAttr::get(cast<VectorType>(i32), Attribute(attr));
    return arith::ConstantOp::create(loops.builder, loops.loc, attr);
  };
  Value wide = arith::ExtUIOp::create(loops.builder, loops.loc, i32, source);
  if (place > 0)
    wide = arith::ShRUIOp::create(loops.builder, loops.loc, wide,
                                  constant(place * bits));
  if (bits < 8)
    wide = arith::AndIOp::create(loops.builder, loops.loc, wide,
                                 constant((1 << bits) - 1));
  return arith::SIToFPOp::create(loops.builder, loops.loc, to, wide);
}

/// An element of a matrix of which one row may serve all.
static Value getOffset(LoopBuilder &loops, ArrayRef<int64_t> shape, Value row,
                       Value column) {
  Value first = shape[0] == 1 ? loops.index(0) : row;
  return loops.add(loops.mul(first, loops.index(shape[1])), column);
}

Value BlockProductEmitter::getScale(Value column, Value at) {
  Value scale = loops.load(scales, getOffset(loops, scaleShape, column, at));
  return loops.convert(scale, f32);
}

Value BlockProductEmitter::getZero(Value column, Value at) {
  if (!zeros)
    return loops.constant(f32, 1 << (bits - 1));
  if (isa<FloatType>(cast<MemRefType>(zeros.getType()).getElementType()))
    return loops.convert(
        loops.load(zeros, getOffset(loops, zeroShape, column, at)), f32);
  Value byteAt = loops.div(at, loops.index(perByte));
  Value byte =
      raise(loops.load(zeros, getOffset(loops, zeroShape, column, byteAt)));
  if (blocks == 1)
    return extract(byte, 0);
  Value place = loops.rem(at, loops.index(perByte));
  Value zero = extract(byte, 0);
  for (int64_t i = 1; i < perByte; ++i) {
    Value isHere =
        arith::CmpIOp::create(loops.builder, loops.loc,
                              arith::CmpIPredicate::eq, place, loops.index(i));
    zero = arith::SelectOp::create(loops.builder, loops.loc, isHere,
                                   extract(byte, i), zero);
  }
  return zero;
}

void BlockProductEmitter::storeResult(Value sum, Value row, Value column) {
  if (bias)
    sum = plus(sum, loops.convert(loops.load(bias, column), f32));
  Type element = cast<MemRefType>(result.getType()).getElementType();
  loops.store(loops.convert(sum, element), result,
              offset(row, columns, column));
}

/// A row's elements by their place in a byte of the weights, and each block's
/// sum.
void BlockProductEmitter::spreadRow(Value row) {
  Value zero = loops.constant(f32, 0), end = loops.index(depth);
  auto read = [&](Value k) {
    Value inside = loops.min(k, loops.index(depth - 1));
    Value element =
        loops.convert(loops.load(rows, offset(row, depth, inside)), f32);
    return arith::SelectOp::create(loops.builder, loops.loc,
                                   loops.isLess(k, end), element, zero)
        .getResult();
  };
  for (int64_t place = 0; place < perByte; ++place)
    loops.forEach(loops.index(0), loops.index(rowBytes), 1, [&](Value byte) {
      Value k =
          loops.add(loops.mul(byte, loops.index(perByte)), loops.index(place));
      Value line =
          loops.add(loops.mul(row, loops.index(perByte)), loops.index(place));
      loops.store(read(k), spread, offset(line, rowBytes, byte));
    });
  loops.forEach(loops.index(0), loops.index(blocks), 1, [&](Value at) {
    Value first = loops.mul(at, loops.index(block));
    Value sum =
        loops.fold(first, loops.add(first, loops.index(block)), 1, zero,
                   [&](Value k, ValueRange running) {
                     return SmallVector<Value>{plus(running[0], read(k))};
                   })[0];
    loops.store(sum, blockSums, offset(row, blocks, at));
  });
}

/// `count` columns from `column` of one row: sum over blocks of
/// scale * (sum of integer * x - zero * sum of x).
void BlockProductEmitter::emitColumns(Value row, Value column, int64_t count) {
  int64_t chunk = width;
  while (blockBytes % chunk != 0)
    chunk /= 2;
  auto type = VectorType::get(chunk, f32);
  SmallVector<Value> start;
  for (int64_t i = 0; i < count; ++i)
    start.append({loops.constant(type, 0), loops.constant(f32, 0)});
  SmallVector<Value> sums = loops.fold(
      loops.index(0), loops.index(blocks), 1, start,
      [&](Value at, ValueRange running) {
        Value blockSum = loops.load(blockSums, offset(row, blocks, at));
        Value first = loops.mul(at, loops.index(blockBytes));
        SmallVector<Value> parts(count, loops.constant(type, 0));
        parts = loops.fold(
            first, loops.add(first, loops.index(blockBytes)), chunk, parts,
            [&](Value byte, ValueRange partial) {
              SmallVector<Value> next(partial), factors;
              for (int64_t place = 0; place < perByte; ++place) {
                Value line = loops.add(loops.mul(row, loops.index(perByte)),
                                       loops.index(place));
                factors.push_back(
                    loops.load(spread, offset(line, rowBytes, byte), chunk));
              }
              for (int64_t i = 0; i < count; ++i) {
                Value line = loops.add(column, loops.index(i));
                Value stored = raise(
                    loops.load(bytes, offset(line, rowBytes, byte), chunk));
                for (int64_t place = 0; place < perByte; ++place)
                  next[i] =
                      fma(extract(stored, place), factors[place], next[i]);
              }
              return next;
            });
        SmallVector<Value> next;
        for (int64_t i = 0; i < count; ++i) {
          Value line = loops.add(column, loops.index(i));
          Value scale = getScale(line, at);
          next.push_back(
              fma(parts[i], loops.splat(scale, chunk), running[2 * i]));
          Value shift = multiply(scale, multiply(getZero(line, at), blockSum));
          next.push_back(plus(running[2 * i + 1], shift));
        }
        return next;
      });
  for (int64_t i = 0; i < count; ++i) {
    Value total = vector::ReductionOp::create(
        loops.builder, loops.loc, vector::CombiningKind::ADD, sums[2 * i],
        arith::FastMathFlags::reassoc);
    Value sum =
        arith::SubFOp::create(loops.builder, loops.loc, total, sums[2 * i + 1]);
    storeResult(sum, row, loops.add(column, loops.index(i)));
  }
}

void BlockProductEmitter::emitFewRows() {
  Value zero = loops.index(0), count = frame.size(rowCount);
  loops.forEach(zero, count, 1, [&](Value row) { spreadRow(row); });
  Value first = loops.mul(frame.begin(), loops.index(kColumns));
  Value end = loops.min(loops.mul(frame.end(), loops.index(kColumns)),
                        loops.index(columns));
  Value rest = loops.rem(loops.sub(end, first), loops.index(kColumnsAtOnce));
  Value whole = loops.sub(end, rest);
  loops.forEach(zero, count, 1, [&](Value row) {
    loops.forEach(first, whole, kColumnsAtOnce, [&](Value column) {
      emitColumns(row, column, kColumnsAtOnce);
    });
    loops.forEach(whole, end, 1,
                  [&](Value column) { emitColumns(row, column, 1); });
  });
}

/// Whole vectors of bytes: decoded along k, turned so that columns are lanes.
void BlockProductEmitter::decodeSquares(Value first, Value last) {
  Value zero = loops.index(0);
  loops.forEach(zero, loops.index(kColumns), width, [&](Value lane) {
    loops.forEach(zero, loops.index(rowBytes), width, [&](Value byte) {
      SmallVector<SmallVector<Value>> decoded(perByte);
      Value at = loops.div(byte, loops.index(blockBytes));
      for (int64_t i = 0; i < width; ++i) {
        Value column =
            loops.min(loops.add(first, loops.add(lane, loops.index(i))), last);
        Value stored =
            raise(loops.load(bytes, offset(column, rowBytes, byte), width));
        Value scale = loops.splat(getScale(column, at), width);
        Value shift = loops.splat(getZero(column, at), width);
        for (int64_t place = 0; place < perByte; ++place)
          decoded[place].push_back(
              multiply(arith::SubFOp::create(loops.builder, loops.loc,
                                             extract(stored, place), shift),
                       scale));
      }
      for (int64_t place = 0; place < perByte; ++place)
        for (auto [i, lanes] :
             llvm::enumerate(transpose(loops, decoded[place]))) {
          Value k = loops.add(
              loops.mul(loops.add(byte, loops.index(i)), loops.index(perByte)),
              loops.index(place));
          loops.store(lanes, tile, offset(k, kColumns, lane));
        }
    });
  });
}

void BlockProductEmitter::decodeScalars(Value first, Value last) {
  Value zero = loops.index(0);
  loops.forEach(zero, loops.index(kColumns), 1, [&](Value lane) {
    Value column = loops.min(loops.add(first, lane), last);
    loops.forEach(zero, loops.index(rowBytes), 1, [&](Value byte) {
      Value at = loops.div(byte, loops.index(blockBytes));
      Value stored = raise(loops.load(bytes, offset(column, rowBytes, byte)));
      Value scale = getScale(column, at), shift = getZero(column, at);
      for (int64_t place = 0; place < perByte; ++place) {
        Value k = loops.add(loops.mul(byte, loops.index(perByte)),
                            loops.index(place));
        Value centered = arith::SubFOp::create(loops.builder, loops.loc,
                                               extract(stored, place), shift);
        loops.store(multiply(centered, scale), tile, offset(k, kColumns, lane));
      }
    });
  });
}

/// tile[k][lane] = the weight of column first + lane; lanes past the last
/// column repeat it.
void BlockProductEmitter::decodeTile(Value first, Value count) {
  Value last = loops.sub(loops.add(first, count), loops.index(1));
  if (blockBytes % width == 0)
    decodeSquares(first, last);
  else
    decodeScalars(first, last);
}

void BlockProductEmitter::storeTile(Value firstRow, Value count, Value first,
                                    Value columnCount) {
  loops.forEach(loops.index(0), count, 1, [&](Value row) {
    loops.forEach(loops.index(0), columnCount, 1, [&](Value lane) {
      storeResult(loops.load(products, offset(row, kColumns, lane)),
                  loops.add(firstRow, row), loops.add(first, lane));
    });
  });
}

void BlockProductEmitter::emitManyRows() {
  Value zero = loops.index(0), total = frame.size(rowCount);
  loops.forEach(frame.begin(), frame.end(), 1, [&](Value item) {
    Value first = loops.mul(item, loops.index(kColumns));
    Value count = loops.min(loops.index(kColumns),
                            loops.sub(loops.index(columns), first));
    decodeTile(first, count);
    loops.forEach(zero, total, kRowTile, [&](Value row) {
      LaneProduct product;
      product.a = rows;
      product.base = loops.mul(row, loops.index(depth));
      product.rowStride = loops.index(depth);
      product.depthStride = loops.index(1);
      product.b = tile;
      product.c = products;
      product.rows = loops.min(loops.index(kRowTile), loops.sub(total, row));
      product.depth = loops.index(depth);
      product.lanes = kColumns;
      product.vectorWidth = width;
      product.emit(loops);
      storeTile(row, product.rows, first, count);
    });
  });
}

AffineExpr BlockProductEmitter::emit() {
  AffineExpr grid = number((columns + kColumns - 1) / kColumns);
  if (auto known = dyn_cast<AffineConstantExpr>(rowCount)) {
    if (known.getValue() <= kFewRows)
      emitFewRows();
    else
      emitManyRows();
    return grid;
  }
  Value isFew = loops.isLess(frame.size(rowCount), loops.index(kFewRows + 1));
  loops.ifElse(isFew, [&] { emitFewRows(); }, [&] { emitManyRows(); });
  return grid;
}

FailureOr<AffineExpr> tenon::emitBlockProduct(BlockProductOp op,
                                              kernel::FuncOp kernel,
                                              CPUFrame &frame) {
  if (failed(checkAlone(op, kernel)))
    return failure();
  for (Value operand : {op.getBytes(), op.getScales()})
    if (!cast<RankedTensorType>(operand.getType()).hasStaticShape())
      return kernel.emitError("expected weights of static shape in kernel '")
             << kernel.getSymName() << "', but got " << operand.getType();
  return BlockProductEmitter(op, kernel, frame).emit();
}
