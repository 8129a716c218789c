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
  /// `apart` elements apart. `read` reads some neighbours.
  struct Part {
    int64_t first, rows, columns, stride, apart;
    llvm::function_ref<Values(mlir::Value at, int64_t count)> read;
  };
  /// Runs all steps on them, `thread` of `threads` taking its share.
  void finishPart(ThreadBuilder &b, const Part &part, mlir::Value thread,
                  int64_t threads);
  /// Runs all steps at the element whose loops are set, the sum of each product
  /// being known, and of storages in `known` the element.
  void finishElement(ThreadBuilder &b, llvm::ArrayRef<mlir::Value> sums,
                     const llvm::DenseMap<int, mlir::Value> &known =
                         llvm::DenseMap<int, mlir::Value>());

  const Contraction &contraction;
  const Step &step;
  llvm::SmallVector<const Step *, 2> products; // `step` and its twin
  llvm::SmallVector<int> batches;              // classes
  mlir::Value firstRow, firstColumn;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TILEKERNEL_H
