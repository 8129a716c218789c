// The parts that stages of attention left become its results.

#ifndef TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
#define TENON_LIB_CODEGEN_GPU_MERGEPARTS_H

#include "ThreadBuilder.h"
#include "tenon/Codegen/Program/AttentionOperands.h"

namespace tenon {

/// With weight_p = exp(lse_p - max lse): result = sum of weight_p * part_p over
/// sum of weight_p, in the order of the parts. A block takes a row.
class MergeParts : public AttentionOperands {
public:
  static constexpr unsigned kThreads = 128;
  /// More parts than that are none of a row.
  static constexpr int64_t kMostParts = 1024;

  MergeParts(kernel::AttentionOp op, kernel::FuncOp kernel, KernelFrame &frame,
             mlir::AffineExpr parts);

  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();

private:
  using Values = llvm::SmallVector<mlir::Value>;

  void enterBlock();
  mlir::Value loadLse(mlir::Value part);
  /// Stores all weights; their sum.
  mlir::Value storeWeights(mlir::Value highest);
  void storeFeature(mlir::Value feature, mlir::Value total);
  mlir::Value isEqual(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpFOp::create(b.builder, b.loc,
                                       mlir::arith::CmpFPredicate::OEQ, x, y);
  }

  KernelFrame &frame;
  ThreadBuilder b;
  HeadsTensor whole; // the result, and its `lse`
  mlir::Value wholeLse;
  mlir::Value weights, thread, batch, head, token;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
