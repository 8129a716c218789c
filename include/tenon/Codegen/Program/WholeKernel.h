// Kernels that are one operation with an emitter of its own.

#ifndef TENON_CODEGEN_PROGRAM_WHOLEKERNEL_H
#define TENON_CODEGEN_PROGRAM_WHOLEKERNEL_H

#include "dialects/Kernel/KernelDialect.h"

namespace tenon {

/// The operation of type `OpTy` in the kernel's body, else null.
template <typename OpTy>
OpTy findInBody(kernel::FuncOp kernel) {
  for (OpTy op : kernel.getBody().front().getOps<OpTy>())
    return op;
  return nullptr;
}

/// Whether the kernel hands its arguments to `op` and yields its results.
inline bool isAlone(mlir::Operation *op, kernel::FuncOp kernel) {
  auto isArgument = [](mlir::Value value) {
    return llvm::isa<mlir::BlockArgument>(value);
  };
  mlir::Operation *end = kernel.getBody().front().getTerminator();
  return llvm::all_of(op->getOperands(), isArgument) &&
         end->getOperands() == op->getResults();
}

/// Fails unless it does.
inline mlir::LogicalResult checkAlone(mlir::Operation *op,
                                      kernel::FuncOp kernel) {
  if (isAlone(op, kernel))
    return mlir::success();
  return kernel.emitError("expected kernel '")
         << kernel.getSymName() << "' to do nothing beside its "
         << op->getName() << ", but got more";
}

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_WHOLEKERNEL_H
