// The form that takes every kernel: whole tensors one after the other.

#ifndef TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
#define TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/Program/Lowering.h"

namespace tenon {

/// One-shot bufferization and linalg to loops; the grid is 1. `keepsParallel`:
/// loops that may run in any order are scf.parallel, those of sums within.
mlir::FailureOr<LoweredKernel> lowerByBufferization(kernel::FuncOp kernel,
                                                    mlir::ModuleOp module,
                                                    bool keepsParallel = false);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
