// From one kernel.func to loops over its buffers, the last form in which the
// schedule can still be read.

#ifndef TENON_CODEGEN_CPU_LOWERKERNEL_H
#define TENON_CODEGEN_CPU_LOWERKERNEL_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/CPU/CPUTarget.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace tenon {

/// Loops of a kernel. `body` is
///   func @NAME.body(memref<1xi8> x buffers, index x symbols, index begin,
///                   index end, memref<1xi8> workspace)
struct LoweredKernel {
  mlir::func::FuncOp body;
  /// Number of work items and bytes of scratch over the kernel's own symbols.
  mlir::AffineExpr grid, workspace;
};

/// Adds the loops of `kernel` to `module`.
mlir::FailureOr<LoweredKernel> lowerKernel(kernel::FuncOp kernel,
                                           mlir::ModuleOp module,
                                           const CPUTarget &target);

/// Lowers loops, arith, math, memref and vector within `module` to the LLVM
/// dialect; elementary functions become calls into the library.
mlir::LogicalResult lowerLoopsToLLVM(mlir::ModuleOp module);

/// Bitcode of the functions that kernels call.
llvm::StringRef getCPULibraryBitcode();

/// Registers what lowerKernel needs in a context.
void registerCPUCodegenDialects(mlir::DialectRegistry &registry);

} // namespace tenon

#endif // TENON_CODEGEN_CPU_LOWERKERNEL_H
