// Short names for what the threads of a block do together.

#ifndef TENON_LIB_CODEGEN_GPU_THREADBUILDER_H
#define TENON_LIB_CODEGEN_GPU_THREADBUILDER_H

#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/IR/BuiltinOps.h"

namespace tenon {

/// Combines two values of one type.
using Combine = llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Value,
                                               mlir::Value)>;

class ThreadBuilder : public LoopBuilder {
public:
  static constexpr unsigned kWarp = 32;

  using LoopBuilder::LoopBuilder;

  /// The number of the thread in its block.
  mlir::Value thread();
  /// From sm_90 on: the thread waits until the launch before has ended, and
  /// sees what it wrote. Until then it may read weights.
  void waitForLaunchBefore();
  /// Whether the operation is what that makes.
  static bool isWait(mlir::Operation *op);
  /// Asks for the first bytes of a buffer, a line for each of the block's
  /// threads, so that they are near when they are read.
  void prefetch(mlir::Value bytes, int64_t count);
  /// All threads of the block wait here for each other; what they wrote is
  /// seen.
  void barrier();
  /// The value of the thread whose lane differs in the bits of `lanes`.
  mlir::Value shuffle(mlir::Value value, unsigned lanes);
  /// Every thread of a warp gets the values of all of them, combined; or those
  /// of the `lanes` neighbours that it is one of, a power of two.
  mlir::Value reduceWarp(mlir::Value value, Combine combine,
                         unsigned lanes = kWarp);
  /// Every thread of a block of `threads` gets all values, combined in a fixed
  /// order.
  mlir::Value reduceBlock(mlir::Value value, mlir::Value neutral,
                          unsigned threads, Combine combine);
  /// The same where a block passes but once.
  mlir::Value reduceBlockOnce(mlir::Value value, mlir::Value neutral,
                              unsigned threads, Combine combine);
  /// The values of the threads before this one, and those of all, combined in
  /// the threads' order.
  std::pair<mlir::Value, mlir::Value> scanBlock(mlir::Value value,
                                                mlir::Value neutral,
                                                unsigned threads,
                                                Combine combine);
  /// memref<SIZExTYPE> in the block's shared memory, for all that follows.
  mlir::Value allocateShared(int64_t size, mlir::Type type);

private:
  /// The same of a warp.
  std::pair<mlir::Value, mlir::Value>
  scanWarp(mlir::Value value, mlir::Value neutral, Combine combine);
  mlir::Value constant32(int64_t value);
  mlir::Value shuffle32(mlir::Value value, unsigned lanes);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_THREADBUILDER_H
