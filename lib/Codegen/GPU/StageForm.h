// The schedule of a list of steps: how each stage's steps go over blocks and
// threads. Entries of a kernel's `schedule`, in the stages' order.

#ifndef TENON_LIB_CODEGEN_GPU_STAGEFORM_H
#define TENON_LIB_CODEGEN_GPU_STAGEFORM_H

#include "dialects/Kernel/KernelDialect.h"

#include <string>

namespace tenon {

struct StageForm {
  enum class Kind {
    flat, // elements go over the threads of all blocks
    loop, // a block has an element, whose only loop its threads share
    rows, // a block has a row: the only stage
    held, // some threads have a row, in registers: the only stage
  };
  static constexpr int64_t kThreads = 256;

  Kind kind;
  /// Of a block.
  int64_t threads = kThreads;
  /// Neighbours that a thread takes, which it reads and writes at once where it
  /// can.
  int64_t width = 1;
  /// Of `held`: rows of a block, which have as many threads each.
  int64_t rows = 1;
  /// Of `rows` and `held`: the steps whose sum a row's threads make together.
  llvm::SmallVector<int64_t> together = {};

  bool isOfRows() const { return kind == Kind::rows || kind == Kind::held; }
  /// "held: 4 rows of 32 threads, 8 elements at once".
  std::string describe() const;
};

/// Whether a form is of a stage, as its name says.
bool isStageForm(mlir::Attribute form);

/// What the kernel's schedule says for an architecture; fails where that is no
/// list of forms of stages.
mlir::FailureOr<llvm::SmallVector<StageForm>>
getStageForms(kernel::FuncOp kernel, llvm::StringRef architecture);
void setStageForms(kernel::FuncOp kernel, llvm::StringRef architecture,
                   llvm::ArrayRef<StageForm> forms);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_STAGEFORM_H
