#include "tenon/Codegen/GPU/GPUTarget.h"

using namespace tenon;

llvm::ArrayRef<GPUTarget> tenon::getGPUTargets() {
  // PTX 7.1 came with CUDA 11.1, PTX 8.0 with 12.0.
  static const GPUTarget targets[] = {
      {"sm_80", "+ptx71", 80, false, 11010},
      {"sm_90a", "+ptx80", 90, true, 12000},
  };
  return targets;
}
