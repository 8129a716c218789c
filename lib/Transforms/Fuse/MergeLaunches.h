// What the fusing passes share: one launch of two, one generic of two.

#ifndef TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H
#define TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/IRMapping.h"

namespace tenon {

/// The symbols of a launch that does the work of several.
class MergedSymbols {
public:
  explicit MergedSymbols(llvm::ArrayRef<kernel::LaunchOp> launches);

  /// A map over `launch`'s symbols as one over the merged ones.
  mlir::AffineMap remap(mlir::AffineMap map, kernel::LaunchOp launch) const;
  /// A copy of `launch`'s body without its end; what it yields.
  llvm::SmallVector<mlir::Value> cloneBody(mlir::OpBuilder &builder,
                                           kernel::LaunchOp launch,
                                           mlir::IRMapping &mapping) const;
  mlir::AffineMap asMap() const;

private:
  mlir::AffineExpr express(mlir::AffineExpr expr) const;

  llvm::SmallVector<mlir::AffineExpr> symbols; // over the function's symbols
  unsigned numOuter;                           // symbols of the function
  mlir::MLIRContext *context;
};

/// The only generic of a launch that does nothing else, if it is parallel and
/// writes its destination in order.
mlir::linalg::GenericOp getElementwiseGeneric(kernel::LaunchOp launch);

/// A launch before `consumer` that does the work of both. `producer` has one
/// result, which only `consumer` reads, or its `view`, which makes one
/// dimension of the leading ones. All stay, to be erased by the caller.
kernel::LaunchOp mergeLaunches(kernel::LaunchOp producer,
                               kernel::LaunchOp consumer,
                               kernel::ViewOp view = {});

/// Joins the elementwise generics of a merged launch.
mlir::LogicalResult fuseGenerics(kernel::LaunchOp launch);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H
