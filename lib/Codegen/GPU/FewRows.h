// A contraction of few rows: each column of b is read once, by one warp.

#ifndef TENON_LIB_CODEGEN_GPU_FEWROWS_H
#define TENON_LIB_CODEGEN_GPU_FEWROWS_H

#include "TileKernel.h"

#include "tenon/Codegen/GPU/ProductSchedule.h"

namespace tenon {

/// A block does as many columns as it has warps, or fewer that warps share, a
/// warp those of both products where there are two. Rows behind the last are
/// computed and not stored.
class FewRows : public TileKernel {
public:
  static constexpr unsigned kThreads = 256;

  /// Whether b has the elements of a column side by side.
  static bool matches(const KernelProgram &program,
                      const Contraction &contraction);

  /// Elements of k that a thread reads at once, of `depth`; 0: not known.
  static int64_t getRun(mlir::Type element, int64_t depth);

  /// For the form's rows. Where launches overlap and b is a weight, a thread
  /// reads its first elements and then waits for the launch before.
  /// `isRowNear`: where there is one, it is in shared memory.
  FewRows(KernelProgram &program, const Contraction &contraction,
          const ProductForm &form, KernelFrame &frame, bool areLaunchesEarly,
          bool isRowNear);

  /// Adds the code of block number `begin`; returns the grid.
  mlir::AffineExpr emit();
  bool waitsItself() const { return isEarly; }

private:
  /// Stores nothing where the column is not `isThere`; null: it is.
  void emitColumn(ThreadBuilder &b, mlir::Value isThere);
  /// The weights of the run of k at `k`, product by product, as they are
  /// stored: so they need fewer registers.
  Values readRun(ThreadBuilder &b, mlir::Value k);
  /// What a row multiplies them by.
  Values readFactors(ThreadBuilder &b, mlir::Value k);
  void addProducts(ThreadBuilder &b, int64_t row, const Values &factors,
                   const Values &column,
                   llvm::MutableArrayRef<mlir::Value> sums);
  /// The sums with those of the run of k at `k` added, whose weights are
  /// `column`; there is one for each row, product by product.
  Values addRun(ThreadBuilder &b, mlir::Value k, const Values &column,
                Values sums);
  Values sumShare(ThreadBuilder &b, mlir::Value member);
  Values sumFirst(ThreadBuilder &b, mlir::Value member);
  Values sumOnlyRow(ThreadBuilder &b, const Values &numbers,
                    llvm::ArrayRef<Values> columns);
  /// What the body makes of the run of that number, or `start`.
  Values ifThere(ThreadBuilder &b, mlir::Value number, const Values &start,
                 LoopBuilder::Step body);
  Values addShares(ThreadBuilder &b, const Values &sums);
  void setRow(ThreadBuilder &b, mlir::Value row);
  /// Threads that share a column.
  int64_t getMembers() const { return splits * ThreadBuilder::kWarp; }
  bool isReadAtEnd(int storage) const;
  void readForEnd(ThreadBuilder &b, mlir::Value lane);

  const int64_t rows;
  const int64_t numSums; // of a thread
  const bool isEarly, isRowNear;
  const int64_t ahead;  // runs that a thread reads at a time
  const int64_t splits; // warps of a column
  int64_t run;          // elements of k that a thread reads at once
  Known forEnd;         // storage -> element read ahead
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_FEWROWS_H
