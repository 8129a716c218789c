// How threads share a row whose elements they hold in registers. It holds no
// code.

#ifndef TENON_LIB_CODEGEN_GPU_ROWFORM_H
#define TENON_LIB_CODEGEN_GPU_ROWFORM_H

#include "StageSchedule.h"

namespace tenon {

/// The form of the stage's rows, if each element of a row can stay with one
/// thread from the first step to the last: rows are of one known length, and
/// no step reads what another made at another place. How threads share it is
/// the schedule's.
std::optional<RowForm> findRowForm(const KernelProgram &program,
                                   const StagePlan &stage);

/// The widest chunks of which rows are made, of 16 bytes of the smallest
/// elements.
int64_t getWidestChunk(const KernelProgram &program, const RowForm &form);

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
