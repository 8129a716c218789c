// The product at the heart of attention: of a matrix in memory of any layout
// and a tile whose columns are lanes.

#ifndef TENON_LIB_CODEGEN_CPU_LANEPRODUCT_H
#define TENON_LIB_CODEGEN_CPU_LANEPRODUCT_H

#include "tenon/Codegen/Program/LoopBuilder.h"

namespace tenon {

/// c[i][lane] = c[i][lane] * factor[lane] + sum over k of a[i][k] * b[k][lane],
/// without `factor` the first term is left out. `b`, `c` and `factor` are rows
/// of `lanes` floats of the type that is summed in; element (i, k) of `a`, of
/// any float type, is at base + i * rowStride + k * depthStride.
struct LaneProduct {
  mlir::Value a, base, rowStride, depthStride;
  mlir::Value b, c, factor;
  mlir::Value rows, depth;
  int64_t lanes, vectorWidth;

  void emit(LoopBuilder &loops) const;

private:
  /// `height` rows from `row`, `width` vectors from lane `lane`.
  void emitBlock(LoopBuilder &loops, mlir::Value row, int64_t height,
                 int64_t lane, int64_t width) const;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_LANEPRODUCT_H
