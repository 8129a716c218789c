// Attention on mma.sync: a block takes rows of one key head and streams over
// the keys, which copies bring to shared memory ahead of the products.

#ifndef TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H
#define TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H

#include "AmpereBuilder.h"
#include "tenon/Codegen/Program/AttentionOperands.h"

namespace tenon {

/// Rows are queries of the heads of one key head, the heads of a query side by
/// side. Scores are in units of `unit`: their weight is 2^(unit * score).
class MatrixAttention : public AttentionOperands {
public:
  /// At most that many rows are `few`: the warps of a block share the keys of
  /// each tile. Else a warp has 16 rows of its own.
  static constexpr int64_t kFewRows = 16;

  MatrixAttention(kernel::AttentionOp op, kernel::FuncOp kernel,
                  KernelFrame &frame, bool isForFew);

  /// Whether the operands are such as this emitter takes.
  bool matches() const;
  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();
  unsigned getThreads() const {
    return rowWarps * keyWarps * ThreadBuilder::kWarp;
  }
  unsigned getSharedBytes() const;
  /// Blocks that a multiprocessor must hold, which bounds a thread's registers;
  /// 0: as many as ptxas finds.
  unsigned getResidents();

private:
  using Values = llvm::SmallVector<mlir::Value>;
  /// A row of the block that this thread holds elements of.
  struct Row {
    mlir::Value token, head, isThere;
    mlir::Value first, limit; // the keys it sees of the block's
  };
  /// Of one thread, for its two rows: highest scores, sums of weights of its
  /// own columns, weighted features.
  struct State {
    mlir::Value highest[2], total[2];
    Values features;

    static State from(mlir::ValueRange values);
    Values all() const;
  };
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
  State getStart();
  State emitKeys();

  // MatrixAttentionTile.cpp: one tile of keys.
  State emitTile(mlir::Value first, mlir::Value stage, State state);
  Values getScores(mlir::Value stage);
  Values getQueryPart(int64_t depth);
  Values bendScores(mlir::Value first, const Values &scores);
  mlir::Value cap(mlir::Value score);
  mlir::Value addMask(mlir::Value score, const Row &row, mlir::Value key);
  Values hideKeys(mlir::Value first, const Values &scores);
  Values hideUnseen(mlir::Value first, const Values &scores);
  void weigh(unsigned row, State &state, Values &scores);
  void addValues(mlir::Value stage, const Values &weights, State &state);

  // MatrixAttentionEnd.cpp: the end of the rows.
  void finish(State state);
  void storeRow(const Row &row, mlir::Value total, const Values &pairs,
                mlir::Value first, int64_t step);
  void storePair(mlir::Value low, mlir::Value high, mlir::Value at);
  void storeLse(const Row &row, mlir::Value isFirst, mlir::Value highest,
                mlir::Value total);
  void mergeWarps(const State &state);
  void mergeRow(mlir::Value memory, mlir::Value number);

  mlir::Value lowest() {
    return b.constant(type, -std::numeric_limits<double>::infinity());
  }
  mlir::Value multiply(mlir::Value x, mlir::Value y) {
    return mlir::arith::MulFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value plus(mlir::Value x, mlir::Value y) {
    return mlir::arith::AddFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value select(mlir::Value condition, mlir::Value x, mlir::Value y) {
    return mlir::arith::SelectOp::create(b.builder, b.loc, condition, x, y);
  }
  mlir::Value isEqual(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpFOp::create(b.builder, b.loc,
                                       mlir::arith::CmpFPredicate::OEQ, x, y);
  }
  mlir::Value isZero(mlir::Value integer);
  /// 0 in place of -inf: what is subtracted from scores without being NaN.
  mlir::Value getShift(mlir::Value highest) {
    return select(isEqual(highest, lowest()), b.constant(type, 0), highest);
  }
  /// 2^(unit * (score - shift))
  mlir::Value getWeight(mlir::Value score, mlir::Value shift);

  int64_t getFeatures(const HeadsTensor &tensor) const;
  int64_t getRowBytes(const HeadsTensor &tensor) const;
  int64_t getStageBytes() const;
  int64_t getMergedRow() const;
  int64_t getRows() const { return rowWarps * kRowsOfWarp; }
  /// Registers do not hold that many features beside the sums.
  bool isQueryShared() const { return getFeatures(query) > 128; }
  int64_t getKeysOfWarp() const { return keysOfTile / keyWarps; }
  mlir::AffineExpr getRowTiles() const { return rows.ceilDiv(getRows()); }

  static constexpr int64_t kRowsOfWarp = 16;

  KernelFrame &frame;
  AmpereBuilder b;
  int64_t keysOfTile, rowWarps, keyWarps;
  double factor, unit;
  bool isPlain; // neither mask nor cap: scores are products without `factor`
  Tiles keyTiles, valueTiles;
  mlir::Value shared;
  // Of the thread, i32; a quad of threads holds a row of a product.
  mlir::Value thread, lane, quad, member, rowWarp, keyWarp;
  // Of the block.
  mlir::Value batch, keyHead, split, firstRow, begin, end;
  Row held[2];
  mlir::Value seenFirst, seenLimit; // what all rows of the warp see
  /// Four registers for each 16 features, or where the lane's row of matrices
  /// lies.
  Values queryParts;
  mlir::Value queryPlace;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_MATRIXATTENTION_H
