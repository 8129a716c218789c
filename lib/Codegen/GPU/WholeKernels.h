// Emitters of kernels that are one operation.

#ifndef TENON_LIB_CODEGEN_GPU_WHOLEKERNELS_H
#define TENON_LIB_CODEGEN_GPU_WHOLEKERNELS_H

#include "tenon/Codegen/Program/KernelFrame.h"

namespace tenon {

struct BlockGrid {
  mlir::AffineExpr blocks;
  unsigned threads;
};

/// Adds a product with blocks of small integers to the frame. A warp does one
/// element of the result.
mlir::FailureOr<BlockGrid> emitBlockProduct(kernel::BlockProductOp op,
                                            kernel::FuncOp kernel,
                                            KernelFrame &frame);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_WHOLEKERNELS_H
