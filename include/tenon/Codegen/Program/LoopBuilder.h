// Short names for what hand-made loop nests consist of.

#ifndef TENON_CODEGEN_PROGRAM_LOOPBUILDER_H
#define TENON_CODEGEN_PROGRAM_LOOPBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

namespace tenon {

/// Inserts where its builder stands; within a loop's body, in that body.
class LoopBuilder {
public:
  LoopBuilder(mlir::OpBuilder &builder, mlir::Location loc)
      : builder(builder), loc(loc) {}

  mlir::Value index(int64_t value);
  mlir::Value add(mlir::Value a, mlir::Value b);
  mlir::Value sub(mlir::Value a, mlir::Value b);
  mlir::Value mul(mlir::Value a, mlir::Value b);
  mlir::Value div(mlir::Value a, mlir::Value b); // of what is not negative
  mlir::Value rem(mlir::Value a, mlir::Value b);
  mlir::Value min(mlir::Value a, mlir::Value b);
  mlir::Value max(mlir::Value a, mlir::Value b);
  mlir::Value ceilDiv(mlir::Value a, int64_t b);
  mlir::Value isLess(mlir::Value a, mlir::Value b);
  /// item modulo count; item becomes item / count.
  mlir::Value take(mlir::Value &item, mlir::Value count);

  /// Element `at` of a one-dimensional memref, or `width` elements from it.
  mlir::Value load(mlir::Value memory, mlir::Value at);
  mlir::Value load(mlir::Value memory, mlir::Value at, int64_t width);
  void store(mlir::Value value, mlir::Value memory, mlir::Value at);
  mlir::Value splat(mlir::Value scalar, int64_t width);
  /// A constant scalar or vector of floats.
  mlir::Value constant(mlir::Type type, double value);
  /// Between types of floats or of vectors of them; `type` says which.
  mlir::Value convert(mlir::Value value, mlir::Type type);

  using Body = llvm::function_ref<void(mlir::Value)>;
  void forEach(mlir::Value low, mlir::Value high, int64_t step, Body body);
  using Step = llvm::function_ref<llvm::SmallVector<mlir::Value>(
      mlir::Value, mlir::ValueRange)>;
  llvm::SmallVector<mlir::Value> fold(mlir::Value low, mlir::Value high,
                                      int64_t step, mlir::ValueRange start,
                                      Step body);
  void ifElse(mlir::Value condition, llvm::function_ref<void()> then,
              llvm::function_ref<void()> otherwise = nullptr);

  mlir::OpBuilder &builder;
  mlir::Location loc;
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_LOOPBUILDER_H
