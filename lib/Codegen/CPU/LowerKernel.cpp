// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/CPU/LowerKernel.h"
#include "EmitAttention.h"
#include "EmitBlockProduct.h"
#include "LowerByBufferization.h"
#include "RowSchedule.h"
#include "WholeKernel.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/AllInterfaces.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Tensor/IR/TensorInferTypeOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/BufferizableOpInterfaceImpl.h"
#include "mlir/Dialect/Tensor/Transforms/SubsetInsertionOpInterfaceImpl.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

using namespace mlir;
using namespace tenon;

void tenon::registerCPUCodegenDialects(DialectRegistry &registry) {
  registry.insert<affine::AffineDialect, arith::ArithDialect,
                  bufferization::BufferizationDialect, cf::ControlFlowDialect,
                  func::FuncDialect, linalg::LinalgDialect, LLVM::LLVMDialect,
                  math::MathDialect, memref::MemRefDialect, scf::SCFDialect,
                  tensor::TensorDialect, ub::UBDialect, vector::VectorDialect,
                  kernel::KernelDialect>();
  arith::registerBufferizableOpInterfaceExternalModels(registry);
  linalg::registerAllDialectInterfaceImplementations(registry);
  scf::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerBufferizableOpInterfaceExternalModels(registry);
  tensor::registerInferTypeOpInterfaceExternalModels(registry);
  tensor::registerSubsetOpInterfaceExternalModels(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

/// The kernel with generic operations in place of named ones.
static kernel::FuncOp generalize(kernel::FuncOp kernel, ModuleOp into) {
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  auto copy = cast<kernel::FuncOp>(builder.clone(*kernel));
  IRRewriter rewriter(kernel.getContext());
  SmallVector<linalg::LinalgOp> named;
  copy.walk([&](linalg::LinalgOp op) {
    if (!isa<linalg::GenericOp, linalg::FillOp>(op))
      named.push_back(op);
  });
  for (linalg::LinalgOp op : named) {
    rewriter.setInsertionPoint(op);
    // What stays named is not taken by rows.
    if (failed(linalg::generalizeNamedOp(rewriter, op)))
      continue;
  }
  return copy;
}

/// The grid of a kernel that is one operation with an emitter of its own, or
/// null.
static FailureOr<AffineExpr> emitWhole(kernel::FuncOp kernel,
                                       KernelFrame &frame) {
  if (kernel::AttentionOp attention = findInBody<kernel::AttentionOp>(kernel))
    return emitAttention(attention, kernel, frame);
  if (kernel::BlockProductOp product =
          findInBody<kernel::BlockProductOp>(kernel))
    return emitBlockProduct(product, kernel, frame);
  return AffineExpr();
}

FailureOr<LoweredKernel> tenon::lowerKernel(kernel::FuncOp kernel,
                                            ModuleOp module,
                                            const CPUTarget &target) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
  kernel::FuncOp general = generalize(kernel, *scratch);
  KernelFrame frame(general, module, target);
  if (FailureOr<AffineExpr> grid = emitWhole(general, frame); failed(grid))
    return failure();
  else if (*grid)
    return frame.finish(*grid);
  std::optional<KernelProgram> program = KernelProgram::read(general, frame);
  if (program) {
    KernelProgram merged = *program;
    if (auto contraction = Contraction::find(merged)) {
      RowSchedule schedule(merged, *contraction);
      return frame.finish(emitRows(schedule, frame));
    }
    RowSchedule schedule(*program);
    return frame.finish(emitRows(schedule, frame));
  }
  frame.getFunction().erase();
  return lowerByBufferization(kernel, module, target);
}
