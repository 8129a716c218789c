// Rows whose elements stay in registers from their loads to their stores.

#ifndef TENON_LIB_CODEGEN_GPU_HELDROWEMITTER_H
#define TENON_LIB_CODEGEN_GPU_HELDROWEMITTER_H

#include "RowForm.h"
#include "StageEmitter.h"

namespace tenon {

/// As many threads as the stage's form says have a row. All loads are made
/// first, at once; sums are each thread's own, in order, then those of all by
/// shuffles.
class HeldRowEmitter : public StageEmitter {
public:
  HeldRowEmitter(KernelProgram &program, const StageSchedule &schedule,
                 const StagePlan &stage, KernelFrame &frame);

  /// Adds the code of block number `begin` to the frame; returns the grid.
  mlir::AffineExpr emit();

private:
  void enter();
  void loadAll();
  void loadElements(const Step &step, const Access &access);
  void emitRowStep(const Step &step);
  void emitElements(const ThreadGroup &group);
  Values emitElement(const Step &step, int64_t number, Values sums);
  mlir::Value getElement(const Step &step, const Access &access,
                         int64_t number);
  void keepRow(const Step &step, Values values);
  mlir::Value reduce(const Step &step, unsigned index, mlir::Value sum);
  void storeElements(const Step &step);
  void storeChunk(const Step &step, const Access &access, int64_t chunk);
  void enterElement(int64_t number);
  void ifInside(mlir::Value condition, llvm::function_ref<void()> body);

  const RowForm &form;
  ThreadBuilder b;
  mlir::Value lane;  // of the row's threads
  mlir::Value isRow; // null where all are
  Values firsts;     // element of each chunk
  Values isInside;   // of each chunk, null where all are
  /// What each of the thread's elements is, as read and as made.
  llvm::SmallVector<std::pair<Place, Values>> held;
  llvm::DenseMap<int, Values> made;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_HELDROWEMITTER_H
