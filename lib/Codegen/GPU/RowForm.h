// How threads share a row whose elements they hold in registers. It holds no
// code.

#ifndef TENON_LIB_CODEGEN_GPU_ROWFORM_H
#define TENON_LIB_CODEGEN_GPU_ROWFORM_H

#include "StageSchedule.h"

namespace tenon {

/// The form of the stage's rows, if each element of a row can stay with one
/// thread from the first step to the last: rows are of one known length that
/// fits registers, and no step reads what another made at another place.
/// `threads` have a row then, or as many as suit it.
std::optional<RowForm> findRowForm(const KernelProgram &program,
                                   const StagePlan &stage, int64_t threads = 0);

/// Elements that lie side by side from each multiple of the form's width on,
/// and are loaded or stored at once.
int64_t getPieceWidth(const KernelProgram &program, const RowForm &form,
                      const Step &step, const Access &access);

/// An access over classes in place of its step's loops, one for all of a row's
/// elements: equal ones are of the same element, whatever the step.
using Place = std::pair<int, llvm::SmallVector<mlir::AffineExpr>>;
Place getPlace(const RowForm &form, const Step &step, const Access &access);

/// Whether the access is not of the row as a whole.
bool isOfElement(const RowForm &form, const Step &step, const Access &access);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ROWFORM_H
