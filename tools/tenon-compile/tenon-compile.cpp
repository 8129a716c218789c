// From an ONNX file to an artifact. Exit codes: 0 done, 1 the model or the machine
// does not allow it, 2 wrong usage.

#include "tools/tenon-compile/Options.h"

#include "tenon/Pipelines/Dialects.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Location.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

/// "node 'X'" where the location names one, else the file and line.
static std::string describe(Location loc) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto named = dyn_cast<NameLoc>(loc))
    stream << "node '" << named.getName().getValue() << "'";
  else if (auto fused = dyn_cast<FusedLoc>(loc); fused && !fused.getLocations().empty())
    stream << describe(fused.getLocations().front());
  else if (auto file = dyn_cast<FileLineColLoc>(loc)) {
    stream << file.getFilename().getValue();
    if (file.getLine() != 0)
      stream << ':' << file.getLine() << ':' << file.getColumn();
  }
  return text;
}

/// Errors and warnings go to the standard error, one line each; remarks do not.
static LogicalResult report(Diagnostic &diagnostic) {
  StringRef kind;
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    kind = "error: ";
    break;
  case DiagnosticSeverity::Warning:
    kind = "warning: ";
    break;
  default:
    return success();
  }
  std::string place = describe(diagnostic.getLocation());
  llvm::errs() << "tenon-compile: " << kind << place
               << (place.empty() ? "" : ": ") << diagnostic.str() << '\n';
  for (Diagnostic &note : diagnostic.getNotes())
    llvm::errs() << "  note: " << note.str() << '\n';
  return success();
}

int main(int argc, char **argv) {
  tenon::compile::Options options;
  int code = tenon::compile::parseOptions(argc, argv, options);
  if (code >= 0)
    return code;
  DialectRegistry registry;
  tenon::registerAllDialects(registry);
  MLIRContext context(registry);
  // Users know nodes by their names, not by operations.
  context.printOpOnDiagnostic(false);
  context.getDiagEngine().registerHandler(report);
  return failed(tenon::compileFile(context, options.input, options.output,
                                   options.compile));
}
