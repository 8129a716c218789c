// Sizes of the values within a kernel over the kernel's own symbols.

#ifndef TENON_LIB_ANALYSIS_WORK_TENSORSIZES_H
#define TENON_LIB_ANALYSIS_WORK_TENSORSIZES_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/OpDefinition.h"
#include "llvm/ADT/DenseMap.h"

namespace tenon {

/// Null expressions are unknown.
class TensorSizes {
public:
  explicit TensorSizes(kernel::FuncOp kernel) : kernel(kernel) {}

  /// One expression for each dimension; none for what is no ranked tensor.
  llvm::SmallVector<mlir::AffineExpr> getDims(mlir::Value tensor);
  /// An index as an expression.
  mlir::AffineExpr getExpr(mlir::OpFoldResult index);

private:
  llvm::SmallVector<mlir::AffineExpr> findDims(mlir::Value tensor);
  mlir::AffineExpr findExpr(mlir::Operation *op);

  kernel::FuncOp kernel;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::AffineExpr>> known;
};

} // namespace tenon

#endif // TENON_LIB_ANALYSIS_WORK_TENSORSIZES_H
