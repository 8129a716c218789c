// Copies columns of an operand into the panel that tiles read.

#ifndef TENON_LIB_CODEGEN_CPU_PACKPANEL_H
#define TENON_LIB_CODEGEN_CPU_PACKPANEL_H

#include "EmitTile.h"
#include "RowEmitter.h"

namespace tenon {

struct PanelSource {
  const LinearAccess &access;
  const Step &step;
  const Contraction &contraction;
  mlir::Value bytes;
  mlir::Type element;
  const TileFormat &format;
};

/// panel[k, j] = source(k, column + j) for j < columns; what lies beyond is
/// unspecified. `runs` is scratch for 2 * panel + 1 integers.
void packPanel(RowEmitter &rows, mlir::OpBuilder &builder,
               const PanelSource &source, mlir::Value panel, mlir::Value runs,
               mlir::Value column, mlir::Value columns);

/// The offset of an access at these values of its step's loops.
mlir::Value emitOffset(RowEmitter &rows, mlir::OpBuilder &builder,
                       const LinearAccess &access,
                       llvm::ArrayRef<mlir::Value> loops);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_PACKPANEL_H
