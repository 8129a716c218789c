// Scalar code of kernels in infix form, for operators whose elements are
// computed from their positions: sampling, resizing, trees, transforms.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALAREXPR_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALAREXPR_H

#include "Lowering.h"

namespace tenon {

/// A float, integer, index or truth value within a kernel. Both operands of an
/// operation are of one type, or one is a number; integers are signed.
class ScalarExpr {
public:
  ScalarExpr(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value)
      : builder(&builder), loc(loc), value(value) {}

  operator mlir::Value() const { return value; }
  mlir::Type type() const { return value.getType(); }
  bool isFloat() const { return llvm::isa<mlir::FloatType>(type()); }
  /// A constant of this type.
  ScalarExpr like(double number) const;
  /// Converts to a float, integer or index type; floats towards zero.
  ScalarExpr to(mlir::Type type) const;
  ScalarExpr toIndex() const { return to(builder->getIndexType()); }

  ScalarExpr operator+(ScalarExpr other) const;
  ScalarExpr operator-(ScalarExpr other) const;
  ScalarExpr operator*(ScalarExpr other) const;
  /// Integers: towards zero.
  ScalarExpr operator/(ScalarExpr other) const;
  ScalarExpr operator%(ScalarExpr other) const;
  ScalarExpr operator+(double number) const { return *this + like(number); }
  ScalarExpr operator-(double number) const { return *this - like(number); }
  ScalarExpr operator*(double number) const { return *this * like(number); }
  ScalarExpr operator/(double number) const { return *this / like(number); }
  ScalarExpr operator%(double number) const { return *this % like(number); }
  ScalarExpr operator-() const { return like(0) - *this; }

  ScalarExpr operator<(ScalarExpr other) const;
  ScalarExpr operator<=(ScalarExpr other) const;
  ScalarExpr operator==(ScalarExpr other) const;
  ScalarExpr operator!=(ScalarExpr other) const;
  ScalarExpr operator>(ScalarExpr other) const { return other < *this; }
  ScalarExpr operator>=(ScalarExpr other) const { return other <= *this; }
  ScalarExpr operator<(double number) const { return *this < like(number); }
  ScalarExpr operator<=(double number) const { return *this <= like(number); }
  ScalarExpr operator>(double number) const { return *this > like(number); }
  ScalarExpr operator>=(double number) const { return *this >= like(number); }
  ScalarExpr operator==(double number) const { return *this == like(number); }
  ScalarExpr operator!=(double number) const { return *this != like(number); }
  ScalarExpr operator&(ScalarExpr other) const;
  ScalarExpr operator|(ScalarExpr other) const;
  /// Of a truth value.
  ScalarExpr operator!() const;
  ScalarExpr select(ScalarExpr yes, ScalarExpr no) const;

  ScalarExpr min(ScalarExpr other) const;
  ScalarExpr max(ScalarExpr other) const;
  /// Within [low, high]; a NaN becomes `low`. What reads a tensor at a place
  /// that was computed from data clamps it first.
  ScalarExpr clamp(ScalarExpr low, ScalarExpr high) const;
  ScalarExpr abs() const;
  ScalarExpr floor() const;
  ScalarExpr ceil() const;
  ScalarExpr roundEven() const;
  ScalarExpr sqrt() const;
  ScalarExpr exp() const;
  ScalarExpr sin() const;
  ScalarExpr cos() const;
  ScalarExpr tanh() const;
  ScalarExpr pow(ScalarExpr exponent) const;

private:
  template <typename Op>
  ScalarExpr unary() const;
  template <typename FloatOp, typename IntOp>
  ScalarExpr binary(ScalarExpr other) const;

  mlir::OpBuilder *builder;
  mlir::Location loc;
  mlir::Value value;
};

/// Emits scalar code at one place, which moves into the loops that it opens.
class ScalarCode {
public:
  using Exprs = llvm::SmallVector<ScalarExpr, 4>;

  ScalarCode(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  ScalarExpr operator()(mlir::Value value) { return {builder, loc, value}; }
  ScalarExpr constant(mlir::Type type, double number);
  ScalarExpr index(int64_t number) {
    return constant(builder.getIndexType(), number);
  }
  ScalarExpr truth(bool value);
  mlir::Type f32() { return builder.getF32Type(); }

  ScalarExpr read(mlir::Value tensor, llvm::ArrayRef<ScalarExpr> at);
  /// The state after `body(i, state)` for i in [low, high).
  Exprs
  loop(ScalarExpr low, ScalarExpr high, llvm::ArrayRef<ScalarExpr> state,
       llvm::function_ref<Exprs(ScalarExpr, llvm::ArrayRef<ScalarExpr>)> body);
  /// The state when `holds(state)` no longer does.
  Exprs
  loopWhile(llvm::ArrayRef<ScalarExpr> state,
            llvm::function_ref<ScalarExpr(llvm::ArrayRef<ScalarExpr>)> holds,
            llvm::function_ref<Exprs(llvm::ArrayRef<ScalarExpr>)> body);
  /// Only the chosen side is executed.
  Exprs chooseAll(ScalarExpr condition, llvm::function_ref<Exprs()> yes,
                  llvm::function_ref<Exprs()> no);
  ScalarExpr choose(ScalarExpr condition, llvm::function_ref<ScalarExpr()> yes,
                    llvm::function_ref<ScalarExpr()> no);

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

/// Any number as a float of type `real`.
ScalarExpr toReal(ScalarCode &code, mlir::Value number, ElementKind kind,
                  mlir::Type real);
/// A float as `type`: rounded and saturated where that is an integer type.
ScalarExpr fromReal(ScalarCode &code, ScalarExpr number, mlir::Type type,
                    ElementKind kind);

/// The result whose element at each position `emit` makes; converted to the
/// result's type.
mlir::Value mapPositions(
    LaunchBuilder &launch,
    llvm::function_ref<ScalarExpr(ScalarCode &, llvm::ArrayRef<ScalarExpr>)>
        emit);

/// `target`, a tensor of rank 1, after target[place] = element for the pairs
/// (place, element) that `emit` makes for 0 to `count`, in order.
mlir::Value
scatter(LaunchBuilder &launch, mlir::Value count, mlir::Value target,
        llvm::function_ref<std::pair<ScalarExpr, ScalarExpr>(ScalarCode &,
                                                             ScalarExpr)>
            emit);

/// `tensor` in a larger one of `dims`, `filler` behind it on every axis.
mlir::Value extend(mlir::Location loc, mlir::Value tensor,
                   llvm::ArrayRef<mlir::AffineExpr> dims, double filler,
                   Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALAREXPR_H
