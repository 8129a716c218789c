#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H

#include "Lowering.h"

namespace tenon {

/// Strides, dilations, pads and kernel size of a windowed operator (Conv,
/// pools) on [batch, channels, spatial...] tensors.
class Windows {
public:
  /// `kernel`: sizes of the window; empty: attribute kernel_shape.
  Windows(mlir::Operation *op, Lowering &lowering,
          llvm::ArrayRef<mlir::AffineExpr> kernel,
          llvm::ArrayRef<mlir::AffineExpr> outputDims);

  unsigned rank() const { return kernel.size(); }
  llvm::ArrayRef<mlir::AffineExpr> kernelDims() const { return kernel; }
  /// The padded input's index for output index `out` and window index `k`.
  mlir::AffineExpr position(unsigned axis, mlir::AffineExpr out,
                            mlir::AffineExpr k) const {
    return out * strides[axis] + k * dilations[axis];
  }
  /// `input` with `value` around it, exactly as large as the windows reach.
  mlir::Value pad(mlir::Value input, mlir::TypedAttr value);
  /// Each sum over the number of window elements inside the input of
  /// `inputDims`, or inside the padded input.
  mlir::Value divideByCounts(mlir::Value sums,
                             llvm::ArrayRef<mlir::AffineExpr> inputDims,
                             bool includesPads);

private:
  void readPads(llvm::ArrayRef<mlir::AffineExpr> inputDims);

  mlir::Operation *op;
  Lowering &lowering;
  llvm::SmallVector<mlir::AffineExpr> kernel, output;
  llvm::SmallVector<int64_t> strides, dilations;
  llvm::SmallVector<mlir::AffineExpr> before; // pads
  llvm::SmallVector<mlir::AffineExpr> after;  // pads that the model asks for
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H
