// A contraction on Hopper: one thread copies tiles by tensor maps, two
// warpgroups multiply them by wgmma.

#ifndef TENON_LIB_CODEGEN_GPU_HOPPERCONTRACTION_H
#define TENON_LIB_CODEGEN_GPU_HOPPERCONTRACTION_H

#include "HopperBuilder.h"
#include "TileKernel.h"

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Elements of k of a stage: 128 bytes.
inline constexpr int64_t kDepth = 64, kRowBytes = 128;
inline constexpr unsigned kMostMapDims = 5;

/// A factor that a tensor map can say: elements lie side by side along k or
/// along the other loop, or are windows of an image.
struct MappedFactor {
  unsigned read;
  int outer; // m or n
  bool isAlongK;
  llvm::SmallVector<int> batches; // loops of the step
  TensorMapUse map;               // its box is the emitter's
  /// Where k runs over places of a kernel and their channels: how many of
  /// those.
  int64_t channels = 0;
  std::optional<ImageWindows> windows = {};

  /// Nothing if the read is no such factor.
  static std::optional<MappedFactor> get(const KernelProgram &program,
                                         const Contraction &contraction,
                                         unsigned read, int outer);
  /// The left factor if its rows are windows that a map can say.
  static std::optional<MappedFactor> getWindows(const KernelProgram &program,
                                                const Contraction &contraction);
  /// Makes k places of `count` channels; false if no map can say that.
  bool splitChannels(int64_t count);
};

class HopperContraction : public TileKernel {
public:
  static constexpr unsigned kThreads = 384;

  /// Both factors, if the contraction is one for this emitter.
  using Factors = std::pair<MappedFactor, MappedFactor>;
  static std::optional<Factors> match(const KernelProgram &program,
                                      const Contraction &contraction);

  /// Tiles have `rows` rows and `columns` columns: a power of two from 16 to
  /// 256. Two products have half of the result's columns each.
  struct Form {
    int64_t columns;
    /// The rows of a tile are the result's columns: for few rows of it.
    bool isTurned = false;
    /// So many blocks, a cluster, share the k of a tile.
    int64_t splits = 1;
    /// 128, or of turned tiles 64: the warpgroups share the k of each stage.
    int64_t rows = 128;
    /// Tiles of k that are asked for at a time: longer runs of memory.
    int64_t together = 1;

    /// How many blocks a multiprocessor holds: narrow tiles leave room for two.
    unsigned getBlocks() const { return columns <= 64 ? 2 : 1; }
  };
  HopperContraction(KernelProgram &program, const Contraction &contraction,
                    const Factors &factors, Form form, KernelFrame &frame);

  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();
  unsigned getCluster() const { return form.splits; }
  /// How many blocks a multiprocessor holds.
  unsigned getBlocks() const { return form.getBlocks(); }
  int64_t getSharedBytes() const;
  std::vector<TensorMapUse> getMaps() const;

private:
  int64_t getStageBytes() const;
  mlir::AffineExpr getDepth();
  mlir::Value getStage(HopperBuilder &b, mlir::Value stage);
  mlir::Value getBarrier(HopperBuilder &b, mlir::Value stage, bool isEmpty);
  /// Calls `body` for each tile of k with its number, stage and phase.
  using Body = llvm::function_ref<Values(mlir::Value k, mlir::Value stage,
                                         mlir::Value phase, Values)>;
  Values forTiles(HopperBuilder &b, Values start, Body body);
  struct Place {
    mlir::Value stage, phase; // i32
  };
  Place getNext(HopperBuilder &b, Place place);
  bool isWeight(const MappedFactor &factor) const;
  mlir::Value enterBoxes(HopperBuilder &b);
  void copyWeights(HopperBuilder &b, bool areAsked, mlir::Value k,
                   mlir::Value stage);
  void enterStage(HopperBuilder &b, mlir::Value k, mlir::Value stage);
  mlir::Value isNew(HopperBuilder &b, mlir::Value k);
  int64_t getEarlyStages() const;
  void fillTogether(HopperBuilder &b, mlir::Value k, Place first);
  void produce(HopperBuilder &b);
  void copyTile(HopperBuilder &b, const MappedFactor &factor,
                llvm::ArrayRef<mlir::Value> maps, mlir::Value to,
                mlir::Value first, mlir::Value k, int64_t size,
                mlir::Value barrier);
  void copyPart(HopperBuilder &b, const MappedFactor &factor, mlir::Value map,
                mlir::Value to, mlir::Value first, mlir::Value k, int64_t size,
                mlir::Value barrier);
  bool comesInBoxes() const;
  int64_t getRowsOfBox() const;
  mlir::Value countBoxes(HopperBuilder &b);
  void copyBoxes(HopperBuilder &b, mlir::Value to, mlir::Value k,
                 mlir::Value barrier);
  void copyFactor(HopperBuilder &b, bool isOfColumns, mlir::Value k,
                  mlir::Value stage);
  void enterWindows(HopperBuilder &b, const ImageWindows &windows,
                    mlir::Value first);
  void copyWindows(HopperBuilder &b, const MappedFactor &factor,
                   mlir::Value map, mlir::Value to, mlir::Value k,
                   mlir::Value barrier);
  std::pair<mlir::Value, mlir::Value>
  splitDepth(HopperBuilder &b, int64_t channels, mlir::Value k);
  void consume(HopperBuilder &b, mlir::Value consumer);
  mlir::Value multiplyStage(HopperBuilder &b, mlir::Value consumer,
                            mlir::Value stage, mlir::Value sums);
  void storeSums(HopperBuilder &b, mlir::Value consumer, mlir::Value sums);
  void finish(HopperBuilder &b);
  int64_t getSumStride() const;
  /// Whether both warpgroups have sums of the same rows.
  bool sharesStages() const { return form.rows < 128; }
  void enterSplit(HopperBuilder &b);

  const MappedFactor a, c; // of the tile's rows, and of its columns
  const Form form;
  const int64_t columns;
  int64_t stages;
  llvm::StringRef type; // PTX's name of the factors'
  Values mapsA, mapsC;  // one for each product where they differ
  mlir::Value shared;
  mlir::Value boxes; // i32: of the tile's columns, if these are few rows
  mlir::Value bytes; // i32: of a stage
  mlir::Value rank, firstDepth, depth;        // i32: in the cluster; tiles of k
  llvm::SmallVector<mlir::Value> windowStart; // i32: the tile's first window
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_HOPPERCONTRACTION_H
