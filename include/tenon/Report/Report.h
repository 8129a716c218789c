// What a compilation did and what came of it, for --report: docs/report.md has
// the form.

#ifndef TENON_REPORT_REPORT_H
#define TENON_REPORT_REPORT_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace tenon {

class PassRecords;

/// Filled while a compilation goes on; one report for one compilation.
class Report {
public:
  /// Collects the remarks of `context` from now on.
  explicit Report(mlir::MLIRContext &context);
  ~Report();

  /// Who compiles what.
  void setHeader(llvm::StringRef producer, llvm::StringRef model,
                 llvm::StringRef target);
  /// Records each pass of `passes`, which are about to run as `stage`.
  void observe(mlir::PassManager &passes, llvm::StringRef stage);
  /// The time that a stage took.
  void addStage(llvm::StringRef name, double seconds);
  /// The model file of an entry.
  void addModelFile(llvm::StringRef path);
  /// The files beside the models that hold weights of the imported `module`.
  void addWeightFiles(mlir::ModuleOp module);
  /// Entries, kernels and weights of `module` at the plan level.
  void addPrograms(mlir::ModuleOp module);
  void addCode(const llvm::Twine &target, uint64_t bytes);
  /// A file that was written.
  void addOutput(const llvm::Twine &path);

  llvm::json::Value asJSON() const;

private:
  std::shared_ptr<PassRecords> passes;
  llvm::json::Object header;
  llvm::json::Array stages, codes;
  llvm::json::Object programs;
  std::vector<std::string> modelFiles, outputs;
};

/// A page without scripts or references to other files.
void printReportAsHTML(const llvm::json::Value &report, llvm::raw_ostream &os);

/// Writes the report to `path`, as JSON or, for *.html, as a page. The file
/// appears when it is complete.
llvm::Error writeReport(const Report &report, llvm::StringRef path);

} // namespace tenon

#endif // TENON_REPORT_REPORT_H
