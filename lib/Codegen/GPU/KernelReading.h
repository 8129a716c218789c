// A kernel read anew into a function of its own, with the contraction in it.

#ifndef TENON_LIB_CODEGEN_GPU_KERNELREADING_H
#define TENON_LIB_CODEGEN_GPU_KERNELREADING_H

#include "tenon/Codegen/Program/Contraction.h"
#include "tenon/Codegen/Program/KernelFrame.h"

namespace tenon {

struct KernelReading {
  KernelReading(kernel::FuncOp kernel, mlir::ModuleOp module,
                const llvm::Twine &name)
      : frame(kernel, module, name),
        program(KernelProgram::read(kernel, frame, /*readsPadded=*/true)) {
    if (program)
      found = Contraction::find(*program, /*takesWindows=*/true);
  }

  /// The contraction's step.
  const Step &getStep() const { return program->steps[found->step]; }
  /// The extent of one of its loops; 1 without a loop.
  mlir::AffineExpr getExtent(int loop) const {
    if (loop < 0)
      return mlir::getAffineConstantExpr(1, program->extents[0].getContext());
    return program->extents[getStep().classes[loop]];
  }

  KernelFrame frame;
  std::optional<KernelProgram> program;
  std::optional<Contraction> found;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_KERNELREADING_H
