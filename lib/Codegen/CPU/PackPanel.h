// Copies columns of an operand into the panel that tiles read.

#ifndef TENON_LIB_CODEGEN_CPU_PACKPANEL_H
#define TENON_LIB_CODEGEN_CPU_PACKPANEL_H

#include "PadMasks.h"

namespace tenon {

struct PanelSource {
  const LinearAccess &access;
  const Step &step;
  const Contraction &contraction;
  mlir::Value bytes;
  mlir::Type element;
  const TileFormat &format;
};

/// What the panels of a kernel read, found out once: where each k lies, and for
/// the panels of an item where their columns do.
struct PanelTables {
  mlir::Value depths; // of each k; null where k has a stride
  mlir::Value runs;   // of each panel; null where columns lie in order
  std::optional<PadMasks> masks; // where windows reach into pads

  /// `before` stands before the loop over items.
  PanelTables(RowEmitter &rows, mlir::OpBuilder &before,
              const PanelSource &source);
};

/// Fills in `tables.runs` and `tables.masks` for panel `number` of the item,
/// which begins at `column`.
void findRuns(RowEmitter &rows, mlir::OpBuilder &builder,
              const PanelSource &source, const PanelTables &tables,
              mlir::Value number, mlir::Value column, mlir::Value columns);

/// panel[i, j] = source(low + i, column + j) for i < depth and j < columns;
/// what lies beyond is unspecified.
void packPanel(RowEmitter &rows, mlir::OpBuilder &builder,
               const PanelSource &source, const PanelTables &tables,
               mlir::Value panel, mlir::Value number, mlir::Value column,
               mlir::Value columns, mlir::Value low, mlir::Value depth);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_PACKPANEL_H
