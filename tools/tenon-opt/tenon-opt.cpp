// mlir-opt for this project: parses IR, runs the passes named on the command
// line, prints IR. For tests and for bisecting a pipeline.

#include "tools/tenon/Mains.h"

#include "tenon/Pipelines/Dialects.h"
#include "tenon/Pipelines/Passes.h"

#include "runtime/core/Version.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"

int tenon::optMain(int argc, char **argv) {
  mlir::DialectRegistry registry;
  tenon::registerAllDialects(registry);
  tenon::registerAllPasses();
  llvm::cl::AddExtraVersionPrinter([](llvm::raw_ostream &os) {
    os << "tenon-opt " << tenon::rt::version() << '\n';
  });
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "tenon optimizer\n", registry));
}
