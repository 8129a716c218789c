// Everything that a tool of the compiler has to register.

#include "tenon/Pipelines/Dialects.h"

#include "OperatorLowerings.h"

#include "dialects/KV/KVDialect.h"
#include "dialects/Kernel/KernelDialect.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

void tenon::registerAllDialects(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, func::FuncDialect, linalg::LinalgDialect,
                  math::MathDialect, scf::SCFDialect, tensor::TensorDialect,
                  kernel::KernelDialect, kv::KVDialect, onnx::ONNXDialect,
                  plan::PlanDialect>();
  registerOperatorLowerings(registry);
}
