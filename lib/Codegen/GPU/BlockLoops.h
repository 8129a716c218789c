// Parallel loops of a kernel that is no list of steps: the threads of a block
// share each of them, and what is between them one thread does, or each. Where
// all loops have rows that need nothing of each other, a block takes a row.

#ifndef TENON_LIB_CODEGEN_GPU_BLOCKLOOPS_H
#define TENON_LIB_CODEGEN_GPU_BLOCKLOOPS_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// The kernel as one stage, often of one block.
mlir::FailureOr<StagedKernel> lowerToBlocks(kernel::FuncOp kernel,
                                            mlir::ModuleOp module);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_BLOCKLOOPS_H
