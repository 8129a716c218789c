// The bodies that ONNX's registry has for operators that are functions of
// others.

#ifndef TENON_ONNXADAPTOR_FUNCTIONBODY_H
#define TENON_ONNXADAPTOR_FUNCTIONBODY_H

#include "tenon/OnnxAdaptor/Protobuf.h"

#include "mlir/IR/Operation.h"

#include <optional>

namespace tenon {

/// Whether the schema of `op`, a node of the onnx dialect, has a body; it may
/// still have none for the node's types and attributes.
bool hasFunctionBody(mlir::Operation *op);

/// The body for the node, with the attributes' defaults in `attribute_proto`.
/// None where there is none for these types and attributes.
std::optional<::onnx::FunctionProto> buildFunctionBody(mlir::Operation *op);

/// The same for a node of a domain that the onnx dialect does not have.
std::optional<::onnx::FunctionProto>
buildFunctionBody(const ::onnx::NodeProto &node,
                  llvm::ArrayRef<mlir::Value> inputs);

} // namespace tenon

#endif // TENON_ONNXADAPTOR_FUNCTIONBODY_H
