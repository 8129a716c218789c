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

private:
  struct Pair {
    mlir::BlockArgument past;
    mlir::OpOperand *present;
    mlir::StringRef obstacle; // of its sizes; nothing if none
    mlir::SmallVector<mlir::StringAttr>
        dims; // names of those that are not fixed
  };

  void collectByName();
  void collectByOperator();
  void add(mlir::BlockArgument past, mlir::OpOperand &present);
  void checkSizes(Pair &pair, const ShapeAnalysis &shapes);
  bool isGiven(mlir::StringRef dim);
  mlir::StringRef rewrite(const Pair &pair);
  kv::StateOp getState(mlir::StringRef name, mlir::RankedTensorType tensor);
  mlir::StringRef getName(mlir::BlockArgument argument);
  mlir::StringRef getName(mlir::OpOperand &result);

  mlir::func::FuncOp function;
  mlir::ModuleOp module;
  int64_t snapshots;
  mlir::Operation *end;
  mlir::SmallVector<Pair> pairs;
  llvm::SmallSet<unsigned, 8> arguments, results; // of pairs
};

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_KVCACHE_FINDRECURRENT_H
