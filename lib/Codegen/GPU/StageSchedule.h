// How the steps of a kernel go over blocks and threads. It holds no code.

#ifndef TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H
#define TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// Steps that run in one loop over `spread`, whose iterations go over the
/// threads. A step has `spread` as its parallel loops, and its own reductions
/// within; or, where threads reduce together, as its parallel or its reduced
/// ones. Loops over rows are around all of it.
struct ThreadGroup {
  llvm::SmallVector<unsigned> steps;
  llvm::SmallVector<int> spread; // classes, the contiguous one last
  bool reducesTogether = false;
  /// The threads share the loop within the only step, at one element.
  bool sharesLoop = false;
};

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
  /// `rowThreads`: rows are made by so many threads, where others need them;
  /// what has one element a row stays with these, which all know it, in place
  /// of scratch memory. 0: as rows need.
  explicit StageSchedule(const KernelProgram &program, unsigned rowThreads = 0);

  const KernelProgram &program;
  llvm::SmallVector<StagePlan, 0> stages;

  /// Whether nothing outside of its group reads the storage, or it is a row's
  /// value that is kept.
  bool isForwarded(int storage) const { return forwarded[storage]; }

private:
  llvm::SmallVector<int> getRows() const;
  llvm::SmallVector<int> getParallel(const Step &step,
                                     llvm::ArrayRef<int> rows) const;
  bool canReduceTogether(const Step &step, llvm::ArrayRef<int> rows) const;
  int getUnitClass(const Step &step) const;
  void orderSpread(ThreadGroup &group) const;
  bool joins(const Step &step, const ThreadGroup &group) const;
  llvm::SmallVector<ThreadGroup> makeGroups(llvm::ArrayRef<int> rows) const;
  ThreadGroup startGroup(unsigned index, llvm::ArrayRef<int> rows) const;
  bool fitBlock(llvm::ArrayRef<ThreadGroup> groups) const;
  void chooseThreads(StagePlan &stage) const;
  bool isWide(const Step &step, int shared) const;
  void chooseWidth(StagePlan &stage) const;
  bool sumsAcross(const Step &step) const;
  void makeStages();
  bool isRowValue(int storage, const StagePlan &stage) const;
  void findForwarded();

  const unsigned rowThreads;
  llvm::SmallVector<bool> forwarded;
};

/// The operation that joins result `index` of a reduction's element with the
/// sum so far, if it is one that allows any order; else null.
mlir::Operation *getCombiner(const Step &step, unsigned index);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_STAGESCHEDULE_H
