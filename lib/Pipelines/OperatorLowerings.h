#ifndef TENON_LIB_PIPELINES_OPERATORLOWERINGS_H
#define TENON_LIB_PIPELINES_OPERATORLOWERINGS_H

#include "mlir/IR/DialectRegistry.h"

namespace tenon {

/// Tells the onnx dialect which operators have lowerings, and how bodies
/// expand.
void registerOperatorLowerings(mlir::DialectRegistry &registry);

} // namespace tenon

#endif // TENON_LIB_PIPELINES_OPERATORLOWERINGS_H
