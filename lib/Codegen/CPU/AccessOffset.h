// Where an access puts an element, term by term.

#ifndef TENON_LIB_CODEGEN_CPU_ACCESSOFFSET_H
#define TENON_LIB_CODEGEN_CPU_ACCESSOFFSET_H

#include "RowEmitter.h"

namespace tenon {

/// Chooses terms by their loop, -1 where a term has none.
using LoopFilter = llvm::function_ref<bool(int loop)>;

/// What the chosen terms of an access, all by default, add to the offset of the
/// element at these values of its step's loops.
mlir::Value emitOffset(
    RowEmitter &rows, mlir::OpBuilder &builder, const LinearAccess &access,
    llvm::ArrayRef<mlir::Value> loops,
    LoopFilter isWanted = [](int) { return true; });

/// What they add to its position along dimension `dim` of the storage.
mlir::Value emitPosition(RowEmitter &rows, mlir::OpBuilder &builder,
                         const LinearAccess &access, unsigned dim,
                         llvm::ArrayRef<mlir::Value> loops,
                         LoopFilter isWanted);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_ACCESSOFFSET_H
