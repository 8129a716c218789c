// From an ONNX file to an artifact. Exit codes: 0 done, 1 the model or the machine
// does not allow it, 2 wrong usage.

#include "tools/tenon-compile/Options.h"
#include "tools/tenon-compile/Report.h"

#include "tenon/Pipelines/Dialects.h"
#include "tenon/Pipelines/Passes.h"

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

int main(int argc, char **argv) {
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
  return failed(tenon::compileFile(context, options.input, options.output,
                                   options.compile));
}
