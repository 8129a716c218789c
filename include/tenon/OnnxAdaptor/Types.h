// Converts types and attributes between ONNX's protobuf form and ours.

#ifndef TENON_ONNXADAPTOR_TYPES_H
#define TENON_ONNXADAPTOR_TYPES_H

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/OnnxAdaptor/Protobuf.h"

#include <optional>

namespace tenon {

/// Null for UNDEFINED and for numbers that ONNX does not have.
mlir::Type importElementType(mlir::MLIRContext *context, int32_t dataType);
/// TensorProto::UNDEFINED for types that ONNX does not have.
int32_t exportElementType(mlir::Type type);

/// Tensors (unranked if there is no shape), sequences and optionals of them. Null
/// where the element type is missing, and for maps and sparse tensors.
mlir::Type importType(mlir::MLIRContext *context,
                      const ::onnx::TypeProto &type);
::onnx::TypeProto exportType(mlir::Type type);

/// A dense or stored constant with its bytes as `raw_data`. None if the bytes
/// cannot be read, or if they are more than `limit`.
std::optional<::onnx::TensorProto> exportTensor(mlir::Attribute value,
                                                uint64_t limit = UINT64_MAX);

/// None for an attribute that ONNX cannot have.
std::optional<::onnx::AttributeProto>
exportAttribute(mlir::NamedAttribute attribute);

} // namespace tenon

#endif // TENON_ONNXADAPTOR_TYPES_H
