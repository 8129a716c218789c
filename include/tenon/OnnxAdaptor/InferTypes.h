// ONNX's own type and shape inference, asked about one operation at a time. No
// protobuf in this header: passes call it through a hook that Pipelines sets.

#ifndef TENON_ONNXADAPTOR_INFERTYPES_H
#define TENON_ONNXADAPTOR_INFERTYPES_H

#include "mlir/IR/Operation.h"

#include <string>

namespace tenon {

/// The types that ONNX infers for the results of `op`, a node of the onnx dialect,
/// from the types of its operands, its small constant operands and, if it has
/// regions, the types that they yield. A result whose shape it cannot tell is
/// unranked. Fails, with a diagnostic at `op`, where ONNX refuses the operands.
mlir::LogicalResult
inferResultTypes(mlir::Operation *op,
                 llvm::SmallVectorImpl<mlir::Type> &types);

/// The same; the reason of a failure goes to `error` and not to the diagnostics.
mlir::LogicalResult inferResultTypes(mlir::Operation *op,
                                     llvm::SmallVectorImpl<mlir::Type> &types,
                                     std::string &error);

} // namespace tenon

#endif // TENON_ONNXADAPTOR_INFERTYPES_H
