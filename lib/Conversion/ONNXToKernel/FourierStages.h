// Fourier transforms of a known length, in steps of its small factors.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERSTAGES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERSTAGES_H

#include "FourierRadix.h"

namespace tenon {

/// One transform along an axis of many signals.
struct FourierTransform {
  /// Element `n` of the signal that the result's position `at` belongs to, of
  /// getReal's type, from the launch's inputs.
  using Reader =
      std::function<ComplexExpr(LaunchBuilder &, ScalarCode &,
                                llvm::ArrayRef<ScalarExpr> at, ScalarExpr n)>;

  mlir::Location loc;
  int64_t length;
  unsigned axis;          ///< of the result
  Dims dims;              ///< of the result, real and imaginary parts last
  mlir::Type element;     ///< of the result
  mlir::AffineExpr parts; ///< of the signal: 1 if it is real, else 2
  bool isInverse;
  llvm::SmallVector<mlir::Value> inputs;
  Reader read;

  /// The type in which it is computed.
  mlir::Type getReal() const;
};

/// Whether there are stages for that length; else it is to be summed directly.
bool hasFourierStages(int64_t length);
/// Emits a launch for each factor of the length and gives the result, which for
/// inverse transforms is divided by the length.
mlir::Value emitFourierStages(const FourierTransform &transform,
                              Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERSTAGES_H
