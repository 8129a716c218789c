#ifndef TENON_LIB_TRANSFORMS_KVCACHE_FINDRECURRENT_H
#define TENON_LIB_TRANSFORMS_KVCACHE_FINDRECURRENT_H

#include "dialects/KV/KVDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/SmallSet.h"

namespace tenon {

class ShapeAnalysis;

/// Inputs of fixed size that outputs replace: see FindCachesPass.
class RecurrentFinder {
public:
  RecurrentFinder(mlir::func::FuncOp function, mlir::ModuleOp module,
                  int64_t snapshots);

  /// To be called before anything is a cache, as sizes are not followed through
  /// operations of `kv`.
  mlir::LogicalResult collect();
  /// Makes `kv.read` and `kv.replace` of what is no cache.
  void rewrite();
  /// Makes `kv.replace` of what begins states that other functions read.
  void rewriteFirstSteps();

private:
  struct Pair {
    mlir::BlockArgument past;
    mlir::OpOperand *present;
    mlir::StringRef obstacle; // of its sizes; nothing if none
    mlir::SmallVector<mlir::StringAttr>
        dims; // names of those that are not fixed
  };

  /// An output whose state the function does not read.
  struct First {
    mlir::OpOperand *present;
    mlir::ArrayAttr dims; // of the inputs that its dimensions are those of
  };

  void collectByName();
  void collectFirstSteps(const ShapeAnalysis &shapes);
  void collectByOperator();
  void add(mlir::BlockArgument past, mlir::OpOperand &present);
  void checkSizes(Pair &pair, const ShapeAnalysis &shapes);
  bool isGiven(mlir::StringRef dim);
  mlir::StringRef rewrite(const Pair &pair);
  void replace(mlir::OpOperand &present, mlir::StringRef state);
  kv::StateOp getState(mlir::StringRef name, mlir::RankedTensorType tensor);
  mlir::StringRef getName(mlir::BlockArgument argument);
  mlir::StringRef getName(mlir::OpOperand &result);

  mlir::func::FuncOp function;
  mlir::ModuleOp module;
  int64_t snapshots;
  mlir::Operation *end;
  mlir::SmallVector<Pair> pairs;
  mlir::SmallVector<First> firsts;
  llvm::SmallSet<unsigned, 8> arguments, results; // of pairs
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_KVCACHE_FINDRECURRENT_H
