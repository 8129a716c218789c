// What the fusing passes share: one launch of two, one generic of two.

#ifndef TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H
#define TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace tenon {

/// The only generic of a launch that does nothing else, if it is parallel and
/// writes its destination in order.
mlir::linalg::GenericOp getElementwiseGeneric(kernel::LaunchOp launch);

/// A launch before `consumer` that does the work of both. `producer` has one
/// result, which only `consumer` reads. Both stay, to be erased by the caller.
kernel::LaunchOp mergeLaunches(kernel::LaunchOp producer,
                               kernel::LaunchOp consumer);

/// Joins the elementwise generics of a merged launch.
mlir::LogicalResult fuseGenerics(kernel::LaunchOp launch);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_FUSE_MERGELAUNCHES_H
