// Images with channels last, as launches on GPUs have them.

#ifndef TENON_DIALECTS_KERNEL_CHANNELSLAST_H
#define TENON_DIALECTS_KERNEL_CHANNELSLAST_H

#include "mlir/IR/AffineMap.h"

namespace tenon::kernel {

/// On a launch that does nothing but move channels to the last place (true), or
/// from there (false).
constexpr llvm::StringLiteral kTurnsChannelsAttr = "kernel.turns_channels";

/// (n, c, spatial...) -> (n, spatial..., c)
inline mlir::AffineMap getChannelsLast(unsigned rank,
                                       mlir::MLIRContext *context) {
  llvm::SmallVector<unsigned> order = {0};
  for (unsigned i = 2; i < rank; ++i)
    order.push_back(i);
  order.push_back(1);
  return mlir::AffineMap::getPermutationMap(order, context);
}

} // namespace tenon::kernel

#endif // TENON_DIALECTS_KERNEL_CHANNELSLAST_H
