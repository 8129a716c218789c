// From one kernel.func to loops over its buffers, the last form in which the
// schedule can still be read.

#ifndef TENON_CODEGEN_CPU_LOWERKERNEL_H
#define TENON_CODEGEN_CPU_LOWERKERNEL_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/CPU/CPUTarget.h"
#include "tenon/Codegen/Program/Lowering.h"

namespace tenon {

/// Adds the loops of `kernel` to `module`.
mlir::FailureOr<LoweredKernel> lowerKernel(kernel::FuncOp kernel,
                                           mlir::ModuleOp module,
                                           const CPUTarget &target);

} // namespace tenon

#endif // TENON_CODEGEN_CPU_LOWERKERNEL_H
