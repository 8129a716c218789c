// What emitters of a kernel's groups share: where storages are, where an item
// begins and ends, element access.

#ifndef TENON_LIB_CODEGEN_CPU_ROWEMITTER_H
#define TENON_LIB_CODEGEN_CPU_ROWEMITTER_H

#include "RowSchedule.h"

namespace tenon {

class RowEmitter {
public:
  RowEmitter(const RowSchedule &schedule, KernelFrame &frame);

  /// Adds loops over items [begin, end) to the frame; returns the grid.
  mlir::AffineExpr emit();

  using Values = llvm::SmallVector<mlir::Value>;

  const RowSchedule &schedule;
  KernelProgram &program;
  KernelFrame &frame;
  mlir::Location loc;

  /// The buffer or scratch of a storage. Scratch holds one item: dimensions of
  /// row classes are left out, those of blocks are the block's.
  mlir::Value getMemory(int storage) const { return memory[storage]; }
  /// First and last plus one of a class within the item.
  std::pair<mlir::Value, mlir::Value> getBounds(int shared);
  /// The value of each loop of a step.
  Values getLoops(const Step &step) const;
  /// The value of an expression over loops and symbols.
  mlir::Value getIndex(mlir::OpBuilder &builder, mlir::AffineExpr expr,
                       llvm::ArrayRef<mlir::Value> loops);
  /// Loops over the parallel classes of a step within the item that store what
  /// its sums start from.
  void storeInitials(mlir::OpBuilder &builder, const Step &step);

  /// Where an access lies in its storage's memory.
  Values getIndices(mlir::OpBuilder &builder, const Access &access,
                    llvm::ArrayRef<mlir::Value> loops);

private:
  using Group = RowSchedule::Group;

  void placeStorages();
  void enterItem(mlir::OpBuilder &builder, mlir::Value item);
  void emitGroup(mlir::OpBuilder &builder, const Group &group);
  Values emitLevel(mlir::OpBuilder &builder, const Group &group, unsigned depth,
                   Values sums);
  Values emitSteps(mlir::OpBuilder &builder, const Group &group, Values sums);
  Values emitBody(mlir::OpBuilder &builder, const Step &step,
                  llvm::ArrayRef<mlir::Value> elements);
  void resolve(mlir::Operation *op, const Step &step);

  mlir::Value load(mlir::OpBuilder &builder, const Access &access,
                   llvm::ArrayRef<mlir::Value> loops);
  void store(mlir::OpBuilder &builder, mlir::Value value, const Access &access,
             llvm::ArrayRef<mlir::Value> loops);
  mlir::Value getZero(mlir::OpBuilder &builder, mlir::Type type);
  mlir::Value getInitial(mlir::OpBuilder &builder, const Step &step,
                         unsigned index);

  Values memory;                             // of each storage
  llvm::DenseMap<int, mlir::Value> position; // of each class's loop
  llvm::DenseMap<int, mlir::Value> computed; // storage -> element, right here
  llvm::DenseMap<int, std::pair<mlir::Value, mlir::Value>> bounds; // of blocks
};

/// Emits the item's block of the schedule's contraction.
void emitContraction(RowEmitter &rows, mlir::OpBuilder &builder);

/// Emits a reduction of windows.
void emitWindow(RowEmitter &rows, mlir::OpBuilder &builder, const Step &step);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_ROWEMITTER_H
