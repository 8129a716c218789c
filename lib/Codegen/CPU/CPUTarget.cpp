#include "tenon/Codegen/CPU/CPUTarget.h"

using namespace tenon;

llvm::ArrayRef<CPUTarget> tenon::getPortableCPUTargets() {
  static const CPUTarget targets[] = {
      {"x86-64-v3", "x86-64-v3", {"avx2", "fma", "f16c", "bmi2"}, 256},
      {"x86-64-v4",
       "x86-64-v4",
       {"avx2", "fma", "f16c", "bmi2", "avx512f", "avx512bw", "avx512dq",
        "avx512vl", "avx512cd"},
       512}};
  return targets;
}
