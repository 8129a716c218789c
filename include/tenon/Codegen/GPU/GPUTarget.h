// The architectures that GPU code is generated for.

#ifndef TENON_CODEGEN_GPU_GPUTARGET_H
#define TENON_CODEGEN_GPU_GPUTARGET_H

#include "llvm/ADT/ArrayRef.h"

#include <string>

namespace tenon {

struct GPUTarget {
  std::string name;     // "sm_90a", as LLVM and ptxas spell it
  std::string features; // LLVM's: "+ptx80"
  unsigned capability;  // ten times the major version plus the minor one
  bool isExact;         // no other architecture runs its code
  unsigned driver;      // the oldest CUDA version of a driver: 12000 for 12.0

  /// Whether it has wgmma, tensor maps and mbarrier transactions.
  bool isHopper() const { return name == "sm_90a"; }
};

/// What may be asked for, the baseline first.
llvm::ArrayRef<GPUTarget> getGPUTargets();

} // namespace tenon

#endif // TENON_CODEGEN_GPU_GPUTARGET_H
