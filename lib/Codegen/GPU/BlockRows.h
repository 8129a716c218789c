// Leading dimensions that all parallel loops of a kernel have, along which
// nothing that one iteration writes is read by another: blocks take them.

#ifndef TENON_LIB_CODEGEN_GPU_BLOCKROWS_H
#define TENON_LIB_CODEGEN_GPU_BLOCKROWS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace tenon {

/// How many leading dimensions of the function's parallel loops, which are not
/// nested, are such rows; all loops have the same extents there.
unsigned countRows(mlir::func::FuncOp function);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_BLOCKROWS_H
