// The instruction sets that CPU code is generated for.

#ifndef TENON_CODEGEN_CPU_CPUTARGET_H
#define TENON_CODEGEN_CPU_CPUTARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <string>

namespace tenon {

struct CPUTarget {
  std::string name;
  std::string cpu; // LLVM's name: "x86-64-v3"
  /// What the machine must have, as the artifact's manifest spells it.
  llvm::SmallVector<std::string> features;
  unsigned vectorBits;
  /// A program has more bytes of weights than a cache holds until its next run.
  bool streamsWeights = false;
};

/// What an artifact holds unless told otherwise: x86-64-v3 and x86-64-v4.
llvm::ArrayRef<CPUTarget> getPortableCPUTargets();

} // namespace tenon

#endif // TENON_CODEGEN_CPU_CPUTARGET_H
