// The innermost part of a contraction: a tile of c kept in vector registers
// while k runs, one function for each height.

#ifndef TENON_LIB_CODEGEN_CPU_EMITTILE_H
#define TENON_LIB_CODEGEN_CPU_EMITTILE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"

namespace tenon {

/// What the tiles of one contraction have in common.
struct TileFormat {
  mlir::Type sum;    // f32 or f64
  mlir::Type a, b;   // as they lie in memory
  int64_t panel;     // columns of a panel
  int64_t lanes;     // of a vector of `sum`
  int64_t registers; // vector registers
  bool adds;         // to what c holds
  bool isStreamed;   // b comes from memory, each part of it once
};

/// Elements in memory: `bytes` is a memref<1xi8>, `offset` counts elements.
struct Elements {
  mlir::Value bytes, offset;
};

/// A memref<?xTYPE> over these bytes, for loads and stores at any offset.
mlir::Value viewElements(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value bytes, mlir::Type type);

/// A vector of `type` at `view[offset]`; with a mask, zero where it is not set.
mlir::Value loadVector(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::Value view, mlir::Value offset,
                       mlir::VectorType type, mlir::Value mask = {});

/// The rows of the tiles for this machine, highest first; the last is 1.
llvm::SmallVector<int64_t> getTileRows(const TileFormat &format);

/// func @NAME.tileROWS(a, aOffset, aRow, aK, b, bOffset, bK, k, c, cOffset,
///                     cRow, columns)
/// c[i, j] = sum over k of a[i * aRow + k * aK] * b[k * bK + j] for `rows` rows
/// i and j < columns <= panel; b has the whole panel.
mlir::func::FuncOp emitTile(mlir::ModuleOp module, mlir::Location loc,
                            llvm::StringRef name, const TileFormat &format,
                            int64_t rows);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_EMITTILE_H
