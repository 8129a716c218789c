// The stages of a kernel that is a search for the first elements of rows.

#ifndef TENON_LIB_CODEGEN_GPU_TOPKSTAGES_H
#define TENON_LIB_CODEGEN_GPU_TOPKSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Short rows are one stage's; else a second one merges sorted runs.
StagedKernel lowerTopK(kernel::TopKOp op, kernel::FuncOp kernel,
                       mlir::ModuleOp module);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TOPKSTAGES_H
