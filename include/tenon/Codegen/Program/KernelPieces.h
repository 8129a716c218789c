// What a kernel is made of: parts that share inputs, and what makes their rows.

#ifndef TENON_CODEGEN_PROGRAM_KERNELPIECES_H
#define TENON_CODEGEN_PROGRAM_KERNELPIECES_H

#include "tenon/Codegen/Program/KernelParts.h"
#include "tenon/Codegen/Program/KernelPrologue.h"

namespace tenon {

struct KernelPieces {
  /// Pieces of a kernel of generic operations; new kernels are in `into`.
  KernelPieces(kernel::FuncOp kernel, mlir::ModuleOp into)
      : prologue(KernelPrologue::cut(kernel, into)) {
    kernel::FuncOp rest = prologue ? prologue->after : kernel;
    parts = splitKernel(rest, into);
    if (parts.empty())
      parts.push_back(rest);
  }

  bool isWhole() const { return !prologue && parts.size() == 1; }

  std::optional<KernelPrologue> prologue;
  llvm::SmallVector<kernel::FuncOp> parts; // one at least
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_KERNELPIECES_H
