#ifndef TENON_CONVERSION_ONNXTOKERNEL_LOWERINGS_H
#define TENON_CONVERSION_ONNXTOKERNEL_LOWERINGS_H

#include "mlir/IR/Operation.h"

namespace tenon {

/// Whether `convert-onnx-to-kernel` has a lowering for the operator.
bool hasLowering(mlir::Operation *op);

} // namespace tenon

#endif // TENON_CONVERSION_ONNXTOKERNEL_LOWERINGS_H
