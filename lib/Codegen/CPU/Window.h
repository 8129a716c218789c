// Reductions of windows that slide along rows: pools, convolutions of single
// channels.

#ifndef TENON_LIB_CODEGEN_CPU_WINDOW_H
#define TENON_LIB_CODEGEN_CPU_WINDOW_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// A read whose windows lie in an image as large as the result: the loop over x
/// runs over the image's positions, one row after the other, and what windows
/// reach beyond is masked.
struct FlatImage {
  unsigned read;
  /// How far a term's element may be from its result along a dimension.
  static constexpr int64_t kMostReach = 1 << 20;
  /// Terms that are worth a mask for each.
  static constexpr int64_t kMostTerms = 64;
  /// Positions of an image that is worth masks for all of them.
  static constexpr int64_t kMostPositions = 1024;
};

/// result[.., y, x] is reduced over a known number of terms, each of elements that lie along x
/// or are the same for all x.
struct Window {
  unsigned x; // its loop
  int y;      // the loop of the windows' next dimension; -1: none
  /// How far apart the elements of neighbouring x lie in each read, or 0.
  llvm::SmallVector<int64_t> strides;
  std::optional<FlatImage> image = std::nullopt;

  /// How many elements each result of a step is reduced from.
  static int64_t countTerms(const Step &step);
  /// Nothing if the step is no such reduction, or one that vectors cannot say.
  static std::optional<Window> find(const KernelProgram &program,
                                    const Step &step);
  /// The only reduction of a program, that of step `number`, if it reads windows
  /// of an image as large as its result: merges the loops over the image's rows
  /// and columns. Where there is none the program is spoilt.
  static std::optional<Window> flatten(KernelProgram &program,
                                       unsigned &number);
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_WINDOW_H
