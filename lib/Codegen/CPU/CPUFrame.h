// The function that a kernel becomes on the CPU, and what it may use there.

#ifndef TENON_LIB_CODEGEN_CPU_CPUFRAME_H
#define TENON_LIB_CODEGEN_CPU_CPUFRAME_H

#include "tenon/Codegen/CPU/CPUTarget.h"
#include "tenon/Codegen/Program/KernelFrame.h"

namespace tenon {

class CPUFrame : public KernelFrame {
public:
  CPUFrame(kernel::FuncOp kernel, mlir::ModuleOp module,
           const CPUTarget &target)
      : KernelFrame(kernel, module), target(target) {}

  const CPUTarget &getTarget() const { return target; }

private:
  const CPUTarget &target;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_CPUFRAME_H
