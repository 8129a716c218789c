// How the steps of a kernel go over blocks and threads, as its schedule says.
// It holds no code.

#ifndef TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H
#define TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H

#include "StageForm.h"
#include "StageGroups.h"

namespace tenon {

/// Rows whose elements stay in registers: a thread has every so many chunks of
/// neighbours.
struct RowForm {
  llvm::SmallVector<int> elements; // classes of loops over a row's elements
  int64_t size = 0;                // of a row
  int64_t width = 1;               // of a chunk
  int64_t threads = 0;             // of a row
  int64_t chunks = 0; // of a thread, the last of some beyond the row's end
  int64_t rows = 1;   // of a block
};

/// Groups that run one after the other in each block of one launch.
struct StagePlan {
  llvm::SmallVector<int> rows; // classes whose elements are blocks
  llvm::SmallVector<ThreadGroup> groups;
  unsigned threads = 256;
  /// The only group's iterations go over the threads of all blocks.
  bool isFlat = false;
  /// With isFlat: so many neighbours along the last class are a thread's, which
  /// reads and writes them at once.
  unsigned width = 1;
  /// With rows and groups of which some reduce together.
  std::optional<RowForm> form;
};

class StageSchedule {
public:
  /// `keepsRowValues`: what has one element a row stays with the row's threads,
  /// which all know it, in place of scratch memory.
  StageSchedule(const KernelProgram &program, llvm::ArrayRef<StageForm> forms,
                bool keepsRowValues = false);

  const KernelProgram &program;
  llvm::SmallVector<StagePlan, 0> stages;
  /// What the kernel has to have in place of these forms; empty if they suit
  /// it.
  std::string wanted;

  /// Whether nothing outside of its group reads the storage, or it is a row's
  /// value that is kept.
  bool isForwarded(int storage) const { return forwarded[storage]; }

private:
  void makeRows(const StageForm &form);
  void makeStages(llvm::ArrayRef<StageForm> forms);
  void makeStage(const StageForm &form, ThreadGroup group);
  void hold(StagePlan &stage, const StageForm &form);
  bool isMultiple(const ThreadGroup &group, int64_t width) const;
  bool isRowValue(int storage, const StagePlan &stage) const;
  void findForwarded();

  const StageGroups groups;
  const bool keepsRowValues;
  llvm::SmallVector<bool> forwarded;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H
