// Which forms a product of matrices has, by a model of the device and by what
// was measured.

#ifndef TENON_LIB_CODEGEN_GPU_PRODUCTMODEL_H
#define TENON_LIB_CODEGEN_GPU_PRODUCTMODEL_H

#include "KernelReading.h"
#include "ScheduleTable.h"

#include "tenon/Codegen/GPU/ProductSchedule.h"

namespace tenon {

/// The forms in the order in which their conditions are asked; none if the
/// kernel is no product, or one for other ways of lowering.
llvm::SmallVector<ProductForm> chooseProductForms(const KernelReading &reading,
                                                  const GPUTarget &target,
                                                  const ScheduleTable &table);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_PRODUCTMODEL_H
