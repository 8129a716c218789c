// Attention for any operands: a thread scores one key of a tile, then sums one
// feature of the values.

#ifndef TENON_LIB_CODEGEN_GPU_GENERALATTENTION_H
#define TENON_LIB_CODEGEN_GPU_GENERALATTENTION_H

#include "AttentionValues.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace tenon {

/// A block takes one query of one head and a part of the keys.
class GeneralAttention : public AttentionValues {
public:
  static constexpr unsigned kThreads = 128;

  using AttentionValues::AttentionValues;

  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();

private:
  /// Highest score, sum of weights, this thread's weighted feature.
  struct Sums {
    mlir::Value highest, total, feature;
  };

  void enterBlock();
  void emitFeatures(mlir::Value feature);
  mlir::Value getScore(mlir::Value key);
  mlir::Value addMask(mlir::Value score, mlir::Value key);
  llvm::SmallVector<mlir::Value>
  emitTile(mlir::Value first, mlir::Value feature, mlir::ValueRange running);
  void finish(mlir::Value feature, const Sums &sums);

  mlir::Value constant(double number) { return b.constant(type, number); }
  mlir::Value minus(mlir::Value x, mlir::Value y) {
    return mlir::arith::SubFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value exp(mlir::Value x) {
    return mlir::math::ExpOp::create(b.builder, b.loc, x);
  }
  mlir::Value higher(mlir::Value x, mlir::Value y) {
    mlir::Value isHigher = mlir::arith::CmpFOp::create(
        b.builder, b.loc, mlir::arith::CmpFPredicate::OGT, x, y);
    return select(isHigher, x, y);
  }
  mlir::Value isZero(mlir::Value index) {
    return mlir::arith::CmpIOp::create(
        b.builder, b.loc, mlir::arith::CmpIPredicate::eq, index, b.index(0));
  }

  mlir::Value thread, factor, weights;
  // Of the block.
  mlir::Value batch, head, keyHead, token, split, begin, end;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_GENERALATTENTION_H
