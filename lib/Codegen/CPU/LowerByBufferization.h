// The form that takes every kernel: whole tensors one after the other.

#ifndef TENON_LIB_CODEGEN_CPU_LOWERBYBUFFERIZATION_H
#define TENON_LIB_CODEGEN_CPU_LOWERBYBUFFERIZATION_H

#include "tenon/Codegen/CPU/LowerKernel.h"

namespace tenon {

/// One-shot bufferization and linalg to loops; the grid is 1.
mlir::FailureOr<LoweredKernel> lowerByBufferization(kernel::FuncOp kernel,
                                                    mlir::ModuleOp module,
                                                    const CPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_LOWERBYBUFFERIZATION_H
