// How the threads of a block multiply two tiles in shared memory.

#ifndef TENON_LIB_CODEGEN_GPU_TILEENGINE_H
#define TENON_LIB_CODEGEN_GPU_TILEENGINE_H

#include "ThreadBuilder.h"

#include <memory>

namespace tenon {

/// Rows, columns and depth of the tiles of a block, and its threads.
struct TileShape {
  int64_t rows, columns, depth;
  unsigned threads;
};

class TileEngine {
public:
  TileEngine(TileShape shape, mlir::Type stored, mlir::Type sum)
      : shape(shape), stored(stored), sum(sum) {}
  virtual ~TileEngine() = default;

  using Values = llvm::SmallVector<mlir::Value>;

  const TileShape shape;
  const mlir::Type stored; // elements of a and b in shared memory
  const mlir::Type sum;

  /// Elements of the tiles of a and b, padding included.
  virtual int64_t getSizeA() const = 0;
  virtual int64_t getSizeB() const = 0;
  /// Where a(row, k) and b(k, column) lie in their tiles.
  virtual mlir::Value placeA(LoopBuilder &b, mlir::Value row,
                             mlir::Value k) = 0;
  virtual mlir::Value placeB(LoopBuilder &b, mlir::Value k,
                             mlir::Value column) = 0;
  /// The thread's sums, zero.
  virtual Values start(ThreadBuilder &b) = 0;
  /// The sums with the products of the tiles added.
  virtual Values multiply(ThreadBuilder &b, mlir::Value a, mlir::Value tileB,
                          Values sums) = 0;
  /// Calls `visit` with (row, column, sum) for each of the thread's sums.
  using Visit = llvm::function_ref<void(mlir::Value, mlir::Value, mlir::Value)>;
  virtual void forSums(ThreadBuilder &b, mlir::ValueRange sums,
                       Visit visit) = 0;
};

/// Products in f32 or f64, by the threads' own arithmetic.
std::unique_ptr<TileEngine> createArithmeticEngine(TileShape shape,
                                                   mlir::Type sum);

/// Products of f16 or bf16 with sums in f32, by mma.sync (sm_80 and later).
std::unique_ptr<TileEngine> createMatrixEngine(TileShape shape,
                                               mlir::Type stored);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TILEENGINE_H
