#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_HEADTENSOR_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_HEADTENSOR_H

#include "Lowering.h"

namespace tenon {

/// A tensor of features by batch, head and token, in either order that ONNX
/// has: [batch, heads, tokens, size] or [batch, tokens, heads * size]; or one
/// part of [batch, tokens, parts, heads, size].
struct HeadTensor {
  mlir::Value value;   // of rank 4 (5: a part), or 3 if its columns are packed
  mlir::AffineMap map; // (batch, head, token, feature) -> position in `value`
  mlir::AffineExpr batch, heads, tokens, size;
  int64_t firstColumn = 0; // of the heads, within packed columns
  bool isPacked = false;

  /// Views `value` so; one of rank 3 has as many heads as attribute `heads` of
  /// `op` says. Fails with an error.
  static mlir::FailureOr<HeadTensor> get(mlir::Operation *op, mlir::Value value,
                                         llvm::StringRef heads,
                                         Lowering &lowering, int64_t part = 0);
  bool isTokensFirst() const { return !map.isIdentity(); }
  /// The map of a tensor in the same order that is no part of another.
  mlir::AffineMap getWholeMap() const;
  /// Dimensions in the order of `value`; not of a packed one.
  Dims dims() const;
  /// Reads (batch, head, token, feature) of `tensor`, which stands for `value`.
  mlir::Value read(mlir::OpBuilder &builder, mlir::Location loc,
                   LaunchBuilder &launch, mlir::Value tensor,
                   mlir::ValueRange position) const;
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_HEADTENSOR_H
