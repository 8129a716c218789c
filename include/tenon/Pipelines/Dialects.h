#ifndef TENON_PIPELINES_DIALECTS_H
#define TENON_PIPELINES_DIALECTS_H

#include "mlir/IR/DialectRegistry.h"

namespace tenon {

/// Registers every dialect that a module can hold at any level, and what passes
/// need to know of them from outside (external models of interfaces).
void registerAllDialects(mlir::DialectRegistry &registry);

} // namespace tenon

#endif // TENON_PIPELINES_DIALECTS_H
