// Attention on mma.sync: a block takes rows of one key head and streams over
// the keys, which copies bring to shared memory ahead of the products.

#ifndef TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H
#define TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H

#include "AttentionRows.h"
#include "AttentionSchedule.h"

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Rows are queries of the heads of one key head, the heads of a query side by
/// side.
class MatrixAttention : public AttentionRows {
public:
  /// In tiles of 16 rows the warps of a block share the keys of each. Else a
  /// warp has 16 rows of its own.
  MatrixAttention(kernel::AttentionOp op, kernel::FuncOp kernel,
                  KernelFrame &frame, const AttentionForm &form);

  /// Whether it takes the operands, and the form suits them.
  bool matches() const;
  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();
  unsigned getThreads() const {
    return rowWarps * keyWarps * ThreadBuilder::kWarp;
  }
  unsigned getSharedBytes() const;
  std::vector<TensorMapUse> getMaps() const { return {}; }

private:
  /// The keys or the values on their way through shared memory.
  struct Tiles {
    const HeadsTensor *tensor;
    int64_t first;         // bytes of a stage before the tile
    mlir::Value source;    // address of (batch, key head)
    mlir::Value fragments; // where the lane's row of matrices lies in stage 0
  };

  // MatrixAttention.cpp: the block.
  void enterThread();
  void enterBlock();
  Row getRow(mlir::Value number);
  void loadQuery();
  void copyQuery();
  Tiles getTiles(const HeadsTensor &tensor, int64_t first, bool transposed);
  mlir::Value getAddress(const HeadsTensor &tensor,
                         llvm::ArrayRef<mlir::Value> position);
  void copyChunk(const Tiles &tiles, mlir::Value first, mlir::Value stage,
                 mlir::Value row, mlir::Value chunk);
  void copyTile(const Tiles &tiles, mlir::Value first, mlir::Value stage);
  void copyStage(mlir::Value first, mlir::Value stage);
  State emitKeys();

  // MatrixAttentionTile.cpp: one tile of keys.
  State emitTile(mlir::Value first, mlir::Value stage, State state);
  Values getScores(mlir::Value stage);
  Values getQueryPart(int64_t depth);
  Values hideKeys(mlir::Value first, const Values &scores);
  void addValues(mlir::Value stage, const Values &weights, State &state);

  // MatrixAttentionEnd.cpp: the end of the rows.
  void finish(State state);
  void mergeWarps(const State &state);
  void mergeRow(mlir::Value memory, mlir::Value number);

  int64_t getRowBytes(const HeadsTensor &tensor) const;
  int64_t getStageBytes() const;
  int64_t getMergedRow() const;
  int64_t getRows() const { return rowWarps * kRowsOfWarp; }
  int64_t getKeysOfWarp() const { return keysOfTile / keyWarps; }
  mlir::AffineExpr getRowTiles() const { return rows.ceilDiv(getRows()); }

  static constexpr int64_t kRowsOfWarp = 16;

  int64_t keysOfTile, rowWarps, keyWarps;
  Tiles keyTiles, valueTiles;
  mlir::Value shared;
  mlir::Value rowWarp, keyWarp; // i32
  // Of the block.
  mlir::Value firstRow, begin, end;
  mlir::Value seenFirst, seenLimit; // what all rows of the warp see
  /// Four registers for each 16 features, or where the lane's row of matrices
  /// lies.
  Values queryParts;
  mlir::Value queryPlace;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H
