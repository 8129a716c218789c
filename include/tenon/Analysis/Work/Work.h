// How much arithmetic a program does and how many bytes it moves, as
// expressions over symbols.

#ifndef TENON_ANALYSIS_WORK_WORK_H
#define TENON_ANALYSIS_WORK_WORK_H

#include "dialects/Kernel/KernelDialect.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Analysis/Shapes/Polynomial.h"

#include <string>
#include <vector>

namespace tenon {

/// Floating-point operations, each of arith and math one, and the bytes that
/// have to be read and written. Operands are read once, those that are only
/// indexed once for each index; what stays within a kernel moves nothing.
struct Work {
  explicit Work(mlir::MLIRContext *context)
      : flops(context), bytesRead(context), bytesWritten(context) {}

  Polynomial flops, bytesRead, bytesWritten;
  /// False where something ran an unknown number of times and was counted once.
  bool isComplete = true;

  Work &operator+=(const Work &other);
  Work operator*(const Polynomial &times) const;
};

/// Of one run, over the kernel's own symbols.
Work computeWork(kernel::FuncOp kernel);

/// One launch of a program with the work of all its runs.
struct LaunchWork {
  plan::LaunchOp launch;
  Work work;
};

struct ProgramWork {
  std::vector<LaunchWork> launches;
  /// Of the launches and of what the plan itself copies. Both sides of an `if`
  /// count, and a loop's body as often as it runs.
  Work total;
};

/// Of one run of a plan-level function, over the function's symbols.
ProgramWork computeWork(mlir::func::FuncOp function);

} // namespace tenon

#endif // TENON_ANALYSIS_WORK_WORK_H
