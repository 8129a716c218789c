// The parts that stages of attention left become its results.

#ifndef TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
#define TENON_LIB_CODEGEN_GPU_MERGEPARTS_H

#include "ThreadBuilder.h"
#include "tenon/Codegen/Program/AttentionOperands.h"

namespace tenon {

/// With weight_p = exp(lse_p - max lse): result = sum of weight_p * part_p over
/// sum of weight_p, in the order of the parts. A block takes a row, a thread a
/// feature and all weights: no thread waits for another.
class MergeParts : public AttentionOperands {
public:
  static constexpr unsigned kThreads = 128;

  MergeParts(kernel::AttentionOp op, kernel::FuncOp kernel, KernelFrame &frame,
             mlir::AffineExpr parts);

  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();

private:
  using Values = llvm::SmallVector<mlir::Value>;
  using Step = LoopBuilder::Step;

  void enterBlock();
  /// What `body` makes of all parts, in their order.
  Values forParts(mlir::ValueRange start, Step body);
  mlir::Value loadLse(mlir::Value part);
  mlir::Value getWeight(mlir::Value part);
  void storeFeature(mlir::Value feature);
  void storeLse();
  mlir::Value plus(mlir::Value x, mlir::Value y) {
    return mlir::arith::AddFOp::create(b.builder, b.loc, x, y);
  }
  mlir::Value isEqual(mlir::Value x, mlir::Value y) {
    return mlir::arith::CmpFOp::create(b.builder, b.loc,
                                       mlir::arith::CmpFPredicate::OEQ, x, y);
  }

  KernelFrame &frame;
  ThreadBuilder b;
  HeadsTensor whole; // the result, and its `lse`
  mlir::Value wholeLse;
  mlir::Value batch, head, token, highest, shift; // of the row
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
