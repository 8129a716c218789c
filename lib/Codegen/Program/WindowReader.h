// Finds windows of an image in a sum of products, before its loops merge.

#ifndef TENON_LIB_CODEGEN_PROGRAM_WINDOWREADER_H
#define TENON_LIB_CODEGEN_PROGRAM_WINDOWREADER_H

#include "tenon/Codegen/Program/Contraction.h"

namespace tenon {

class WindowReader {
public:
  WindowReader(const KernelProgram &program, const Step &step)
      : program(program), step(step) {}

  /// Whether one factor has windows of an image with channels last.
  bool read();
  /// The windows once loops have merged, if all that must be one loop is.
  std::optional<ImageWindows> getMerged(const Contraction &merged) const;

private:
  /// An index as a sum: what a parallel loop and a reduced one add, and the
  /// rest.
  struct Sum {
    int parallel = -1, reduced = -1;
    int64_t parallelFactor = 0, reducedFactor = 0;
    mlir::AffineExpr rest;
  };
  std::optional<Sum> split(mlir::AffineExpr index) const;
  bool addTerm(mlir::AffineExpr term, Sum &sum) const;
  bool readAxis(const Access &access, unsigned dim);
  bool readChannels(const Access &access, const Access &filters);
  bool followsOrder(const Access &result) const;

  const KernelProgram &program;
  const Step &step;
  ImageWindows windows;
  llvm::SmallVector<int> outputs, kernels; // loops, then classes
  int image = -1, channels = -1, group = -1;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_PROGRAM_WINDOWREADER_H
