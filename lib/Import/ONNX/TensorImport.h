// Tensors and attributes of a model as MLIR attributes.

#ifndef TENON_LIB_IMPORT_ONNX_TENSORIMPORT_H
#define TENON_LIB_IMPORT_ONNX_TENSORIMPORT_H

#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "tenon/OnnxAdaptor/Protobuf.h"

#include <string>

namespace tenon::import {

/// The model's file, and the folders in which its external data may be.
class ModelFile {
public:
  explicit ModelFile(llvm::StringRef path);

  llvm::StringRef getPath() const { return path; }
  /// The path of external data at `location`, relative to the model. An error if
  /// it leads out of the folder that the model, or the file that the model is a
  /// link to, is in.
  llvm::Expected<std::string> resolve(llvm::StringRef location) const;

private:
  std::string path, folder;
  /// Real paths, with a final slash.
  llvm::SmallVector<std::string, 2> allowed;
};

/// Emits errors at a node or the file.
using ErrorEmitter = llvm::function_ref<mlir::InFlightDiagnostic()>;

/// `tensor` as a dense or stored attribute.
mlir::FailureOr<mlir::TypedAttr> importTensor(mlir::MLIRContext *context,
                                              const ::onnx::TensorProto &tensor,
                                              const ModelFile &file,
                                              ErrorEmitter emitError);

/// A sparse tensor, written out.
mlir::FailureOr<mlir::TypedAttr>
importSparseTensor(mlir::MLIRContext *context,
                   const ::onnx::SparseTensorProto &tensor,
                   const ModelFile &file, ErrorEmitter emitError);

/// `attribute`, which is no graph.
mlir::FailureOr<mlir::Attribute>
importAttribute(mlir::MLIRContext *context,
                const ::onnx::AttributeProto &attribute, const ModelFile &file,
                ErrorEmitter emitError);

} // namespace tenon::import

#endif // TENON_LIB_IMPORT_ONNX_TENSORIMPORT_H
