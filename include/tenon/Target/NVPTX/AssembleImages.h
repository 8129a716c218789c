// From PTX to cubins, by a ptxas that the user names.

#ifndef TENON_TARGET_NVPTX_ASSEMBLEIMAGES_H
#define TENON_TARGET_NVPTX_ASSEMBLEIMAGES_H

#include "tenon/Target/NVPTX/CompileKernels.h"

#include "mlir/IR/Location.h"

namespace tenon {

/// Puts a cubin in the place of every PTX text of `code`, and what ptxas says
/// of registers and local memory into its stages. `ptxas` is a path, or "auto":
/// the one of PATH, of /usr/local/cuda, or of the Python package
/// nvidia-cuda-nvcc beside the interpreter of PATH. The baseline stays PTX,
/// which later GPUs run. A failure is emitted at `loc`.
mlir::LogicalResult assembleImages(GPUCode &code, llvm::StringRef ptxas,
                                   mlir::Location loc);

} // namespace tenon

#endif // TENON_TARGET_NVPTX_ASSEMBLEIMAGES_H
