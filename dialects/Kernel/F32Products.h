// How a kernel multiplies two factors of f32, where the target has a choice.

#ifndef TENON_DIALECTS_KERNEL_F32PRODUCTS_H
#define TENON_DIALECTS_KERNEL_F32PRODUCTS_H

#include "dialects/Kernel/KernelDialect.h"

#include <optional>

namespace tenon::kernel {

/// Sums are f32 in all of them.
enum class F32Products {
  /// Each product and sum is rounded as IEEE 754 says.
  ieee,
  /// Factors are rounded to 11 binary digits (TF32).
  tf32,
  /// A factor is the sum of two bf16, and the product of the lower ones is left
  /// out: factors have 16 binary digits.
  bf16x3,
};

/// Nothing for a name that is none.
std::optional<F32Products> parseF32Products(llvm::StringRef name);
llvm::StringRef getName(F32Products products);

/// What a kernel's schedule says; IEEE without.
F32Products getF32Products(FuncOp kernel);
void setF32Products(FuncOp kernel, F32Products products);

} // namespace tenon::kernel

#endif // TENON_DIALECTS_KERNEL_F32PRODUCTS_H
