// A contraction of few rows: each column of b is read once, by one warp.

#ifndef TENON_LIB_CODEGEN_GPU_FEWROWS_H
#define TENON_LIB_CODEGEN_GPU_FEWROWS_H

#include "TileKernel.h"

namespace tenon {

/// A block does as many columns as it has warps. Rows behind the last are
/// computed and not stored.
class FewRows : public TileKernel {
public:
  static constexpr unsigned kThreads = 256;

  /// Whether b has the elements of a column side by side.
  static bool matches(const KernelProgram &program,
                      const Contraction &contraction);

  /// For up to `rows` rows.
  FewRows(KernelProgram &program, const Contraction &contraction, int64_t rows,
          KernelFrame &frame);

  /// Adds the code of block number `begin`; returns the grid.
  mlir::AffineExpr emit();

private:
  void emitColumn(ThreadBuilder &b);
  /// The sums with those of the run of k at `k` added; there is one for each
  /// row.
  Values addRun(ThreadBuilder &b, mlir::Value k, Values sums);
  Values sumLane(ThreadBuilder &b, mlir::Value lane);
  void setRow(ThreadBuilder &b, mlir::Value row);

  const int64_t rows;
  int64_t run; // elements of k that a thread reads at once
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_FEWROWS_H
