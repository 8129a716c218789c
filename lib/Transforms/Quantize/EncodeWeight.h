#ifndef TENON_LIB_TRANSFORMS_QUANTIZE_ENCODEWEIGHT_H
#define TENON_LIB_TRANSFORMS_QUANTIZE_ENCODEWEIGHT_H

#include "tenon/Support/StorageFormat.h"

#include "mlir/IR/BuiltinTypes.h"

namespace tenon {

/// How a matrix is cut into blocks.
struct MatrixBlocks {
  /// The axis along which the elements of a block lie, 0 or 1.
  unsigned axis;
  /// Elements of a block; as many as the axis has for one block a line.
  int64_t size;

  int64_t count(mlir::RankedTensorType type) const {
    return llvm::divideCeil(type.getDimSize(axis), size);
  }
  bool isWholeLine(mlir::RankedTensorType type) const {
    return size >= type.getDimSize(axis);
  }
};

/// The operands of a DequantizeLinear.
struct EncodedWeight {
  mlir::TypedAttr integers, scales, zeros; // no zeros: all are the format's own
  /// The error's root mean square over that of the weight.
  double relativeError;
};

/// The floats of 16 or 32 bits that a scale of this element type can have.
const llvm::fltSemantics &getScaleSemantics(mlir::Type element);

/// A matrix of floats of 16 or 32 bits in blocks of `format`. Fails with a
/// reason where it cannot be read, or an element is not finite.
mlir::FailureOr<EncodedWeight> encodeWeight(mlir::TypedAttr weight,
                                            MatrixBlocks blocks,
                                            const BlockedIntegers &format,
                                            llvm::StringRef name,
                                            llvm::StringRef &reason);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_QUANTIZE_ENCODEWEIGHT_H
