// Which forms attention has, by a model of the device.

#ifndef TENON_LIB_CODEGEN_GPU_ATTENTIONMODEL_H
#define TENON_LIB_CODEGEN_GPU_ATTENTIONMODEL_H

#include "AttentionSchedule.h"

namespace tenon {

/// The forms for all sizes that the operands may have. `kernel` is the
/// operation alone; what it takes to read it is in `scratch`.
llvm::SmallVector<AttentionForm> chooseAttentionForms(kernel::AttentionOp op,
                                                      kernel::FuncOp kernel,
                                                      mlir::ModuleOp scratch,
                                                      const GPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ATTENTIONMODEL_H
