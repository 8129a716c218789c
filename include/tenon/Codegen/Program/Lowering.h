// The last steps that all targets share: loops to the LLVM dialect, the
// functions that kernels call, the dialects they need.

#ifndef TENON_CODEGEN_PROGRAM_LOWERING_H
#define TENON_CODEGEN_PROGRAM_LOWERING_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/BuiltinOps.h"

namespace llvm {
class Module;
} // namespace llvm

namespace tenon {

/// Loops of a kernel. `body` is
///   func @NAME.body(memref<1xi8> x buffers, index x symbols, index begin,
///                   index end, memref<1xi8> workspace)
struct LoweredKernel {
  mlir::func::FuncOp body;
  /// Number of work items and bytes of scratch over the kernel's own symbols.
  mlir::AffineExpr grid, workspace;
};

/// Lowers loops, arith, math, memref and vector within `module` to the LLVM
/// dialect; elementary functions become calls into the library.
mlir::LogicalResult lowerLoopsToLLVM(mlir::ModuleOp module);

/// Takes into `module`, which has its target's layout and triple, the functions
/// of the library that it calls. False if they do not link.
bool linkKernelLibrary(llvm::Module &module);

/// Registers what lowering a kernel needs in a context.
void registerCodegenDialects(mlir::DialectRegistry &registry);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_LOWERING_H
