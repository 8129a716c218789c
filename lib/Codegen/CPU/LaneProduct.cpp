#include "LaneProduct.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Accumulators in registers: enough to hide the latency of a multiply-add, few
/// enough that 16 registers hold them, a row of b and an element of a.
static constexpr int64_t kAccumulators = 8;
static constexpr int64_t kMaxWidth = 4;

void LaneProduct::emit(LoopBuilder &loops) const {
  int64_t vectors = lanes / vectorWidth;
  bool manyRegisters =
      vectorWidth * cast<MemRefType>(c.getType()).getElementTypeBitWidth() >=
      512;
  int64_t width = std::min<int64_t>(vectors, manyRegisters ? kMaxWidth : 2);
  int64_t accumulators = manyRegisters ? 2 * kAccumulators : kAccumulators;
  int64_t height = std::min<int64_t>(accumulators / width, kAccumulators);
  for (int64_t first = 0; first < vectors; first += width) {
    int64_t count = std::min(width, vectors - first);
    Value rest = loops.rem(rows, loops.index(height));
    Value whole = loops.sub(rows, rest);
    loops.forEach(loops.index(0), whole, height, [&](Value row) {
      emitBlock(loops, row, height, first * vectorWidth, count);
    });
    loops.forEach(whole, rows, 1, [&](Value row) {
      emitBlock(loops, row, 1, first * vectorWidth, count);
    });
  }
}

void LaneProduct::emitBlock(LoopBuilder &loops, Value row, int64_t height,
                            int64_t lane, int64_t width) const {
  Type type = cast<MemRefType>(c.getType()).getElementType();
  auto at = [&](Value line, int64_t column) {
    Value start = loops.mul(line, loops.index(lanes));
    return loops.add(start, loops.index(lane + column * vectorWidth));
  };
  SmallVector<Value> starts, lines, sums;
  for (int64_t i = 0; i < height; ++i) {
    Value line = loops.add(row, loops.index(i));
    lines.push_back(line);
    starts.push_back(loops.add(base, loops.mul(line, rowStride)));
    for (int64_t j = 0; j < width; ++j) {
      Value sum = loops.constant(VectorType::get(vectorWidth, type), 0);
      if (factor) {
        Value scale = loops.load(factor, loops.index(lane + j * vectorWidth),
                                 vectorWidth);
        sum = arith::MulFOp::create(loops.builder, loops.loc,
                                    loops.load(c, at(line, j), vectorWidth),
                                    scale);
      }
      sums.push_back(sum);
    }
  }
  sums = loops.fold(
      loops.index(0), depth, 1, sums, [&](Value k, ValueRange running) {
        SmallVector<Value> columns, next;
        for (int64_t j = 0; j < width; ++j)
          columns.push_back(loops.load(b, at(k, j), vectorWidth));
        for (int64_t i = 0; i < height; ++i) {
          Value source = loops.add(starts[i], loops.mul(k, depthStride));
          Value scalar = loops.convert(loops.load(a, source), type);
          Value repeated = loops.splat(scalar, vectorWidth);
          for (int64_t j = 0; j < width; ++j)
            next.push_back(vector::FMAOp::create(loops.builder, loops.loc,
                                                 repeated, columns[j],
                                                 running[i * width + j]));
        }
        return next;
      });
  for (int64_t i = 0; i < height; ++i)
    for (int64_t j = 0; j < width; ++j)
      loops.store(sums[i * width + j], c, at(lines[i], j));
}
