// Reads an ONNX file into a module of the onnx dialect.

#ifndef TENON_IMPORT_ONNX_IMPORT_H
#define TENON_IMPORT_ONNX_IMPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>

namespace tenon {

struct ImportOptions {
  /// The name of the func.func.
  std::string entryName = "main";
  /// Reports every node that cannot be imported. The module is then without them and
  /// what depends on them, and has the attribute `onnx.incomplete`.
  bool keepGoing = false;
};

/// The model as one func.func in the newest opset's meaning; the module has
/// `onnx.opset`, `onnx.ir_version` and, for other domains, `onnx.domains`. Weights stay in the file. Fails with a
/// diagnostic that names the file, and the node or tensor.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importONNX(llvm::StringRef path, mlir::MLIRContext &context,
           const ImportOptions &options = {});

} // namespace tenon

#endif // TENON_IMPORT_ONNX_IMPORT_H
