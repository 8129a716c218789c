// Kernels whose results are made independently, in parts.

#ifndef TENON_CODEGEN_PROGRAM_KERNELPARTS_H
#define TENON_CODEGEN_PROGRAM_KERNELPARTS_H

#include "dialects/Kernel/KernelDialect.h"

namespace tenon {

/// The parts of a kernel that share nothing but inputs: kernels in `into` with
/// all its arguments, each of which yields its own results, and of the others
/// the destinations as they are. Nothing if it is all one part.
llvm::SmallVector<kernel::FuncOp> splitKernel(kernel::FuncOp kernel,
                                              mlir::ModuleOp into);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_KERNELPARTS_H
