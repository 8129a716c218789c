#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_LOOPS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_LOOPS_H

#include "Lowering.h"

#include "dialects/Plan/PlanDialect.h"

namespace tenon {

/// A value that each round takes from the one before.
struct LoopState {
  mlir::Value init;             ///< lowered
  mlir::BlockArgument argument; ///< of the onnx body
  unsigned yielded;             ///< number among what the body yields
  mlir::Value result;           ///< of the onnx operation
};

/// A value of which each round gives a slice.
struct LoopOutput {
  unsigned yielded;   ///< number among what the body yields
  mlir::Value result; ///< of the onnx operation
  int64_t axis = 0;   ///< of the result, along which the slices are
  bool reversed = false;
};

/// What Loop and Scan have in common.
struct LoopParts {
  mlir::Operation *op;
  mlir::Block *body;           ///< of onnx operations
  mlir::AffineExpr trips = {}; ///< null: only the condition ends it
  mlir::AffineExpr round = {}; ///< the symbol that counts the rounds
  /// Lowered; null: only the trips end it. The body yields the next one first.
  mlir::Value condition = {};
  llvm::SmallVector<LoopState> states = {};
  llvm::SmallVector<LoopOutput> outputs = {};

  mlir::Value getYielded(unsigned number) const {
    return body->getTerminator()->getOperand(number);
  }
};

/// Lowers a loop. `enter` replaces the body's other arguments, at the start of the
/// new body, whose first argument is the number of the round.
mlir::LogicalResult
lowerLoop(const LoopParts &parts, Lowering &lowering,
          llvm::function_ref<mlir::LogicalResult(mlir::Value round)> enter);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_LOOPS_H
