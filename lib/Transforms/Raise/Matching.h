// What the patterns that raise ask of values.

#ifndef TENON_LIB_TRANSFORMS_RAISE_MATCHING_H
#define TENON_LIB_TRANSFORMS_RAISE_MATCHING_H

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

namespace tenon {

/// Asks about values of a function whose shapes are known.
class Matching {
public:
  explicit Matching(const ShapeAnalysis &shapes) : shapes(shapes) {}

  /// The only element of a constant, or of an integer tensor that the shapes
  /// determine, also behind Cast, Sqrt, Reciprocal and division of a constant.
  std::optional<double> getScalar(mlir::Value value) const;
  bool isScalar(mlir::Value value, double expected) const {
    std::optional<double> found = getScalar(value);
    return found && *found == expected;
  }
  std::optional<llvm::ArrayRef<mlir::AffineExpr>>
  getDims(mlir::Value value) const {
    return shapes.getDims(value);
  }
  bool haveSameDims(mlir::Value a, mlir::Value b) const;
  std::optional<int64_t> getStaticDim(mlir::Value value, int64_t axis) const;
  /// Axes, counted from the front, of a reduction with keepdims.
  std::optional<llvm::SmallVector<int64_t>>
  getReducedAxes(onnx::ReduceMeanOp op) const;
  /// Integers of a constant operand.
  std::optional<llvm::SmallVector<int64_t>>
  getIntegers(mlir::Value value) const;

private:
  std::optional<double> getElement(mlir::Value value) const;

  const ShapeAnalysis &shapes;
};

/// The source of a Cast between floats, else the value.
mlir::Value skipFloatCast(mlir::Value value);

/// For a commutative operation: `f` of its operands in either order.
template <typename Function>
bool inEitherOrder(mlir::Operation *op, Function f) {
  return f(op->getOperand(0), op->getOperand(1)) ||
         f(op->getOperand(1), op->getOperand(0));
}

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_RAISE_MATCHING_H
