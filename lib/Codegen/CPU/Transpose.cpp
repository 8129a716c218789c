#include "Transpose.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Exchanges blocks of 1, 2, 4, ... elements across the diagonal.
SmallVector<Value> tenon::transpose(LoopBuilder &loops, ArrayRef<Value> rows) {
  SmallVector<Value> square(rows);
  int64_t width = square.size();
  for (int64_t block = 1; block < width; block *= 2) {
    SmallVector<int64_t> upper, lower;
    for (int64_t lane = 0; lane < width; ++lane) {
      bool isFar = lane & block;
      upper.push_back(isFar ? width + lane - block : lane);
      lower.push_back(isFar ? width + lane : lane + block);
    }
    for (int64_t row = 0; row < width; ++row) {
      if (row & block)
        continue;
      Value a = square[row], b = square[row + block];
      square[row] =
          vector::ShuffleOp::create(loops.builder, loops.loc, a, b, upper);
      square[row + block] =
          vector::ShuffleOp::create(loops.builder, loops.loc, a, b, lower);
    }
  }
  return square;
}
