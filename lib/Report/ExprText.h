// Expressions over a function's symbols as text.

#ifndef TENON_LIB_REPORT_EXPRTEXT_H
#define TENON_LIB_REPORT_EXPRTEXT_H

#include "tenon/Analysis/Shapes/Polynomial.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <string>

namespace tenon {

/// "4 * batch * (past + sequence) + 64".
std::string printExpr(mlir::AffineExpr expr, mlir::func::FuncOp function);
/// "?" if it is not a number of 64 bits.
std::string printExpr(const Polynomial &polynomial,
                      mlir::func::FuncOp function);

} // namespace tenon

#endif // TENON_LIB_REPORT_EXPRTEXT_H
