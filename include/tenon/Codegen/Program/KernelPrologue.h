// Kernels that make the rows of their products first.

#ifndef TENON_CODEGEN_PROGRAM_KERNELPROLOGUE_H
#define TENON_CODEGEN_PROGRAM_KERNELPROLOGUE_H

#include "dialects/Kernel/KernelDialect.h"

#include <optional>

namespace tenon {

/// A kernel as two: `before` makes a tensor, which nothing but the rows of
/// products is read from, out of the kernel's inputs; `after` has it as one
/// more input, the last.
struct KernelPrologue {
  /// Nothing if the kernel's products do not all read one tensor that is made
  /// within. Both kernels are in `into`.
  static std::optional<KernelPrologue> cut(kernel::FuncOp kernel,
                                           mlir::ModuleOp into);

  kernel::FuncOp before, after;
  /// Dimensions of the tensor, over the kernel's symbols.
  mlir::AffineMap dims;
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_KERNELPROLOGUE_H
