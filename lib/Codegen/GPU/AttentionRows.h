// Rows of attention in registers: what every emitter by matrix instructions
// does with scores and weighted values between its products.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONROWS_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONROWS_H

#include "AttentionValues.h"

namespace tenon {

/// Of each 16 rows and 8 columns of a product a thread has two neighbours from
/// column 2 * member of its first row, then of its second, 8 rows on. Scores
/// are in units of `unit`: their weight is 2^(unit * score).
class AttentionRows : public AttentionValues {
public:
  AttentionRows(kernel::AttentionOp op, kernel::FuncOp kernel,
                KernelFrame &frame);

  /// Whether the operands have 16 bits and rows of 16 bytes at a time.
  bool matches() const;

protected:
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

  void enterThread();
  /// The state before any key; the sink is one where `isFirst`, without a
  /// value.
  State getStart(mlir::Value isFirst);

  /// Scaled, capped and masked, unless they are plain.
  Values bendScores(mlir::Value first, const Values &scores);
  /// The columns of the tile whose first key is `first` that the thread's rows
  /// see, counted from the thread's own first; i32.
  struct Columns {
    mlir::Value lows[2], limits[2];
  };
  Columns getSeen(mlir::Value first);
  /// Scores of all other columns become -inf.
  Values hideUnseen(const Columns &seen, const Values &scores);
  /// Scores of row 0 or 1 become weights and are added to its total; what the
  /// features so far are to be multiplied by.
  mlir::Value weigh(unsigned row, State &state, Values &scores);
  void rescale(unsigned row, State &state, mlir::Value factor);
  /// Adds up what the quads' threads have.
  void sumTotals(State &state);
  void storeRows(const State &state);
  /// Two neighbours at feature `first`, two `step` features on, ...
  void storeRow(const Row &row, mlir::Value total, const Values &pairs,
                mlir::Value first, int64_t step);
  void storeLse(const Row &row, mlir::Value isFirst, mlir::Value highest,
                mlir::Value total);

  mlir::Value isZero(mlir::Value integer);
  /// 2^(unit * (score - shift))
  mlir::Value getWeight(mlir::Value score, mlir::Value shift);
  bool hasLeftWindow() { return int64_t(op.getLeftWindow()) >= 0; }
  int64_t getFeatures(const HeadsTensor &tensor) const;
  /// Registers do not hold that many features beside the sums.
  bool isQueryShared() const { return getFeatures(query) > 128; }

  double factor, unit;
  bool isPlain; // neither mask nor cap: scores are products without `factor`
  // Of the thread, i32; a quad of threads holds a row of a product.
  mlir::Value thread, lane, quad, member;
  // Of the block.
  mlir::Value batch, keyHead, split;
  Row held[2];

private:
  mlir::Value cap(mlir::Value score);
  mlir::Value addMask(mlir::Value score, const Row &row, mlir::Value key);
  void storePair(mlir::Value low, mlir::Value high, mlir::Value at);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONROWS_H
