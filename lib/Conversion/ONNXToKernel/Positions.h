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

/// Attribute `axis` counted from the front.
int64_t getAxis(mlir::Operation *op, int64_t otherwise, int64_t rank);

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

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_POSITIONS_H
