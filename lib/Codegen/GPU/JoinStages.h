// Kernels that do not depend on one another, in the same launches.

#ifndef TENON_LIB_CODEGEN_GPU_JOINSTAGES_H
#define TENON_LIB_CODEGEN_GPU_JOINSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// What makes the rows that the parts read: stages whose functions have the
/// kernel's inputs and the rows as arguments. They are stages of the kernel,
/// but where there is one row only: then each block of the parts makes it for
/// itself.
struct StagedPrologue {
  StagedKernel staged;
  mlir::AffineMap dims; // of the rows
  mlir::Type element;
};

/// The stages of a kernel from those of its parts, whose functions are in
/// `module` and have its arguments, the rows being the last input where there
/// is a prologue. Stages with the same number and blocks of the same form are
/// one, which has the blocks of all.
StagedKernel joinStages(kernel::FuncOp kernel, mlir::ModuleOp module,
                        const GPUTarget &target,
                        llvm::ArrayRef<StagedKernel> parts,
                        const StagedPrologue *prologue = nullptr);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_JOINSTAGES_H
