// Opens the file, checks what must hold of every model, and imports its graph.

#include "tenon/Import/ONNX/Import.h"
#include "GraphImport.h"
#include "SlimModel.h"
#include "tenon/OnnxAdaptor/Schemas.h"
#include "tenon/Support/WeightStore.h"

#include "google/protobuf/stubs/logging.h"
#include "mlir/IR/Verifier.h"

#include <limits>

using namespace mlir;
using namespace tenon;
using namespace tenon::import;

static FailureOr<std::unique_ptr<::onnx::ModelProto>>
parseModel(ArrayRef<char> bytes, function_ref<InFlightDiagnostic()> emitError) {
  llvm::Expected<std::string> slim = slimModel(bytes);
  if (!slim)
    return emitError() << llvm::toString(slim.takeError());
  if (slim->size() > size_t(std::numeric_limits<int>::max()))
    return emitError() << "expected a graph of less than 2 GB, but got "
                       << slim->size() << " bytes without weights";
  // Its own message says less than ours and goes to stderr.
  google::protobuf::LogSilencer silence;
  auto model = std::make_unique<::onnx::ModelProto>();
  if (!model->ParseFromArray(slim->data(), int(slim->size())) ||
      !model->has_graph())
    return emitError() << "expected an ONNX model, but its bytes are none";
  return model;
}

static LogicalResult checkModel(const ::onnx::ModelProto &model,
                                function_ref<InFlightDiagnostic()> emitError) {
  constexpr int64_t kOldestIr = 3, kNewestIr = ::onnx::Version::IR_VERSION;
  if (model.ir_version() < kOldestIr || model.ir_version() > kNewestIr)
    return emitError() << "expected IR version " << kOldestIr << " to "
                       << kNewestIr << ", but got " << model.ir_version();
  if (model.opset_import().empty())
    return emitError() << "expected an opset import, but got none";
  for (const auto &import : model.opset_import()) {
    bool isDefault = import.domain().empty() || import.domain() == "ai.onnx";
    if (isDefault &&
        (import.version() < kFirstOpset || import.version() > kNewestOpset))
      return emitError() << "expected opset " << kOldestOpset << " to "
                         << kNewestOpset << ", but got " << import.version();
  }
  return success();
}

/// What export needs to write the model in its own form.
static void setModelAttributes(ModuleOp module,
                               const ::onnx::ModelProto &model) {
  Builder builder(module.getContext());
  module->setAttr("onnx.ir_version",
                  builder.getI64IntegerAttr(model.ir_version()));
  NamedAttrList others;
  for (const auto &import : model.opset_import()) {
    auto version = builder.getI64IntegerAttr(import.version());
    if (import.domain().empty() || import.domain() == "ai.onnx")
      module->setAttr("onnx.opset", version);
    else
      others.set(import.domain(), version);
  }
  if (!others.empty())
    module->setAttr("onnx.domains", others.getDictionary(module.getContext()));
}

FailureOr<OwningOpRef<ModuleOp>>
tenon::importONNX(StringRef path, MLIRContext &context,
                  const ImportOptions &options) {
  context.loadDialect<func::FuncDialect, tenon::onnx::ONNXDialect>();
  Location loc = FileLineColLoc::get(&context, path, 0, 0);
  auto emitError = [&] { return mlir::emitError(loc); };
  auto &store =
      context.getLoadedDialect<tenon::onnx::ONNXDialect>()->getWeightStore();
  llvm::Expected<ArrayRef<char>> bytes = store.map(path);
  if (!bytes)
    return emitError() << llvm::toString(bytes.takeError());
  auto model = parseModel(*bytes, emitError);
  if (failed(model) || failed(checkModel(**model, emitError)))
    return failure();

  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  setModelAttributes(*module, **model);
  ModelFile file(path);
  GraphImporter importer(**model, file, *module, options.keepGoing);
  if (failed(importer.importMain(options.entryName)) || failed(verify(*module)))
    return failure();
  if (importer.hasFailures())
    (*module)->setAttr("onnx.incomplete", UnitAttr::get(&context));
  return module;
}
