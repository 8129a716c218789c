#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSPACE_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSPACE_H

#include "Lowering.h"

namespace tenon {

/// What changes nothing where it is combined: 0, 1, or the end of the type's range.
mlir::TypedAttr getNeutral(llvm::StringRef combine, mlir::Type sumType,
                           ElementKind kind);
/// value / count, of which `count` is an index.
mlir::Value divideByCount(const ScalarContext &c, mlir::Value value,
                          mlir::Value count);

/// The iteration space of a launch that reduces some axes ("inner") and keeps
/// the others ("outer"): every generic of such a launch is over the full space
/// or over the outer one, so that codegen can run them row by row.
class RowSpace {
public:
  using Access = LaunchBuilder::Access;
  using Body =
      llvm::function_ref<mlir::Value(const ScalarContext &, mlir::ValueRange)>;

  RowSpace(Lowering &lowering, mlir::Operation *op, Dims dims,
           llvm::ArrayRef<int64_t> innerAxes);

  /// Dimensions of a reduced tensor.
  Dims outerDims() const;
  /// Opens the space within a launch on elements of `element`.
  void enter(LaunchBuilder &launch, mlir::Type element, ElementKind kind);

  /// Reads a tensor of the full space, of the outer one, or one that
  /// broadcasts (dimensions `dims`, aligned at the end).
  Access full(mlir::Value tensor) const { return {tensor, fullMap}; }
  Access outer(mlir::Value tensor) const { return {tensor, outerMap}; }
  Access broadcast(mlir::Value tensor,
                   llvm::ArrayRef<mlir::AffineExpr> dims) const;

  /// Reduces `emit` of the elements with the scalar operator `combine`; the
  /// result is of the accumulator's type.
  mlir::Value reduce(llvm::StringRef combine, llvm::ArrayRef<Access> inputs,
                     Body emit);
  mlir::Value reduceMax(mlir::Value tensor);
  mlir::Value mapOuter(llvm::ArrayRef<Access> inputs, mlir::Value target,
                       Body emit);
  mlir::Value mapFull(llvm::ArrayRef<Access> inputs, mlir::Value target,
                      Body emit);
  /// An uninitialised tensor of the full space in the accumulator's type.
  mlir::Value emptyFull();
  /// value / number of reduced elements.
  mlir::Value divideByCount(const ScalarContext &c, mlir::Value value) const;

private:
  mlir::Value map(llvm::ArrayRef<Access> inputs, Access target, Body emit);
  ScalarContext context(mlir::OpBuilder &builder, mlir::Location loc) const;
  /// Floats under 32 bits as f32.
  mlir::Value widen(mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value value) const;

  Lowering &lowering;
  mlir::Operation *op;
  Dims dims;
  llvm::SmallVector<int64_t> innerAxes;
  mlir::AffineMap fullMap, outerMap;
  LaunchBuilder *launch = nullptr;
  mlir::Type sumType;
  ElementKind kind = ElementKind::Float;
  mlir::Value count; // of reduced elements, an index
};

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_ROWSPACE_H
