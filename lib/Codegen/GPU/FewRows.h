// A contraction of few rows: each column of b is read once, by one warp.

#ifndef TENON_LIB_CODEGEN_GPU_FEWROWS_H
#define TENON_LIB_CODEGEN_GPU_FEWROWS_H

#include "TileKernel.h"

namespace tenon {

/// A block does as many columns as it has warps, a warp those of both products
/// where there are two. Rows behind the last are computed and not stored.
class FewRows : public TileKernel {
public:
  static constexpr unsigned kThreads = 256;

  /// Whether b has the elements of a column side by side.
  static bool matches(const KernelProgram &program,
                      const Contraction &contraction);

  /// For up to `rows` rows. Where launches overlap and b is a weight, a thread
  /// reads its first elements and then waits for the launch before.
  FewRows(KernelProgram &program, const Contraction &contraction, int64_t rows,
          KernelFrame &frame, bool areLaunchesEarly);

  /// Adds the code of block number `begin`; returns the grid.
  mlir::AffineExpr emit();
  bool waitsItself() const { return isEarly; }

private:
  /// Stores nothing where the column is not `isThere`; null: it is.
  void emitColumn(ThreadBuilder &b, mlir::Value isThere);
  /// The weights of the run of k at `k`, product by product.
  Values readRun(ThreadBuilder &b, mlir::Value k);
  /// The sums with those of the run of k at `k` added, whose weights are
  /// `column`; there is one for each row, product by product.
  Values addRun(ThreadBuilder &b, mlir::Value k, const Values &column,
                Values sums);
  Values sumLane(ThreadBuilder &b, mlir::Value lane);
  Values sumFirst(ThreadBuilder &b, mlir::Value lane, Values sums);
  void setRow(ThreadBuilder &b, mlir::Value row);
  bool isReadAtEnd(int storage) const;
  void readForEnd(ThreadBuilder &b, mlir::Value lane);

  const int64_t rows;
  const int64_t numSums; // of a thread
  const bool isEarly;
  int64_t run;   // elements of k that a thread reads at once
  int64_t ahead; // runs that a thread reads at a time
  Known forEnd;  // storage -> element read ahead
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_FEWROWS_H
