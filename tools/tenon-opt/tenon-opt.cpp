// mlir-opt for this project: parses IR, runs the passes named on the command
// line, prints IR. For tests and for bisecting a pipeline.

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Conversion/KernelToPlan/Passes.h"
#include "tenon/Conversion/ONNXToKernel/Passes.h"
#include "tenon/Transforms/Fuse/Passes.h"
#include "tenon/Transforms/Plan/Passes.h"
#include "tenon/Transforms/Simplify/Passes.h"

#include "runtime/core/Version.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "mlir/Transforms/Passes.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect,
                  mlir::linalg::LinalgDialect, mlir::math::MathDialect,
                  mlir::tensor::TensorDialect, tenon::kernel::KernelDialect, tenon::onnx::ONNXDialect,
                  tenon::plan::PlanDialect>();
  mlir::registerTransformsPasses();
  tenon::registerKernelToPlanPasses();
  tenon::registerONNXToKernelPasses();
  tenon::registerFusePasses();
  tenon::registerPlanPasses();
  tenon::registerSimplifyPasses();
  llvm::cl::AddExtraVersionPrinter([](llvm::raw_ostream &os) {
    os << "tenon-opt " << tenon::rt::version() << '\n';
  });
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "tenon optimizer\n", registry));
}
