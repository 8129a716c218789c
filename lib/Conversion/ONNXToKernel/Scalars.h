#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALARS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALARS_H

#include "mlir/IR/Builders.h"

namespace tenon {

/// How an element's bits are read; the types themselves are signless.
enum class ElementKind { Float, Signed, Unsigned, Bool };

/// What the scalar code of one operator is emitted from.
struct ScalarContext {
  mlir::OpBuilder &builder;
  mlir::Location loc;
  mlir::Operation *op;
  ElementKind kind;       // of the first operand
  ElementKind resultKind; // of the result
  mlir::Type resultType;

  mlir::Value constant(mlir::Type type, double value) const;
  /// A constant of the type of `like`.
  mlir::Value like(mlir::Value like, double value) const {
    return constant(like.getType(), value);
  }
  /// Attribute `name` of the operator, or `otherwise`.
  double attribute(llvm::StringRef name, double otherwise) const;
  int64_t integer(llvm::StringRef name, int64_t otherwise) const;
  llvm::StringRef string(llvm::StringRef name, llvm::StringRef otherwise) const;
};

using ScalarEmitter = mlir::Value (*)(const ScalarContext &, mlir::ValueRange);

/// The emitter of an elementwise operator of the onnx dialect, or null.
/// Floats are f32 or f64: the caller widens smaller ones.
ScalarEmitter findScalarEmitter(llvm::StringRef name);
llvm::ArrayRef<llvm::StringRef> getScalarEmitterNames();

/// Converts one element between any two numeric types as ONNX's Cast does.
mlir::Value emitCast(const ScalarContext &c, mlir::Value value,
                     ElementKind from, mlir::Type type, ElementKind to);

/// 1 / (1 + exp(-x)).
mlir::Value emitSigmoid(const ScalarContext &c, mlir::Value x);

/// Operators by family, for findScalarEmitter.
struct NamedEmitter {
  llvm::StringRef name;
  ScalarEmitter emit;
};
llvm::ArrayRef<NamedEmitter> getArithmeticEmitters();
llvm::ArrayRef<NamedEmitter> getActivationEmitters();

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_SCALARS_H
