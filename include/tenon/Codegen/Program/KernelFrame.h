// The function that a kernel becomes: its buffers as memrefs, its sizes as
// values, its scratch memory. What every schedule starts from.

#ifndef TENON_CODEGEN_PROGRAM_KERNELFRAME_H
#define TENON_CODEGEN_PROGRAM_KERNELFRAME_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/Program/Lowering.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseMap.h"

namespace tenon {

class KernelFrame {
public:
  /// Adds the function `name` to `module`.
  KernelFrame(kernel::FuncOp kernel, mlir::ModuleOp module,
              const llvm::Twine &name);
  /// The function is NAME.body.
  KernelFrame(kernel::FuncOp kernel, mlir::ModuleOp module)
      : KernelFrame(kernel, module, kernel.getSymName() + ".body") {}

  mlir::func::FuncOp getFunction() { return function; }
  /// Inserts before the function's end; schedules use it for their code.
  mlir::OpBuilder &builder() { return body; }
  mlir::Location loc() { return function.getLoc(); }

  /// The value of an expression over the kernel's symbols; equal expressions
  /// have one value, computed on entry.
  mlir::Value size(mlir::AffineExpr expr);
  mlir::Value constant(int64_t value);
  /// Buffer `index` (operands, then results), contiguous.
  mlir::Value buffer(unsigned index);
  /// Whether the buffer is a weight, which no launch writes.
  bool isWeight(unsigned index) { return kernel.isWeight(index); }
  /// The same under other dimensions or another element type of its width.
  mlir::Value bufferAs(unsigned index, llvm::ArrayRef<mlir::AffineExpr> dims,
                       mlir::Type element);
  mlir::Value begin();
  mlir::Value end();
  /// One more argument, behind all others.
  mlir::Value addArgument(mlir::Type type);

  /// Scratch of the thread for a contiguous memref of these dimensions.
  mlir::Value allocate(llvm::ArrayRef<mlir::AffineExpr> dims,
                       mlir::Type element);
  /// `value` over the kernel's symbols, or null if it is something else.
  mlir::AffineExpr getExpr(mlir::Value value);

  /// Forgets values made so far: to be called after a pass ran.
  void restart();
  /// Ends the function.
  LoweredKernel finish(mlir::AffineExpr grid);

private:
  mlir::Value whetherAny(mlir::Value count);
  mlir::Value view(mlir::Value bytes, mlir::Value offset,
                   llvm::ArrayRef<mlir::AffineExpr> dims, mlir::Type element);
  mlir::AffineExpr getBinaryExpr(mlir::Operation *op);

  kernel::FuncOp kernel;
  mlir::func::FuncOp function;
  mlir::OpBuilder entry, body;
  unsigned numBuffers, numSymbols;
  llvm::DenseMap<mlir::AffineExpr, mlir::Value> sizes;
  llvm::SmallVector<mlir::Value> buffers;
  mlir::AffineExpr used; // bytes of workspace
};

/// `expr` with products of sums written out and the like, so that equal sizes
/// compare equal.
mlir::AffineExpr simplify(mlir::AffineExpr expr);

/// 1 if the size is more than 0, else 0. An expression has no comparison; in
/// code KernelFrame makes one of it.
inline mlir::AffineExpr isAny(mlir::AffineExpr size) {
  return size.ceilDiv(size + 1);
}

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_KERNELFRAME_H
