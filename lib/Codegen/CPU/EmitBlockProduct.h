// Products with weights of blocks of small integers, decoded on the way.

#ifndef TENON_LIB_CODEGEN_CPU_EMITBLOCKPRODUCT_H
#define TENON_LIB_CODEGEN_CPU_EMITBLOCKPRODUCT_H

#include "CPUFrame.h"

namespace tenon {

/// Adds the loops of `op` over items [begin, end) to the frame; returns the
/// grid. An item is a tile of the result's columns, which are rows of the
/// weights.
mlir::FailureOr<mlir::AffineExpr> emitBlockProduct(kernel::BlockProductOp op,
                                                   kernel::FuncOp kernel,
                                                   CPUFrame &frame);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_EMITBLOCKPRODUCT_H
