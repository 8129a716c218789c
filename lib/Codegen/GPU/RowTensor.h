// A tensor of [outer, n, inner], whose rows lie along n.

#ifndef TENON_LIB_CODEGEN_GPU_ROWTENSOR_H
#define TENON_LIB_CODEGEN_GPU_ROWTENSOR_H

#include "ThreadBuilder.h"
#include "tenon/Codegen/Program/KernelFrame.h"

namespace tenon {

struct RowTensor {
  /// `argument` of the kernel, its elements read as `type`.
  RowTensor(mlir::Value argument, mlir::Type type, kernel::FuncOp kernel,
            KernelFrame &frame)
      : frame(frame) {
    unsigned number = llvm::cast<mlir::BlockArgument>(argument).getArgNumber();
    mlir::AffineMap dims = kernel.getArgumentDims(number);
    length = dims.getResult(1);
    inner = dims.getResult(2);
    rows = dims.getResult(0) * inner;
    memory = frame.bufferAs(number, {rows * length}, type);
  }

  /// Where element `at` of a row lies.
  mlir::Value offset(ThreadBuilder &b, mlir::Value row, mlir::Value at) {
    if (inner == 1)
      return b.add(b.mul(row, frame.size(length)), at);
    mlir::Value slab = row, column = b.take(slab, frame.size(inner));
    slab = b.add(b.mul(slab, frame.size(length)), at);
    return b.add(b.mul(slab, frame.size(inner)), column);
  }

  KernelFrame &frame;
  mlir::Value memory;
  mlir::AffineExpr rows, length, inner;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_ROWTENSOR_H
