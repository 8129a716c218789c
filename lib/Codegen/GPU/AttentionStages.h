// The stages of a kernel that is attention: which form runs for which sizes.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Forms for few rows and for many, of which expressions over the kernel's
/// symbols give all but one no blocks; where a form shares the keys among
/// blocks, another stage merges what they leave.
StagedKernel lowerAttention(kernel::AttentionOp op, kernel::FuncOp kernel,
                            mlir::ModuleOp module, const GPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONSTAGES_H
