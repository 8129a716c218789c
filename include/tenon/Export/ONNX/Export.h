// Writes a module of the onnx dialect as an ONNX file.

#ifndef TENON_EXPORT_ONNX_EXPORT_H
#define TENON_EXPORT_ONNX_EXPORT_H

#include "mlir/IR/BuiltinOps.h"

namespace tenon {

/// Writes the module's one function to `path`, and weights above 1 KB to
/// `path`.data beside it. Operators get the form that they had in `opset` (0: that
/// of the model, `onnx.opset`); where one has none, that is an error which names the
/// node.
mlir::LogicalResult exportONNX(mlir::ModuleOp module, llvm::StringRef path,
                               int opset);

} // namespace tenon

#endif // TENON_EXPORT_ONNX_EXPORT_H
