#ifndef TENON_LIB_TRANSFORMS_QUANTIZE_FILEVERSION_H
#define TENON_LIB_TRANSFORMS_QUANTIZE_FILEVERSION_H

#include "mlir/IR/BuiltinOps.h"

namespace tenon {

/// Raises the opset that a model's file will have to `opset` at least, and the
/// file format to one that has such opsets. What has no version stays without.
void raiseFileVersion(mlir::ModuleOp module, int64_t opset);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_QUANTIZE_FILEVERSION_H
