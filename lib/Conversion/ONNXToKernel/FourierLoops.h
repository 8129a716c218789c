// Fourier transforms of which only the run tells the length or the axis.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERLOOPS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERLOOPS_H

#include "FourierRadix.h"

namespace tenon {

/// Transforms of signals at (row, column), from [rows, size, columns] to
/// [rows, frequencies, columns].
struct OpenTransform {
  /// Within a launch, as indices.
  struct Sizes {
    mlir::Value rows, columns, size, length, frequencies;
  };
  /// The same as expressions, where they are.
  struct Extents {
    mlir::AffineExpr rows, columns, size, length, frequencies;
  };
  /// Element `n` of a signal, from the launch's inputs.
  using Reader = std::function<ComplexExpr(LaunchBuilder &, ScalarCode &,
                                           const Sizes &, ScalarExpr row,
                                           ScalarExpr column, ScalarExpr n)>;

  mlir::Location loc;
  mlir::Type element; ///< of the result
  bool isInverse;
  mlir::AffineExpr parts;       ///< of the signal: 1 if it is real, else 2
  mlir::AffineExpr resultParts; ///< 2, or 1 for the real part alone
  std::optional<Extents> dims = {};
  /// Where there are none: how many elements hold all signals, and how many
  /// the result has.
  mlir::AffineExpr most = {}, count = {};
  llvm::SmallVector<mlir::Value> inputs = {};     ///< that `read` reads
  llvm::SmallVector<mlir::Value> sizeInputs = {}; ///< that `readSizes` reads
  /// At the top of a launch whose inputs from `first` on are `sizeInputs`; for
  /// where there are no `dims`.
  std::function<Sizes(LaunchBuilder &, unsigned first)> readSizes = {};
  Reader read = {};

  /// The type in which it is computed.
  mlir::Type getReal() const;
};

/// The result in row-major order; inverse ones are divided by the length.
mlir::Value emitFourierLoops(const OpenTransform &transform,
                             Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_FOURIERLOOPS_H
