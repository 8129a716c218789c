// Attention's products for one query: its features, or the keys that it sees,
// are the lanes of vectors.

#ifndef TENON_LIB_CODEGEN_CPU_ROWPRODUCT_H
#define TENON_LIB_CODEGEN_CPU_ROWPRODUCT_H

#include "tenon/Codegen/Program/LoopBuilder.h"

namespace tenon {

/// Rows of a matrix in memory, of any float type, whose elements lie side by
/// side: row i is at base + i * stride. `vector` is what sums are made in.
struct MatrixRows {
  mlir::Value memory, base, stride;
  mlir::Value count;
  int64_t length; // of a row, a multiple of the vector's lanes
  mlir::VectorType vector;

  /// result[i] = the product of row i with `with`, for each row.
  void multiply(LoopBuilder &loops, mlir::Value with, mlir::Value result) const;

  /// result = result * factor + the sum over i of weights[i] * row i.
  void addWeighted(LoopBuilder &loops, mlir::Value weights, mlir::Value factor,
                   mlir::Value result) const;

private:
  mlir::Value load(LoopBuilder &loops, mlir::Value row, int64_t column) const;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_ROWPRODUCT_H
