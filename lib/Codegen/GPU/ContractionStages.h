// The stages of a kernel around a contraction: which form runs for which sizes.

#ifndef TENON_LIB_CODEGEN_GPU_CONTRACTIONSTAGES_H
#define TENON_LIB_CODEGEN_GPU_CONTRACTIONSTAGES_H

#include "tenon/Codegen/GPU/LowerKernel.h"
#include "tenon/Codegen/Program/KernelFrame.h"

#include <optional>

namespace tenon {

/// The function of stage number `stage` of a kernel.
inline std::string getStageName(kernel::FuncOp kernel, unsigned stage) {
  return (kernel.getSymName() + ".stage" + llvm::Twine(stage)).str();
}

/// 1 if the size is at least `least`, else 0.
inline mlir::AffineExpr isAtLeast(mlir::AffineExpr size, int64_t least) {
  return isAny(size.floorDiv(least));
}

/// Of a part: its last input is rows that are made before it or, if there is
/// one, by its blocks, in shared memory.
inline constexpr llvm::StringLiteral kMadeRowsAttr = "kernel.made_rows";

/// Blocks of a product of one row that a multiprocessor must hold, so that all
/// read weights while the launch before runs; 0, any, if they are too many.
unsigned getResidentsForOneRow(mlir::AffineExpr blocks,
                               const GPUTarget &target);

/// The stages of the forms of the kernel's schedule, of which expressions over
/// its symbols give all but one no blocks; nothing if it is no kernel around a
/// contraction.
mlir::FailureOr<std::optional<StagedKernel>>
lowerContraction(kernel::FuncOp kernel, mlir::ModuleOp module,
                 const GPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_CONTRACTIONSTAGES_H
