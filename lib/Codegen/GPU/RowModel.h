// How the steps of a kernel go over blocks and threads, by a model of the
// device.

#ifndef TENON_LIB_CODEGEN_GPU_ROWMODEL_H
#define TENON_LIB_CODEGEN_GPU_ROWMODEL_H

#include "StageForm.h"

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// A form for each stage.
llvm::SmallVector<StageForm> chooseStageForms(const KernelProgram &program);

/// The same where others need the rows that these steps make: if blocks have
/// rows, then blocks of as many threads as those of products of one row, which
/// make the row themselves.
llvm::SmallVector<StageForm> choosePrologueForms(const KernelProgram &program);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ROWMODEL_H
