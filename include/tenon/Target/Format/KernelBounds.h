// What a kernel's symbols have to fulfil for its code to stay within its
// tensors.

#ifndef TENON_TARGET_FORMAT_KERNELBOUNDS_H
#define TENON_TARGET_FORMAT_KERNELBOUNDS_H

#include "dialects/Kernel/KernelDialect.h"

namespace tenon {

/// `low` <= `high`, both over a kernel's symbols.
struct SizeBound {
  mlir::AffineExpr low, high;
};

/// The bounds that do not hold for all values of the symbols: of parts that are
/// taken out of tensors or put into them, and of sizes and windows that loops
/// go over. What is read at a place that the code computes is clamped there and
/// has none.
llvm::SmallVector<SizeBound> findBounds(kernel::FuncOp kernel);

} // namespace tenon

#endif // TENON_TARGET_FORMAT_KERNELBOUNDS_H
