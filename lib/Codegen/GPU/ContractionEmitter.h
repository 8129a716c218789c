// A contraction by tiles: elements go from wherever they lie to shared memory,
// an engine multiplies the tiles, the kernel's other steps run on the sums.

#ifndef TENON_LIB_CODEGEN_GPU_CONTRACTIONEMITTER_H
#define TENON_LIB_CODEGEN_GPU_CONTRACTIONEMITTER_H

#include "TileEngine.h"
#include "TileKernel.h"

#include "dialects/Kernel/F32Products.h"

namespace tenon {

/// A block computes a tile of one batch; two products have half of its columns
/// each. Any index maps will do, those of
/// convolutions too.
class ContractionEmitter : public TileKernel {
public:
  /// Tiles have `side` rows and columns, 64 or 128.
  ContractionEmitter(KernelProgram &program, const Contraction &contraction,
                     KernelFrame &frame, int64_t side, kernel::F32Products f32);

  /// Adds the code of block number `begin` to the frame; returns the grid.
  mlir::AffineExpr emit();
  unsigned getThreads() const { return engine->shape.threads; }
  unsigned getResidents() const {
    // Else ptxas would rather spill what finds windows' elements than have
    // fewer blocks side by side.
    return contraction.windows ? 1 : engine->shape.residents;
  }

private:
  /// A factor of a product: how a tile of it is read.
  struct Factor {
    const Step *product;
    unsigned read; // of the product
    int outer;     // the loop beside k: m or n, or -1
    int64_t size;  // of the tile along it
    int64_t first; // where the product's columns begin in the tile
    bool isAlongK; // neighbours in memory are neighbours along k
    int64_t run;   // so many neighbours are read at once
    int64_t count; // elements a thread reads
    bool isWindow; // runs are channels of a window
    int64_t getRuns() const { return count / run; }
  };

  void chooseEngine(int64_t side, kernel::F32Products f32);
  Factor getFactor(const Step &product, unsigned read, int outer, int64_t size,
                   int64_t first = 0);
  int64_t getWindowRun(int64_t run) const;
  mlir::Value getOffset(ThreadBuilder &b, const Access &access);
  mlir::Value readRun(ThreadBuilder &b, const Factor &factor,
                      mlir::Value &known);
  mlir::Value readPadded(ThreadBuilder &b, const Factor &factor);
  /// A run is one value: a thread keeps two elements of 16 bits in a register.
  mlir::VectorType getRunType(const Factor &factor) const {
    return mlir::VectorType::get(factor.run, engine->factor);
  }
  /// Where run `number` of the thread lies in the tile: along the outer loop
  /// and k.
  std::pair<mlir::Value, mlir::Value>
  placeRun(ThreadBuilder &b, const Factor &factor, int64_t number);
  Values loadTile(ThreadBuilder &b, const Factor &factor, mlir::Value first,
                  mlir::Value k);
  void storeTile(ThreadBuilder &b, const Factor &factor, mlir::Value tile,
                 mlir::ValueRange runs);
  void storeTiles(ThreadBuilder &b, mlir::Value tileA, mlir::Value tileC,
                  mlir::ValueRange runs);
  using LoadAll = llvm::function_ref<Values(ThreadBuilder &, mlir::Value)>;
  Values loadFirst(ThreadBuilder &b, mlir::Value depth, LoadAll loadAll);
  Values sumTiles(ThreadBuilder &b);
  void finishTile(ThreadBuilder &b, mlir::ValueRange sums);

  std::unique_ptr<TileEngine> engine;
  Factor a;                           // the left one
  llvm::SmallVector<Factor, 2> right; // of each product
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_CONTRACTIONEMITTER_H
