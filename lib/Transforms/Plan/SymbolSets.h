// Sets of a function's symbols, and what depends on them.

#ifndef TENON_LIB_TRANSFORMS_PLAN_SYMBOLSETS_H
#define TENON_LIB_TRANSFORMS_PLAN_SYMBOLSETS_H

#include "dialects/Plan/PlanDialect.h"

#include "llvm/ADT/SmallBitVector.h"

namespace tenon::plan {

/// Whether the expression is over one of the symbols.
bool dependsOn(mlir::AffineExpr expr, const llvm::SmallBitVector &symbols);

/// The symbols, and those that the function defines over one of them (a min or
/// max of it, and so on).
llvm::SmallBitVector withDefined(mlir::func::FuncOp function,
                                 llvm::SmallBitVector symbols);

/// The expression with multiples of `unit` in place of those symbols: not less,
/// and the same for most steps. Or the expression, if it could become less.
mlir::AffineExpr roundStepsUp(mlir::AffineExpr expr,
                              const llvm::SmallBitVector &steps, int64_t unit);

} // namespace tenon::plan

#endif // TENON_LIB_TRANSFORMS_PLAN_SYMBOLSETS_H
