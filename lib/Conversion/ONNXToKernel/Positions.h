#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_POSITIONS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_POSITIONS_H

#include "Lowering.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace tenon {

/// A generic over the destination whose body makes each element from its
/// position.
mlir::Value fillByPosition(LaunchBuilder &launch,
                           LaunchBuilder::ElementBody emit,
                           unsigned result = 0);

/// An ONNX index as a position on an axis of `size`: negative ones count from
/// the end, and what is out of range is clamped, so that no index read from a
/// tensor leaves the buffer.
mlir::Value normalizeIndex(mlir::OpBuilder &builder, mlir::Location loc,
                           mlir::Value raw, mlir::Value size);

/// An element of `tensor`, or zero where its axis of `size`, which an index was
/// normalized for, is empty.
mlir::Value readNonEmpty(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value tensor, mlir::ValueRange position,
                         mlir::Value size);

/// Arithmetic on indices, for bodies that compute positions.
struct IndexMath {
  mlir::OpBuilder &builder;
  mlir::Location loc;

  mlir::Value constant(int64_t value) const;
  mlir::Value add(mlir::Value a, mlir::Value b) const;
  mlir::Value sub(mlir::Value a, mlir::Value b) const;
  mlir::Value mul(mlir::Value a, mlir::Value b) const;
  mlir::Value div(mlir::Value a, mlir::Value b) const; // both not negative
  mlir::Value rem(mlir::Value a, mlir::Value b) const; // both not negative
  mlir::Value min(mlir::Value a, mlir::Value b) const;
  mlir::Value max(mlir::Value a, mlir::Value b) const;
  mlir::Value clamp(mlir::Value x, mlir::Value low, mlir::Value high) const {
    return min(max(x, low), high);
  }
  mlir::Value compare(mlir::arith::CmpIPredicate predicate, mlir::Value a,
                      mlir::Value b) const;
  mlir::Value select(mlir::Value condition, mlir::Value yes,
                     mlir::Value no) const;
  mlir::Value both(mlir::Value a, mlir::Value b) const;
  mlir::Value either(mlir::Value a, mlir::Value b) const;
  /// A signed integer of any width as an index.
  mlir::Value toIndex(mlir::Value value) const;
  /// An index as an integer of `type`.
  mlir::Value toInteger(mlir::Value value, mlir::Type type) const;
  mlir::Value extract(mlir::Value tensor, mlir::ValueRange position) const;
};

/// Carries `state` through nested loops over [0, extents).
using LoopBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
    mlir::OpBuilder &, mlir::Location, mlir::ValueRange position,
    mlir::ValueRange state)>;
llvm::SmallVector<mlir::Value> emitLoops(mlir::OpBuilder &builder,
                                         mlir::Location loc,
                                         llvm::ArrayRef<mlir::Value> extents,
                                         mlir::ValueRange state, LoopBody body);
/// The state after `body` where `condition` holds, else as it was.
using StateBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(
    mlir::OpBuilder &, mlir::Location)>;
llvm::SmallVector<mlir::Value> emitIf(mlir::OpBuilder &builder,
                                      mlir::Location loc, mlir::Value condition,
                                      mlir::ValueRange state, StateBody body);

/// The elements of an integer operand within a launch: expressions where the
/// shapes know them, else read from the tensor.
class Integers {
public:
  Integers(mlir::Value value, Lowering &lowering);

  bool areKnown() const { return known.has_value(); }
  /// Makes the operand an input of the launch to come, if it has to be read.
  void addTo(llvm::SmallVectorImpl<mlir::Value> &inputs);
  /// How many there are, as an expression.
  mlir::AffineExpr getLength() const { return length; }
  /// An element as an index, at the top of the launch's region.
  mlir::Value get(LaunchBuilder &launch, int64_t element) const;
  /// The same at any place; `element` is an index.
  mlir::Value get(LaunchBuilder &launch, const IndexMath &math,
                  mlir::Value element) const;

private:
  mlir::Value value;
  std::optional<Dims> known;
  mlir::AffineExpr length;
  unsigned rank;
  unsigned input = 0;
};

/// For each axis of `rank`, whether `axes` names it.
llvm::SmallVector<mlir::Value> getAxisMask(LaunchBuilder &launch,
                                           const Integers &axes, unsigned rank);
/// The size of the `wanted`-th axis that is not dropped; -1, which no dimension
/// can be, if not `rank` of them stay.
mlir::Value getKept(LaunchBuilder &launch,
                    llvm::ArrayRef<mlir::AffineExpr> dims,
                    llvm::ArrayRef<mlir::Value> isDropped, mlir::Value wanted,
                    int64_t rank);
/// The only element of a tensor of rank 0 or 1.
mlir::Value extractScalar(const IndexMath &math, mlir::Value tensor);
/// The sizes of `dims` as indices of the launch.
llvm::SmallVector<mlir::Value>
getExtents(LaunchBuilder &launch, llvm::ArrayRef<mlir::AffineExpr> dims);
/// A copy of input `input` in the destination, to be changed in place.
mlir::Value copyToDestination(LaunchBuilder &launch, unsigned input = 0);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_POSITIONS_H
