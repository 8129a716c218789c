#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H

#include "Lowering.h"
#include "ScalarExpr.h"

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
  /// `input` with `value` around it, at least as large as the windows reach.
  mlir::Value pad(mlir::Value input, mlir::TypedAttr value);
  /// Whether padWithin can.
  bool canPadWithin() const { return stayInside() || coverInput(); }
  /// Whether the launch that reads windows of images of so many channels is to
  /// pad them, and no launch before.
  bool areToPadWithin(mlir::AffineExpr channels) const;
  /// Input `input` of a launch with zeros around it, within the launch; its
  /// spatial dimensions, of `sizes`, are those of `dims` from `first` on.
  mlir::Value padWithin(LaunchBuilder &launch, unsigned input,
                        llvm::ArrayRef<mlir::AffineExpr> sizes,
                        llvm::ArrayRef<mlir::AffineExpr> dims, unsigned first,
                        mlir::TypedAttr value = {});
  int64_t getStride(unsigned axis) const { return strides[axis]; }
  int64_t getDilation(unsigned axis) const { return dilations[axis]; }
  /// Where canPadWithin: the pad before an axis, and the axis' padded size.
  mlir::AffineExpr getBefore(unsigned axis) const { return before[axis]; }
  mlir::AffineExpr getPadded(unsigned axis, mlir::AffineExpr size) const;
  /// Each sum over the number of window elements inside the input of
  /// `inputDims`, or inside the padded input; as `element`.
  mlir::Value divideByCounts(mlir::Value sums, mlir::Type element,
                             llvm::ArrayRef<mlir::AffineExpr> inputDims,
                             bool includesPads);
  /// The size that `size` windows were taken from, pads left out.
  mlir::AffineExpr pooledSize(unsigned axis, mlir::AffineExpr size) const {
    return (size - 1) * strides[axis] + kernel[axis] - before[axis] -
           after[axis];
  }

private:
  bool coverInput() const;
  bool stayInside() const;
  mlir::Value padWhole(mlir::Value input,
                       llvm::ArrayRef<mlir::AffineExpr> padded,
                       mlir::TypedAttr value);
  friend class WindowWalk;
  /// The pads before and after the input, at least 0, as values of a launch.
  mlir::Value padBefore(LaunchBuilder &launch, unsigned axis) const;
  mlir::Value padAfter(LaunchBuilder &launch, unsigned axis) const;
  void readPads(llvm::ArrayRef<mlir::AffineExpr> inputDims);

  mlir::Operation *op;
  Lowering &lowering;
  llvm::SmallVector<mlir::AffineExpr> kernel, output;
  llvm::SmallVector<int64_t> strides, dilations;
  llvm::SmallVector<mlir::AffineExpr> before; // pads
  llvm::SmallVector<mlir::AffineExpr> after;  // pads that the model asks for
};

/// Visits the elements of a window of the input itself, pads left out.
class WindowWalk {
public:
  /// Given an element's position, clamped into the input, and whether it is
  /// inside.
  using Visitor = llvm::function_ref<ScalarCode::Exprs(
      llvm::ArrayRef<ScalarExpr> position, ScalarExpr inside,
      llvm::ArrayRef<ScalarExpr> state)>;

  WindowWalk(const Windows &windows, LaunchBuilder &launch,
             llvm::ArrayRef<mlir::AffineExpr> inputDims);
  /// The input's size on a spatial axis.
  mlir::Value size(unsigned axis) const { return sizes[axis]; }
  /// The state after all elements of the window for the output's position `at`.
  ScalarCode::Exprs visit(ScalarCode &code, llvm::ArrayRef<ScalarExpr> at,
                          llvm::ArrayRef<ScalarExpr> state, Visitor visitor);

private:
  ScalarCode::Exprs visitFrom(unsigned axis, ScalarCode &code,
                              ScalarCode::Exprs position, ScalarExpr inside,
                              llvm::ArrayRef<ScalarExpr> state,
                              Visitor visitor);

  const Windows &windows;
  llvm::SmallVector<mlir::Value> sizes, starts, counts;
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_WINDOWS_H
