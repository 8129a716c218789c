// Streaming attention: scores exist for one tile of keys at a time.

#ifndef TENON_LIB_CODEGEN_CPU_EMITATTENTION_H
#define TENON_LIB_CODEGEN_CPU_EMITATTENTION_H

#include "CPUFrame.h"

namespace tenon {

/// Adds the loops of `op` over items [begin, end) to the frame; returns the
/// grid. An item is a tile of query rows of one key head and one split of the
/// keys. A lane of the tile's vectors is one row, (query, head of the group);
/// up to eight rows are taken one by one, with features and keys as lanes
/// (docs/decisions/0004).
mlir::FailureOr<mlir::AffineExpr>
emitAttention(kernel::AttentionOp op, kernel::FuncOp kernel, CPUFrame &frame);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_EMITATTENTION_H
