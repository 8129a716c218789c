// What Hopper's copies and matrix instructions need: each method is one or few
// PTX instructions. Addresses in shared memory are i32.

#ifndef TENON_LIB_CODEGEN_GPU_HOPPERBUILDER_H
#define TENON_LIB_CODEGEN_GPU_HOPPERBUILDER_H

#include "ThreadBuilder.h"

namespace tenon {

class HopperBuilder : public ThreadBuilder {
public:
  using ThreadBuilder::ThreadBuilder;

  mlir::Value number(int64_t value); // i32
  mlir::Value narrow(mlir::Value index);
  mlir::Value widen(mlir::Value number); // of what is not negative
  /// An i32 of which the compiler does not know where it comes from, so that
  /// what was computed from it before is not kept.
  mlir::Value forget(mlir::Value number);
  mlir::Value plus(mlir::Value a, mlir::Value b) { return add(a, b); }

  /// The first multiple of `alignment` in the block's dynamic shared memory,
  /// which begins at one of 16.
  mlir::Value getDynamicShared(int64_t alignment = 1024);
  /// Dynamic shared memory as a memref of `size` elements.
  mlir::Value viewDynamicShared(int64_t size, mlir::Type type,
                                int64_t alignment = 1024);

  /// An mbarrier that `count` arrivals complete; fence after the last.
  void initBarrier(mlir::Value barrier, int64_t count);
  void fenceBarriers();
  /// Arrives, and expects `bytes` of copies.
  void expectBytes(mlir::Value barrier, int64_t bytes) {
    expectBytes(barrier, number(bytes));
  }
  void expectBytes(mlir::Value barrier, mlir::Value bytes); // i32
  void arrive(mlir::Value barrier);
  /// Without a branch, where `condition`.
  void arriveIf(mlir::Value condition, mlir::Value barrier);
  /// Waits until the phase of parity `phase` is complete.
  void waitFor(mlir::Value barrier, mlir::Value phase);
  /// Asks for a tensor map, so that the first copy by it need not wait for it.
  void prefetchMap(mlir::Value map);
  /// Clears 16 bytes of shared memory.
  void clear(mlir::Value address);
  /// Products and copies behind it see what threads have written.
  void fenceWrites();
  /// Copies a box of a tensor map to shared memory; completes on the barrier.
  void copyBox(mlir::Value to, mlir::Value map,
               llvm::ArrayRef<mlir::Value> coordinates, mlir::Value barrier);

  /// The same from an image of windows: `coordinates` are the first window's
  /// channel and place, `offsets` (i16) where in each window.
  void copyWindows(mlir::Value to, mlir::Value map,
                   llvm::ArrayRef<mlir::Value> coordinates,
                   llvm::ArrayRef<mlir::Value> offsets, mlir::Value barrier);

  /// Some neighbouring f32, from element `at` of what begins at `address`, each
  /// summed over the first `blocks` blocks of the cluster in their order.
  llvm::SmallVector<mlir::Value> sumOverCluster(mlir::Value address,
                                                mlir::Value at, int64_t count,
                                                int64_t blocks);

  /// Gives up or takes registers, for all threads of a warpgroup.
  void setRegisters(bool increases, int64_t count);
  /// A barrier of `threads` threads, one of 16.
  void syncSome(int64_t barrier, int64_t threads);
  /// The same for a barrier that is known at run time, and an arrival there
  /// that does not wait.
  void syncSome(mlir::Value barrier, int64_t threads);
  void arriveSome(mlir::Value barrier, int64_t threads);

  /// The number of the block in its cluster.
  mlir::Value rankInCluster();
  /// All threads of the cluster that have not ended wait here; writes are seen.
  void syncCluster();
  /// One or four f32 of the shared memory of block `rank` of the cluster, at
  /// what is `address` here.
  llvm::SmallVector<mlir::Value>
  loadFromCluster(mlir::Value address, mlir::Value rank, int64_t count);

  /// Rows and columns of the tile in shared memory that a descriptor describes.
  struct Operand {
    mlir::Value descriptor; // i64
    bool isAlongK;          // neighbours are neighbours along k
  };
  /// The descriptor of a tile in rows of 128 swizzled bytes; `chunk` bytes from
  /// 64 columns to the next where neighbours are not along k.
  mlir::Value describe(mlir::Value address, bool isAlongK,
                       int64_t chunk = 64 * 128);
  /// The descriptor of what begins `bytes`, a multiple of 16, further on.
  mlir::Value advance(mlir::Value descriptor, int64_t bytes);
  /// Before the first product that uses `sums`, a struct of f32, which are in
  /// their registers from here on.
  mlir::Value fenceProducts(mlir::Value sums);
  /// The same where the first product only sets its sums.
  void fenceProducts();
  void commitProducts();
  void waitForProducts(int64_t left);
  /// The same where other products may still run: `sums` are complete.
  mlir::Value waitForProducts(int64_t left, mlir::Value sums);
  /// sums += a * b for m 64, n `columns`, k 16; `sums` is a struct of f32,
  /// whose elements do not count unless `adds`.
  mlir::Value multiplyAsync(const Operand &a, const Operand &b,
                            mlir::Value sums, int64_t columns,
                            llvm::StringRef type, bool adds = true);
  /// The same with a in registers: four for each thread, each two neighbours
  /// along k, of its two rows and then of both 8 elements on.
  mlir::Value multiplyAsync(llvm::ArrayRef<mlir::Value> a, const Operand &b,
                            mlir::Value sums, int64_t columns,
                            llvm::StringRef type);

  /// A struct of f32 as its elements, and back.
  llvm::SmallVector<mlir::Value> unpack(mlir::Value sums);
  mlir::Value bundle(llvm::ArrayRef<mlir::Value> elements);
  /// A struct of `count` f32 of any value.
  mlir::Value getAny(int64_t count);

protected:
  mlir::Value call(llvm::StringRef text, llvm::StringRef constraints,
                   mlir::ValueRange operands, mlir::Type result = {});
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_HOPPERBUILDER_H
