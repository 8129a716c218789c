// Launches that multiply rows by the columns of a matrix.

#ifndef TENON_LIB_TRANSFORMS_FUSE_PRODUCTS_H
#define TENON_LIB_TRANSFORMS_FUSE_PRODUCTS_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace tenon {

/// The only sum of a launch, over one loop, of the products of two factors. One
/// of them, the rows, does not vary along the last dimension of the result.
struct RowProduct {
  static std::optional<RowProduct> find(kernel::LaunchOp launch);

  kernel::LaunchOp launch;
  mlir::linalg::GenericOp sum;
  unsigned rows; // number of the factor

  /// The launch's input that a factor is, or null if it is made within.
  mlir::Value getInput(unsigned factor);
  /// Whether both multiply the same input's rows in loops that are alike, each
  /// by columns of its own.
  bool hasSameRows(RowProduct other);
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_FUSE_PRODUCTS_H
