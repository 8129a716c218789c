#ifndef TENON_LIB_TRANSFORMS_PLAN_HOMES_H
#define TENON_LIB_TRANSFORMS_PLAN_HOMES_H

#include "dialects/Plan/PlanDialect.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace tenon::plan {

/// The value whose bytes `value` shows.
mlir::Value getRoot(mlir::Value value);

/// Which values must be in one place, and which in an output. Values of one place
/// have one *home*: the value that is written there first.
class Homes {
public:
  /// Inserts copies where a value has to be in a place that it is not made in: an
  /// output, the result of a branch, what a loop carries.
  explicit Homes(mlir::func::FuncOp function);

  /// The home of a value; an argument's or a weight's is the value itself.
  mlir::Value get(mlir::Value value) const;
  /// Output number -> home; null where the caller does not see the result.
  const llvm::SmallVector<mlir::Value> &getOutputs() const { return outputs; }
  /// The home of a loop's condition.
  mlir::Value getCondition(LoopOp loop) const {
    return conditions.lookup(loop);
  }

private:
  void placeBlock(mlir::Block &block);
  void placeIf(IfOp branch);
  void placeLoop(LoopOp loop);
  void placeBody(LoopOp loop, llvm::ArrayRef<mlir::Value> carried);
  void placeInsert(InsertOp insert);
  void placeLaunch(LaunchOp launch);
  /// `target`, or a copy of it where another value needs it as it is.
  mlir::Value ownTarget(mlir::Operation *op, mlir::Value target);
  void saveStates(ReturnOp end);
  void placeOutputs(ReturnOp end);
  mlir::Value homeOfInit(LoopOp loop, mlir::Value init);
  mlir::Value copyBefore(mlir::Operation *op, mlir::Value value);
  bool isFree(mlir::Value home, mlir::Block *block) const;

  llvm::DenseMap<mlir::Value, mlir::Value> shared; // root -> towards its home
  llvm::DenseSet<mlir::Value> taken; // homes whose place is settled
  llvm::DenseSet<mlir::Value> written; // copies made to be written over
  llvm::DenseMap<mlir::Operation *, mlir::Value> conditions;
  llvm::SmallVector<mlir::Value> outputs;
};

} // namespace tenon::plan

#endif // TENON_LIB_TRANSFORMS_PLAN_HOMES_H
