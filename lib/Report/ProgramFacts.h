// What a module at the plan level holds, as the report has it.

#ifndef TENON_LIB_REPORT_PROGRAMFACTS_H
#define TENON_LIB_REPORT_PROGRAMFACTS_H

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

namespace tenon {

/// "kernels", "weights" and "entries" of the report.
llvm::json::Object describePrograms(mlir::ModuleOp module);

} // namespace tenon

#endif // TENON_LIB_REPORT_PROGRAMFACTS_H
