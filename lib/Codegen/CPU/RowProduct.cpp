#include "RowProduct.h"
#include "EmitTile.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Sums of a row's parts that are in registers at a time, and rows whose
/// products with a vector are made together.
static constexpr int64_t kSums = 8, kRowsAtOnce = 4;

Value MatrixRows::load(LoopBuilder &loops, Value row, int64_t column) const {
  Value at = loops.add(base, loops.mul(row, stride));
  return loadVector(loops.builder, loops.loc, memory,
                    loops.add(at, loops.index(column)), vector);
}

void MatrixRows::multiply(LoopBuilder &loops, Value with, Value result) const {
  int64_t lanes = vector.getNumElements();
  SmallVector<Value> parts;
  for (int64_t column = 0; column < length; column += lanes)
    parts.push_back(loops.load(with, loops.index(column), lanes));
  auto fma = [&](Value a, Value b, Value c) -> Value {
    return vector::FMAOp::create(loops.builder, loops.loc, a, b, c);
  };
  auto multiplyRows = [&](Value first, int64_t rows) {
    SmallVector<Value> sums(rows, loops.constant(vector, 0));
    for (auto [n, part] : llvm::enumerate(parts))
      for (int64_t i = 0; i < rows; ++i)
        sums[i] = fma(load(loops, loops.add(first, loops.index(i)), n * lanes),
                      part, sums[i]);
    for (int64_t i = 0; i < rows; ++i) {
      Value sum = vector::ReductionOp::create(
          loops.builder, loops.loc, vector::CombiningKind::ADD, sums[i],
          arith::FastMathFlags::reassoc);
      loops.store(sum, result, loops.add(first, loops.index(i)));
    }
  };
  Value whole = loops.sub(count, loops.rem(count, loops.index(kRowsAtOnce)));
  loops.forEach(loops.index(0), whole, kRowsAtOnce,
                [&](Value row) { multiplyRows(row, kRowsAtOnce); });
  loops.forEach(whole, count, 1, [&](Value row) { multiplyRows(row, 1); });
}

void MatrixRows::addWeighted(LoopBuilder &loops, Value weights, Value factor,
                             Value result) const {
  int64_t lanes = vector.getNumElements();
  Value scale = loops.splat(factor, lanes);
  for (int64_t first = 0; first < length; first += kSums * lanes) {
    SmallVector<int64_t> columns;
    for (int64_t n = first; n < std::min(length, first + kSums * lanes);
         n += lanes)
      columns.push_back(n);
    SmallVector<Value> sums;
    for (int64_t column : columns)
      sums.push_back(arith::MulFOp::create(
          loops.builder, loops.loc,
          loops.load(result, loops.index(column), lanes), scale));
    sums = loops.fold(
        loops.index(0), count, 1, sums, [&](Value row, ValueRange running) {
          Value weight = loops.splat(loops.load(weights, row), lanes);
          SmallVector<Value> next;
          for (auto [column, sum] : llvm::zip(columns, running))
            next.push_back(
                vector::FMAOp::create(loops.builder, loops.loc, weight,
                                      load(loops, row, column), sum));
          return next;
        });
    for (auto [column, sum] : llvm::zip(columns, sums))
      loops.store(sum, result, loops.index(column));
  }
}
