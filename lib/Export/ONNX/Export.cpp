// The model around the graph, and the two files.

#include "tenon/Export/ONNX/Export.h"
#include "GraphExport.h"
#include "tenon/OnnxAdaptor/Schemas.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::exporter;

/// The oldest file format that has everything of the graph.
static int64_t getIrVersion(ModuleOp module, int opset, int ownOpset) {
  // Initializers that are no inputs came with version 4.
  constexpr int64_t kOldest = 4;
  auto own = module->getAttrOfType<IntegerAttr>("onnx.ir_version");
  if (!own || opset > ownOpset)
    return ::onnx::Version::IR_VERSION;
  return std::max(kOldest, own.getInt());
}

static FailureOr<func::FuncOp> findFunction(ModuleOp module) {
  auto functions = module.getOps<func::FuncOp>();
  if (!llvm::hasSingleElement(functions))
    return module.emitError("expected one graph to export, but got ")
           << std::distance(functions.begin(), functions.end());
  return *functions.begin();
}

/// Puts `data` under its final name, or removes it where there is nothing in it.
static llvm::Error finishData(llvm::sys::fs::TempFile &data, StringRef path,
                              bool isEmpty) {
  if (!isEmpty)
    return data.keep(path);
  return data.discard();
}

LogicalResult tenon::exportONNX(ModuleOp module, StringRef path, int opset) {
  auto own = module->getAttrOfType<IntegerAttr>("onnx.opset");
  int ownOpset = own ? own.getInt() : kNewestOpset;
  if (opset == 0)
    opset = ownOpset;
  if (opset < kOldestOpset || opset > kNewestOpset)
    return module.emitError("expected an opset from ")
           << kOldestOpset << " to " << kNewestOpset << ", but got " << opset;
  FailureOr<func::FuncOp> function = findFunction(module);
  if (failed(function))
    return failure();

  std::string dataPath = (path + ".data").str();
  auto file = llvm::sys::fs::TempFile::create(dataPath + ".%%%%%%%%",
                                              llvm::sys::fs::perms(0644));
  if (!file)
    return module.emitError(llvm::toString(file.takeError()));
  llvm::raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
  ExternalData data(stream, llvm::sys::path::filename(dataPath));
  ::onnx::ModelProto model;
  model.set_ir_version(getIrVersion(module, opset, ownOpset));
  model.set_producer_name("tenon");
  LogicalResult exported = GraphExporter(model, data, opset).run(*function);
  stream.flush();
  if (failed(exported) || stream.has_error()) {
    stream.clear_error();
    llvm::consumeError(file->discard());
    return succeeded(exported)
               ? LogicalResult(module.emitError("cannot write ") << dataPath)
               : failure();
  }
  if (llvm::Error error = finishData(*file, dataPath, data.isEmpty()))
    return module.emitError(llvm::toString(std::move(error)));
  llvm::Error written =
      llvm::writeToOutput(path, [&](llvm::raw_ostream &os) -> llvm::Error {
        os << model.SerializeAsString();
        return llvm::Error::success();
      });
  if (written)
    return module.emitError(llvm::toString(std::move(written)));
  return success();
}
