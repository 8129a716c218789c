// The loops of one stage of a schedule.

#ifndef TENON_LIB_CODEGEN_GPU_STAGEEMITTER_H
#define TENON_LIB_CODEGEN_GPU_STAGEEMITTER_H

#include "StageSchedule.h"
#include "ThreadEmitter.h"

namespace tenon {

/// A block does one row of the stage, or, where the stage is flat, as many
/// elements as it has threads. Scratch holds whole tensors.
class StageEmitter : public ThreadEmitter {
public:
  StageEmitter(KernelProgram &program, const StageSchedule &schedule,
               const StagePlan &stage, KernelFrame &frame);

  /// Adds the code of block number `begin` to the frame; returns the grid.
  mlir::AffineExpr emit();

protected:
  bool isForwarded(int storage) const override {
    return schedule.isForwarded(storage);
  }
  /// Combines two values of result `index` of a reduction.
  mlir::Value combine(mlir::OpBuilder &builder, const Step &step,
                      unsigned index, mlir::Value x, mlir::Value y);
  mlir::Value getNeutral(mlir::OpBuilder &builder, const Step &step,
                         unsigned index);

  const StageSchedule &schedule;
  const StagePlan &stage;
  llvm::DenseMap<int, mlir::Value>
      rowValues; // of storages, known to all threads

private:
  void enterRow(ThreadBuilder &b);
  void emitWide(ThreadBuilder &b, const ThreadGroup &group);
  void emitFlat(ThreadBuilder &b, const ThreadGroup &group);
  void emitGroup(ThreadBuilder &b, const ThreadGroup &group);
  void emitThreads(ThreadBuilder &b, const ThreadGroup &group);
  mlir::Value getRuns(const ThreadGroup &group);
  /// Enters element `number` of a run.
  void enterNeighbour(ThreadBuilder &b, mlir::Value run, unsigned number,
                      const ThreadGroup &group);
  void shareOnlyLoop(ThreadBuilder &b);
  void emitTogether(ThreadBuilder &b, const ThreadGroup &group);
  void storeRowValue(ThreadBuilder &b, const Step &step, Values values);
  mlir::Value combineBlock(ThreadBuilder &b, const Step &step, unsigned index,
                           mlir::Value sum);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_STAGEEMITTER_H
