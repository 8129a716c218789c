// What passes that change a weight's layout share.

#ifndef TENON_LIB_TRANSFORMS_LAYOUT_WEIGHTREADERS_H
#define TENON_LIB_TRANSFORMS_LAYOUT_WEIGHTREADERS_H

#include "dialects/Kernel/KernelDialect.h"

#include <optional>

namespace tenon {

/// The region's argument for each use of a weight by a launch; nothing if there
/// is a use of another kind.
std::optional<llvm::SmallVector<mlir::BlockArgument>>
getReaders(kernel::WeightOp weight);

/// Of a contraction's factor: which of its last two dimensions are columns of the
/// result. Nothing if `use` is no such factor, or a column of it is in the other one
/// too.
std::optional<unsigned> getColumnDim(mlir::OpOperand &use);

/// Gives the weight and its readers another type, whose dimensions are known.
void setWeightType(kernel::WeightOp weight, mlir::RankedTensorType type,
                   llvm::ArrayRef<mlir::BlockArgument> readers);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_LAYOUT_WEIGHTREADERS_H
