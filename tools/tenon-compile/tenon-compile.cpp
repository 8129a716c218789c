// From an ONNX file to an artifact. Exit codes: 0 done, 1 the model or the
// machine does not allow it, 2 wrong usage.

#include "tools/tenon-compile/Options.h"
#include "tools/tenon-compile/Report.h"
#include "tools/tenon/Mains.h"

#include "tenon/Pipelines/Dialects.h"
#include "tenon/Pipelines/Passes.h"
#include "tenon/Report/Report.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"

using namespace mlir;
using namespace tenon::compile;

/// Compiles to a file that goes, and says what stopped it.
static int explain(MLIRContext &context, Options &options) {
  llvm::SmallString<128> path;
  if (llvm::sys::fs::createTemporaryFile("explain", "tenon", path)) {
    llvm::errs() << "tenon-compile: expected a writable temporary folder\n";
    return 1;
  }
  llvm::FileRemover remover(path);
  options.compile.keepGoing = true;
  options.compile.emit = tenon::Level::artifact;
  Obstacles obstacles;
  context.getDiagEngine().registerHandler(
      [&](Diagnostic &diagnostic) { return obstacles.add(diagnostic); });
  LogicalResult compiled =
      tenon::compileFile(context, options.input, path, options.compile);
  obstacles.print(llvm::outs(), options.input);
  return failed(compiled) || !obstacles.empty();
}

/// Compiles, and then writes what it did.
static int compileWithReport(MLIRContext &context, Options &options) {
  tenon::Report report(context);
  report.setHeader(options.compile.producer, options.input,
                   options.compile.target);
  options.compile.report = &report;
  if (failed(tenon::compileFile(context, options.input, options.output,
                                options.compile)))
    return 1;
  if (options.output != "-")
    report.addOutput(options.output);
  if (options.compile.emit == tenon::Level::onnx &&
      options.compile.onnxForm == tenon::OnnxForm::model)
    report.addOutput(options.output + ".data");
  if (llvm::Error error = tenon::writeReport(report, options.report)) {
    llvm::errs() << "tenon-compile: error: " << options.report << ": "
                 << llvm::toString(std::move(error)) << '\n';
    return 1;
  }
  return 0;
}

int tenon::compileMain(int argc, char **argv) {
  tenon::registerAllPasses();
  Options options;
  int code = parseOptions(argc, argv, options);
  if (code >= 0)
    return code;
  DialectRegistry registry;
  tenon::registerAllDialects(registry);
  MLIRContext context(registry);
  // Users know nodes by their names, not by operations.
  context.printOpOnDiagnostic(false);
  if (options.explain)
    return explain(context, options);
  context.getDiagEngine().registerHandler(report);
  if (!options.report.empty())
    return compileWithReport(context, options);
  return failed(tenon::compileFile(context, options.input, options.output,
                                   options.compile));
}
