// What emitters of a kernel's groups share: where storages are, where an item
// begins and ends, element access.

#ifndef TENON_LIB_CODEGEN_CPU_ROWEMITTER_H
#define TENON_LIB_CODEGEN_CPU_ROWEMITTER_H

#include "RowSchedule.h"
#include "tenon/Codegen/Program/StepEmitter.h"

namespace tenon {

/// Scratch holds one item: dimensions of row classes are left out, those of
/// blocks are the block's.
class RowEmitter : public StepEmitter {
public:
  RowEmitter(const RowSchedule &schedule, CPUFrame &frame);

  /// Adds loops over items [begin, end) to the frame; returns the grid.
  mlir::AffineExpr emit();

  const RowSchedule &schedule;
  const CPUTarget &target;
  /// First and last plus one of a class within the item.
  std::pair<mlir::Value, mlir::Value> getBounds(int shared);
  /// Loops over the parallel classes of a step within the item that store what
  /// its sums start from.
  void storeInitials(mlir::OpBuilder &builder, const Step &step);

  Values getIndices(mlir::OpBuilder &builder, const Access &access,
                    llvm::ArrayRef<mlir::Value> loops) override;

private:
  using Group = RowSchedule::Group;

  void placeStorages();
  void enterItem(mlir::OpBuilder &builder, mlir::Value item);
  void emitGroup(mlir::OpBuilder &builder, const Group &group);
  bool mayHaveLongRest(int shared, bool isNested) const;
  Values emitLevel(mlir::OpBuilder &builder, const Group &group, unsigned depth,
                   Values sums);
  Values emitSteps(mlir::OpBuilder &builder, const Group &group, Values sums);
  llvm::DenseMap<int, std::pair<mlir::Value, mlir::Value>> bounds; // of blocks
};

/// Emits the item's block of the schedule's contraction: the sums of step
/// `number`.
void emitContraction(RowEmitter &rows, mlir::OpBuilder &builder,
                     unsigned number);

/// Emits the reduction of windows of step `number`.
void emitWindow(RowEmitter &rows, mlir::OpBuilder &builder, unsigned number);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_ROWEMITTER_H
