// What becomes of each operation and each value of f32 where a function is
// converted to floats of 16 bits.

#ifndef TENON_LIB_TRANSFORMS_QUANTIZE_FLOATROLES_H
#define TENON_LIB_TRANSFORMS_QUANTIZE_FLOATROLES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringSet.h"

namespace tenon {

/// Whether a value is a tensor of f32.
bool isF32Tensor(mlir::Value value);

/// What an operation becomes.
enum class Treatment {
  /// Moves constants: stays for readers of f32, and has a copy for others.
  copied,
  /// Stays f32, and so does what only it and constants are read by.
  kept,
  /// Stays f32 between casts.
  enclosed,
  /// Is of 16 bits.
  converted,
};

/// What is known of a value of f32.
struct FloatFact {
  Treatment maker = Treatment::converted;
  /// It has many constant elements.
  bool isLarge = false;
  /// A finite element of a constant in it is near or beyond the range.
  bool mayOverflow = false;
};

/// Decides for all operations of a function, before any of them changes.
class FloatRoles {
public:
  /// `half`: f16 or bf16; `stays`: names of operators that stay f32.
  FloatRoles(mlir::Type half, const llvm::StringSet<> &stays)
      : half(half), stays(stays) {}

  void decide(mlir::func::FuncOp function);

  Treatment getTreatment(mlir::Operation *op) const {
    return treatments.lookup(op);
  }
  FloatFact getFact(mlir::Value value) const { return facts.lookup(value); }
  /// Why `op` cannot be of 16 bits; empty if it can.
  llvm::StringRef findObstacle(mlir::Operation *op) const;

private:
  Treatment choose(mlir::Operation *op) const;
  Treatment chooseByOperands(mlir::Operation *op) const;
  FloatFact combine(mlir::Operation *op, Treatment treatment) const;

  mlir::Type half;
  const llvm::StringSet<> &stays;
  llvm::DenseMap<mlir::Operation *, Treatment> treatments;
  llvm::DenseMap<mlir::Value, FloatFact> facts;
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_QUANTIZE_FLOATROLES_H
