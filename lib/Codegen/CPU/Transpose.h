#ifndef TENON_LIB_CODEGEN_CPU_TRANSPOSE_H
#define TENON_LIB_CODEGEN_CPU_TRANSPOSE_H

#include "tenon/Codegen/Program/LoopBuilder.h"

namespace tenon {

/// The columns of a square of vectors as vectors.
llvm::SmallVector<mlir::Value> transpose(LoopBuilder &loops,
                                         llvm::ArrayRef<mlir::Value> rows);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_TRANSPOSE_H
