// From kernel.func operations to shared objects, one for each instruction set,
// within this process.

#ifndef TENON_TARGET_CPU_COMPILEKERNELS_H
#define TENON_TARGET_CPU_COMPILEKERNELS_H

#include "tenon/Codegen/CPU/CPUTarget.h"

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

#include <vector>

namespace tenon {

/// `grid` and `workspace` are maps ()[kernel symbols] -> (number of work items)
/// and -> (bytes of scratch of a thread).
struct CompiledKernel {
  std::string symbol;
  mlir::AffineMap grid, workspace;
};

struct CodeImage {
  std::string target;
  llvm::SmallVector<std::string> features;
  std::vector<char> elf;
};

/// All kernels of a module; `kernels` is by the name of the kernel.func.
struct CPUCode {
  llvm::SmallVector<CodeImage> images;
  llvm::StringMap<CompiledKernel> kernels;
};

/// Compiles every kernel.func in `module`. Errors name the kernel.
mlir::FailureOr<CPUCode>
compileKernelsForCPU(mlir::ModuleOp module, llvm::ArrayRef<CPUTarget> targets);

} // namespace tenon

#endif // TENON_TARGET_CPU_COMPILEKERNELS_H
