// mlir-opt for this project: parses IR, runs the passes named on the command
// line, prints IR. For tests and for bisecting a pipeline.

#include "tenon/Conversion/KernelToPlan/Passes.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"
#include "tenon/Pipelines/Dialects.h"
#include "tenon/Transforms/Expand/Passes.h"
#include "tenon/Transforms/Fuse/Passes.h"
#include "tenon/Transforms/Layout/Passes.h"
#include "tenon/Transforms/Plan/Passes.h"
#include "tenon/Transforms/Raise/Passes.h"
#include "tenon/Transforms/Simplify/Passes.h"
#include "tenon/Transforms/Verify/Passes.h"

#include "runtime/core/Version.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/CommandLine.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  tenon::registerAllDialects(registry);
  mlir::registerTransformsPasses();
  tenon::registerKernelToPlanPasses();
  tenon::registerONNXToKernelPasses();
  tenon::registerExpandPasses();
  tenon::registerFusePasses();
  tenon::registerLayoutPasses();
  tenon::registerPlanPasses();
  tenon::registerRaisePasses();
  tenon::registerSimplifyPasses();
  tenon::registerVerifyPasses();
  llvm::cl::AddExtraVersionPrinter([](llvm::raw_ostream &os) {
    os << "tenon-opt " << tenon::rt::version() << '\n';
  });
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "tenon optimizer\n", registry));
}
