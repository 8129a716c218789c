// Tensors within a launch whose channels move to the last place.

#ifndef TENON_LIB_TRANSFORMS_LAYOUT_TURNTENSORS_H
#define TENON_LIB_TRANSFORMS_LAYOUT_TURNTENSORS_H

#include "dialects/Kernel/KernelDialect.h"

#include "llvm/ADT/SetVector.h"

#include <optional>

namespace tenon {

/// Those of a launch's tensors that can only be turned together.
struct TurnedTensors {
  llvm::SetVector<mlir::Value> tensors;
  llvm::SmallVector<unsigned> arguments; // of the region, among them
};

/// What must be turned with argument `argument` of the launch's region; nothing
/// if something reads or makes it that cannot follow.
std::optional<TurnedTensors> findTurned(kernel::LaunchOp launch,
                                        unsigned argument);

/// The type with channels last.
mlir::RankedTensorType turnType(mlir::Type type);
/// What `list` has for each dimension, channels last.
template <typename Element>
llvm::SmallVector<Element> turnList(llvm::ArrayRef<Element> list) {
  llvm::SmallVector<Element> turned(list.begin(), list.begin() + 1);
  turned.append(list.begin() + 2, list.end());
  turned.push_back(list[1]);
  return turned;
}

/// Turns tensors of the launch's region, with all that reads and makes them,
/// and makes the loops of what writes them follow the new order. Types of
/// operands and results are the caller's.
void turnTensors(kernel::LaunchOp launch, const TurnedTensors &turned);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_LAYOUT_TURNTENSORS_H
