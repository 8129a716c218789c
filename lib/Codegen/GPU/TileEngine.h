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
  /// Blocks that a multiprocessor must hold, so that ptxas gives a thread the
  /// registers it needs and not fewer, with spills, for more blocks; 0: any.
  unsigned residents = 0;
};

class TileEngine {
public:
  TileEngine(TileShape shape, mlir::Type factor, mlir::Type stored,
             mlir::Type sum)
      : shape(shape), factor(factor), stored(stored), sum(sum) {}
  virtual ~TileEngine() = default;

  using Values = llvm::SmallVector<mlir::Value>;

  const TileShape shape;
  const mlir::Type factor; // elements of a and b as they are loaded
  const mlir::Type stored; // and in shared memory
  const mlir::Type sum;

  /// Elements of the tiles of a and b, padding included.
  virtual int64_t getSizeA() const = 0;
  virtual int64_t getSizeB() const = 0;
  /// Where a(row, k) and b(k, column) lie in their tiles.
  virtual mlir::Value placeA(LoopBuilder &b, mlir::Value row,
                             mlir::Value k) = 0;
  virtual mlir::Value placeB(LoopBuilder &b, mlir::Value k,
                             mlir::Value column) = 0;
  /// An element of a or b as it is stored.
  virtual mlir::Value prepare(ThreadBuilder &, mlir::Value element) {
    return element;
  }
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
                                               mlir::Type factor);

/// Products of f32 whose factors are rounded to TF32, by mma.sync.
std::unique_ptr<TileEngine> createTF32Engine(TileShape shape, mlir::Type f32);

/// Products of f32 whose factors are the sums of two bf16, by mma.sync.
std::unique_ptr<TileEngine> createSplitEngine(TileShape shape, mlir::Type f32);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TILEENGINE_H
