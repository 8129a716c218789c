// What the emitters of contractions by tiles share: the block's tile, and the
// kernel's other steps on its sums.

#ifndef TENON_LIB_CODEGEN_GPU_TILEKERNEL_H
#define TENON_LIB_CODEGEN_GPU_TILEKERNEL_H

#include "ThreadEmitter.h"

#include "tenon/Codegen/Program/Contraction.h"

namespace tenon {

class TileKernel : public ThreadEmitter {
public:
  TileKernel(KernelProgram &program, const Contraction &contraction,
             KernelFrame &frame);

protected:
  bool isForwarded(int storage) const override {
    return program.storages[storage].buffer < 0;
  }
  mlir::AffineExpr getExtent(int loop) const;
  /// How many tiles there are.
  mlir::AffineExpr getTiles(int64_t rows, int64_t columns);
  /// Finds tile number `item`.
  void enterTile(ThreadBuilder &b, mlir::Value item, int64_t rows,
                 int64_t columns);

  /// Columns of each product in a tile of `columns`: two products have half of
  /// it each, one beside the other.
  int64_t getShare(int64_t columns) const {
    return columns / int64_t(products.size());
  }
  /// Sums of a part of the tile: `rows` rows from row `first` of the tile on,
  /// each `columns` elements of each product, rows `stride` and products
  /// `apart` elements apart. `read` reads some neighbours. A thread reads
  /// operands for up to `ahead` runs of neighbours together, so that their
  /// loads are on their way at a time.
  struct Part {
    int64_t first, rows, columns, stride, apart;
    llvm::function_ref<Values(mlir::Value at, int64_t count)> read;
    int64_t ahead = 1;
  };
  /// Runs all steps on them, `thread` of `threads` taking its share.
  void finishPart(ThreadBuilder &b, const Part &part, mlir::Value thread,
                  int64_t threads);
  /// Runs all steps at the element whose loops are set, the sum of each product
  /// being known, and what was read before of each storage.
  using Known = llvm::DenseMap<int, mlir::Value>;
  void finishElement(ThreadBuilder &b, llvm::ArrayRef<mlir::Value> sums,
                     const Known &known = Known());

private:
  /// Some neighbours of a row.
  struct Run {
    mlir::Value at, row, column; // of the sums; in the matrix
    mlir::Value isThere;
    llvm::SmallVector<Known> known; // of each element
  };
  void findOperands();
  int64_t getTogether(const Part &part, int64_t runs, int64_t threads) const;
  Run locate(ThreadBuilder &b, const Part &part, mlir::Value number,
             int64_t run);
  void enterNeighbour(ThreadBuilder &b, const Run &run, int64_t number);
  void readAhead(ThreadBuilder &b, Run &run, int64_t count);
  void finishRun(ThreadBuilder &b, const Part &part, const Run &run,
                 int64_t count);

protected:
  const Contraction &contraction;
  const Step &step;
  llvm::SmallVector<const Step *, 2> products; // `step` and its twin
  llvm::SmallVector<int> batches;              // classes
  mlir::Value firstRow, firstColumn;

private:
  /// What other steps read of memory, of each storage at one place.
  llvm::SmallVector<std::pair<const Step *, const Access *>> operands;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TILEKERNEL_H
