// The parts that stages of attention left become its results.

#ifndef TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
#define TENON_LIB_CODEGEN_GPU_MERGEPARTS_H

#include "AttentionValues.h"

namespace tenon {

/// With weight_p = exp(lse_p - max lse): result = sum of weight_p * part_p over
/// sum of weight_p, in the order of the parts. A block takes a row, a thread
/// its features one by one, and the weights of all parts itself: the threads
/// need nothing of each other, and a step of a decoder waits for memory once.
class MergeParts : public AttentionValues {
public:
  static constexpr unsigned kThreads = 128;

  MergeParts(kernel::AttentionOp op, kernel::FuncOp kernel, KernelFrame &frame,
             mlir::AffineExpr parts, bool areLaunchesEarly);

  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();
  /// Whether it waits for the launch before by itself.
  bool waitsItself() const { return isEarly; }

private:
  using Values = llvm::SmallVector<mlir::Value>;
  /// Of the parts so far, weights relative to the highest lse's.
  struct Sums {
    mlir::Value highest, total, feature;
  };

  void enterBlock();
  Sums sumParts(mlir::Value feature);
  mlir::Value withParts(mlir::Value score, const Values &parts,
                        mlir::Value zero);
  /// With some more parts, whose lse and feature these are.
  Sums addParts(const Sums &sums, const Values &scores, const Values &parts);
  void storeFeature(mlir::Value feature, const Sums &sums);
  void storeLse(const Sums &sums);

  /// exp(score - shift)
  mlir::Value getWeight(mlir::Value score, mlir::Value shift);

  bool isEarly;
  HeadsTensor whole; // the result, and its `lse`
  mlir::Value wholeLse;
  mlir::Value batch, head, token;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_MERGEPARTS_H
