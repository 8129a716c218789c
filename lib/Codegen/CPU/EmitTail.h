// The last few columns of a panel, which would leave most lanes of a tile's
// vectors empty: for them the lanes run along k.

#ifndef TENON_LIB_CODEGEN_CPU_EMITTAIL_H
#define TENON_LIB_CODEGEN_CPU_EMITTAIL_H

#include "EmitTile.h"

namespace tenon {

/// Columns beyond whole vectors that are fewer than a tile is worth.
int64_t getMostTailColumns(const TileFormat &format);

/// func @NAME.tail(a, aOffset, aRow, rows, b, bOffset, k, c, cOffset, cRow)
/// c[i * cRow] = sum over k of a[i * aRow + k] * b[k] for i < rows; a and b
/// have the type of the sum.
mlir::func::FuncOp emitTail(mlir::ModuleOp module, mlir::Location loc,
                            llvm::StringRef name, const TileFormat &format);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_EMITTAIL_H
