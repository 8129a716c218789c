#include "tenon/Report/Report.h"

#include "PassRecords.h"
#include "ProgramFacts.h"

#include "dialects/ONNX/StoredAttr.h"
#include "tenon/Support/OutputFile.h"
#include "tenon/Support/WeightStore.h"

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/Support/FileSystem.h"

#include <cmath>

using namespace mlir;
using namespace tenon;
using llvm::json::Array;
using llvm::json::Object;

/// Of what docs/report.md describes.
static constexpr int64_t kFormat = 1;

namespace {
struct RemarkCollector final : remark::detail::MLIRRemarkStreamerBase {
  explicit RemarkCollector(std::shared_ptr<PassRecords> records)
      : records(std::move(records)) {}
  void streamOptimizationRemark(const remark::detail::Remark &remark) override {
    records->addRemark(remark);
  }
  std::shared_ptr<PassRecords> records;
};

struct PassObserver final : PassInstrumentation {
  explicit PassObserver(std::shared_ptr<PassRecords> records)
      : records(std::move(records)) {}
  void runBeforePass(Pass *pass, Operation *op) override {
    records->beginPass(pass, op);
  }
  void runAfterPass(Pass *pass, Operation *op) override {
    records->endPass(pass, op);
  }
  void runAfterPassFailed(Pass *pass, Operation *op) override {
    records->endPass(pass, op);
  }
  std::shared_ptr<PassRecords> records;
};
} // namespace

Report::Report(MLIRContext &context) : passes(std::make_shared<PassRecords>()) {
  remark::RemarkCategories categories;
  categories.passed = categories.missed = categories.failed =
      categories.analysis = ".*";
  // Fails only if the context has a collector already; the first one stays.
  if (failed(remark::enableOptimizationRemarks(
          context, std::make_unique<RemarkCollector>(passes),
          std::make_unique<remark::RemarkEmittingPolicyAll>(), categories)))
    header["remarks_missing"] = true;
}

Report::~Report() = default;

void Report::setHeader(StringRef producer, StringRef model, StringRef target) {
  header["producer"] = producer;
  header["model"] = model;
  header["target"] = target;
}

void Report::observe(PassManager &manager, StringRef stage) {
  passes->beginStage(stage);
  manager.addInstrumentation(std::make_unique<PassObserver>(passes));
}

void Report::addStage(StringRef name, double seconds) {
  stages.push_back(
      Object{{"stage", name}, {"microseconds", std::llround(seconds * 1e6)}});
}

void Report::addModelFile(StringRef path) {
  if (!path.empty() && !llvm::is_contained(modelFiles, path))
    modelFiles.push_back(path.str());
}

void Report::addWeightFiles(ModuleOp module) {
  module.walk([&](Operation *op) {
    for (NamedAttribute attribute : op->getAttrs())
      if (auto stored = dyn_cast<onnx::StoredAttr>(attribute.getValue());
          stored && stored.getFile() != WeightStore::kSpillFile)
        addModelFile(stored.getFile());
  });
}

void Report::addPrograms(ModuleOp module) {
  programs = describePrograms(module);
}

void Report::addCode(const Twine &target, uint64_t bytes) {
  codes.push_back(Object{{"target", target.str()}, {"bytes", int64_t(bytes)}});
}

void Report::addOutput(const Twine &path) { outputs.push_back(path.str()); }

static int64_t sumBytes(ArrayRef<std::string> files) {
  int64_t sum = 0;
  for (const std::string &file : files) {
    uint64_t bytes = 0;
    if (!llvm::sys::fs::file_size(file, bytes))
      sum += bytes;
  }
  return sum;
}

llvm::json::Value Report::asJSON() const {
  Object sizes{{"model_bytes", sumBytes(modelFiles)}};
  if (!outputs.empty())
    sizes["output_bytes"] = sumBytes(outputs);
  sizes["codes"] = Array(codes);
  for (StringRef key : {"weight_bytes_model", "weight_bytes_stored"})
    if (const llvm::json::Value *bytes = programs.get(key))
      sizes[key] = *bytes;
  Object report(header);
  report["format"] = kFormat;
  report["sizes"] = std::move(sizes);
  report["stages"] = Array(stages);
  report["passes"] = passes->asJSON();
  for (StringRef key : {"kernels", "entries"}) {
    const llvm::json::Value *part = programs.get(key);
    report[key] = part ? *part : llvm::json::Value(Array());
  }
  return report;
}

llvm::Error tenon::writeReport(const Report &report, StringRef path) {
  llvm::json::Value value = report.asJSON();
  std::string text;
  llvm::raw_string_ostream os(text);
  if (path.ends_with(".html"))
    printReportAsHTML(value, os);
  else
    os << llvm::formatv("{0:2}", value) << '\n';
  return writeOutputFile(path, text);
}
