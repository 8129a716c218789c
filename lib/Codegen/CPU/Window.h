// Reductions of windows that slide along rows: pools, convolutions of single
// channels.

#ifndef TENON_LIB_CODEGEN_CPU_WINDOW_H
#define TENON_LIB_CODEGEN_CPU_WINDOW_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// result[.., y, x] is reduced over few terms, each of elements that lie along x
/// or are the same for all x.
struct Window {
  unsigned x; // its loop
  int y;      // the loop of the windows' next dimension; -1: none
  /// How far apart the elements of neighbouring x lie in each read, or 0.
  llvm::SmallVector<int64_t> strides;

  /// Nothing if the step is no such reduction, or one that vectors cannot say.
  static std::optional<Window> find(const KernelProgram &program,
                                    const Step &step);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_WINDOW_H
