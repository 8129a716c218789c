#ifndef TENON_LIB_TRANSFORMS_PLAN_SIZEORDER_H
#define TENON_LIB_TRANSFORMS_PLAN_SIZEORDER_H

#include "mlir/IR/AffineExpr.h"

namespace tenon {

/// Whether `small` <= `large` for all values of the symbols that are not below
/// `minima` (0 for a symbol that has none there). False means "not proven".
bool isAtMost(mlir::AffineExpr small, mlir::AffineExpr large,
              llvm::ArrayRef<int64_t> minima);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_PLAN_SIZEORDER_H
