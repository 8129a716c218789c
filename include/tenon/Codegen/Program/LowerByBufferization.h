// The form that takes every kernel: whole tensors one after the other.

#ifndef TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
#define TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/Program/KernelFrame.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace tenon {

/// Changes a function whose loops that may run in any order are scf.parallel,
/// those of sums within them; the grid.
using DivideLoops = llvm::function_ref<mlir::AffineExpr(KernelFrame &)>;

/// One-shot bufferization and linalg to loops; the grid is that of `divide`.
/// What is scf.forall is scf.parallel for it, and so are the loops of linalg
/// where it `takesAll`.
mlir::FailureOr<LoweredKernel> lowerByBufferization(kernel::FuncOp kernel,
                                                    mlir::ModuleOp module,
                                                    DivideLoops divide,
                                                    bool takesAll);

/// A function's one scf.parallel, where it stands alone: nothing else writes to
/// memory. Else null.
mlir::scf::ParallelOp findOnlyLoop(mlir::func::FuncOp function);
/// How many rounds the loop has, over the kernel's symbols; null if they do not
/// say.
mlir::AffineExpr countRounds(KernelFrame &frame, mlir::scf::ParallelOp loop);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_LOWERBYBUFFERIZATION_H
