// The stages of a kernel that is attention, one for each form of its schedule.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Expressions over the kernel's symbols give all but one form no blocks; where
/// a form shares the keys among blocks, another stage merges what they leave.
mlir::FailureOr<StagedKernel> lowerAttention(kernel::AttentionOp op,
                                             kernel::FuncOp kernel,
                                             mlir::ModuleOp module,
                                             const GPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H
