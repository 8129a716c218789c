#ifndef TENON_LIB_PIPELINES_TARGETS_H
#define TENON_LIB_PIPELINES_TARGETS_H

#include "tenon/Target/CPU/CompileKernels.h"
#include "tenon/Target/NVPTX/CompileKernels.h"

#include "mlir/IR/Location.h"

namespace tenon {

/// What code is generated for; empty where the device has none.
struct Targets {
  llvm::SmallVector<CPUTarget> cpu;
  llvm::SmallVector<GPUTarget> gpu;
};

/// The targets that --target names, a list: of the CPU all portable ones ("cpu"), the
/// best of them for this machine ("cpu:host"), or one ("cpu:x86-64-v3"); of GPUs the
/// baseline, unless `withBaseline` says not, and all others ("cuda") or one
/// ("cuda:sm_90a"). A failure is emitted at `loc`.
mlir::FailureOr<Targets> selectTargets(llvm::StringRef names, bool withBaseline,
                                       mlir::Location loc);

} // namespace tenon

#endif // TENON_LIB_PIPELINES_TARGETS_H
