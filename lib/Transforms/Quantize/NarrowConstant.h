#ifndef TENON_LIB_TRANSFORMS_QUANTIZE_NARROWCONSTANT_H
#define TENON_LIB_TRANSFORMS_QUANTIZE_NARROWCONSTANT_H

#include "mlir/IR/BuiltinAttributeInterfaces.h"
#include "mlir/IR/BuiltinTypes.h"

namespace tenon {

/// A constant of f32 in 16 bits.
struct NarrowedConstant {
  mlir::TypedAttr value;
  /// Finite elements that were larger than any finite one of 16 bits.
  int64_t clamped;
  /// The error's root mean square over that of the finite elements.
  double relativeError;
};

/// The largest finite float of `half`, f16 or bf16.
float getLargest(mlir::Type half);

/// Rounds to the nearest, ties to even. A finite element stays finite: beyond
/// the range it becomes the end of the range. Infinities and NaN stay. Fails
/// where the bytes cannot be read or there is no room for the result.
mlir::FailureOr<NarrowedConstant>
narrowConstant(mlir::TypedAttr constant, mlir::Type half, llvm::StringRef name);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_QUANTIZE_NARROWCONSTANT_H
