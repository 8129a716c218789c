// The form that takes every kernel: whole tensors one after the other.

#ifndef TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
#define TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/Program/KernelFrame.h"

namespace tenon {

/// Changes a function whose loops that may run in any order are scf.parallel,
/// those of sums within them; the grid.
using DivideLoops = llvm::function_ref<mlir::AffineExpr(KernelFrame &)>;

/// One-shot bufferization and linalg to loops; the grid is 1, or that of
/// `divide`.
mlir::FailureOr<LoweredKernel>
lowerByBufferization(kernel::FuncOp kernel, mlir::ModuleOp module,
                     DivideLoops divide = nullptr);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
