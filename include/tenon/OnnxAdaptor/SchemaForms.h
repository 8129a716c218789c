// Whether a node is of the form that an operator had in some opset.

#ifndef TENON_ONNXADAPTOR_SCHEMAFORMS_H
#define TENON_ONNXADAPTOR_SCHEMAFORMS_H

#include "tenon/OnnxAdaptor/Protobuf.h"

#include "mlir/IR/Operation.h"

#include <optional>
#include <string>

namespace tenon {

/// Why `node`, which stands for `op`, is not a node of the operator as of `version`
/// of its domain: inputs, outputs, attributes and element types. None where it is
/// one, or where ONNX has no schemas of the domain.
std::optional<std::string> findMisfit(const ::onnx::NodeProto &node,
                                      mlir::Operation *op, int version);

/// Takes out the attributes that the operator did not have as of `version` and that
/// say what is the default now.
void dropNewDefaults(::onnx::NodeProto &node, int version);

/// The version that introduced the operator's form as of `version`; 0: there is none.
int getFormVersion(const ::onnx::NodeProto &node, int version);

} // namespace tenon

#endif // TENON_ONNXADAPTOR_SCHEMAFORMS_H
