#ifndef TENON_IMPORT_ONNX_EXPANDFUNCTION_H
#define TENON_IMPORT_ONNX_EXPANDFUNCTION_H

#include "mlir/IR/Builders.h"

namespace tenon {

/// Emits the body that ONNX's schema has for `op`, a node of the onnx dialect
/// without regions, where `builder` stands. Operators of the body are upgraded
/// like those of a model. `results` gets the values of ONNX's outputs, null
/// where one is absent. False where there is no body for the node; failure is
/// an error that was reported.
mlir::FailureOr<bool>
expandFunction(mlir::Operation *op, mlir::OpBuilder &builder,
               llvm::SmallVectorImpl<mlir::Value> &results);

} // namespace tenon

#endif // TENON_IMPORT_ONNX_EXPANDFUNCTION_H
