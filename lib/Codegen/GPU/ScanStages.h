// The stages of a kernel that is running sums or products of rows.

#ifndef TENON_LIB_CODEGEN_GPU_SCANSTAGES_H
#define TENON_LIB_CODEGEN_GPU_SCANSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// Short rows are one stage's; else one before it combines parts of rows.
StagedKernel lowerScan(kernel::ScanOp op, kernel::FuncOp kernel,
                       mlir::ModuleOp module);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_SCANSTAGES_H
