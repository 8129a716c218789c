// Which steps of a kernel may run together. It holds no code, and chooses
// nothing.

#ifndef TENON_LIB_CODEGEN_GPU_STAGEGROUPS_H
#define TENON_LIB_CODEGEN_GPU_STAGEGROUPS_H

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

class StageGroups {
public:
  explicit StageGroups(const KernelProgram &program) : program(program) {}

  /// Parallel loops that every step has and no scratch must be whole along.
  llvm::SmallVector<int> getRows() const;
  /// Whether threads of a row can make the step's sum together.
  bool canReduceTogether(unsigned index, llvm::ArrayRef<int> rows) const;
  /// The steps in as few groups as can be; the sums of those of `together` are
  /// made by all threads of a row.
  llvm::SmallVector<ThreadGroup> make(llvm::ArrayRef<int> rows,
                                      llvm::ArrayRef<int64_t> together) const;
  void orderSpread(ThreadGroup &group) const;
  /// Whether neighbours along the group's last class lie side by side in all
  /// that its steps read and write, or are one element.
  bool canBeWide(const ThreadGroup &group) const;

private:
  llvm::SmallVector<int> getParallel(const Step &step,
                                     llvm::ArrayRef<int> rows) const;
  int getUnitClass(const Step &step) const;
  bool joins(const Step &step, const ThreadGroup &group) const;
  ThreadGroup startGroup(unsigned index, llvm::ArrayRef<int> rows,
                         llvm::ArrayRef<int64_t> together) const;

  const KernelProgram &program;
};

/// The operation that joins result `index` of a reduction's element with the
/// sum so far, if it is one that allows any order; else null.
mlir::Operation *getCombiner(const Step &step, unsigned index);

/// Whether these are the same classes in any order.
bool haveSameClasses(llvm::ArrayRef<int> a, llvm::ArrayRef<int> b);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_STAGEGROUPS_H
