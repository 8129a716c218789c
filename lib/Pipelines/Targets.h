#ifndef TENON_LIB_PIPELINES_TARGETS_H
#define TENON_LIB_PIPELINES_TARGETS_H

#include "tenon/Target/CPU/CompileKernels.h"

#include "mlir/IR/Location.h"

namespace tenon {

/// The targets that --target names: all portable ones ("cpu"), the best of them for
/// this machine ("cpu:host"), or one ("cpu:x86-64-v3"). A failure is emitted at `loc`.
mlir::FailureOr<llvm::SmallVector<CPUTarget>>
selectCPUTargets(llvm::StringRef name, mlir::Location loc);

} // namespace tenon

#endif // TENON_LIB_PIPELINES_TARGETS_H
