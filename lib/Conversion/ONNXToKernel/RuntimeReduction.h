#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_RUNTIMEREDUCTION_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_RUNTIMEREDUCTION_H

#include "Lowering.h"

namespace tenon {

/// What a Reduce operator does to an element, to two partial results and to the
/// final one.
struct ReductionKind {
  llvm::StringRef name;
  llvm::StringRef combine;       // scalar operator: Add, Mul, Max, Min
  llvm::StringRef before, after; // scalar operators, "Square", "Mean" or ""

  mlir::Value emitBefore(const ScalarContext &c, mlir::Value element) const;
};

/// Reductions over axes that an operand names at run time.
mlir::LogicalResult lowerRuntimeReduction(mlir::Operation *op,
                                          const ReductionKind &kind,
                                          Lowering &lowering);
mlir::LogicalResult lowerRuntimeLogSumExp(mlir::Operation *op,
                                          Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_RUNTIMEREDUCTION_H
