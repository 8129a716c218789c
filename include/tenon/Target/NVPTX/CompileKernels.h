// From kernel.func operations to PTX, within this process; no GPU and no
// toolkit is needed.

#ifndef TENON_TARGET_NVPTX_COMPILEKERNELS_H
#define TENON_TARGET_NVPTX_COMPILEKERNELS_H

#include "tenon/Codegen/GPU/GPUTarget.h"

#include "runtime/format/artifact_generated.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/MapVector.h"

#include <string>
#include <vector>

namespace tenon {

/// A kernel as the artifact describes it, without its uses.
struct GPUKernel {
  format::KernelT table;
  /// For each target; the index of the kernel is not set.
  std::vector<format::StagedKernelT> codes;
};

/// One target's code: a PTX text, or the cubin made of it, for each image.
struct GPUImages {
  GPUTarget target;
  std::vector<std::string> images;
  format::CodeForm form = format::CodeForm::ptx;
  std::string assembler; // of cubins
};

/// All kernels of a module; `kernels` is by the name of the kernel.func.
struct GPUCode {
  llvm::SmallVector<GPUImages> targets;
  llvm::MapVector<mlir::StringAttr, GPUKernel> kernels;
};

/// Compiles every kernel.func in `module`. Errors name the kernel.
mlir::FailureOr<GPUCode>
compileKernelsForGPU(mlir::ModuleOp module, llvm::ArrayRef<GPUTarget> targets);

} // namespace tenon

#endif // TENON_TARGET_NVPTX_COMPILEKERNELS_H
