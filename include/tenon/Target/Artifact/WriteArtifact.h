#ifndef TENON_TARGET_ARTIFACT_WRITEARTIFACT_H
#define TENON_TARGET_ARTIFACT_WRITEARTIFACT_H

#include "tenon/Target/CPU/CompileKernels.h"
#include "tenon/Target/NVPTX/CompileKernels.h"

#include "mlir/IR/BuiltinOps.h"

#include <string>

namespace tenon {

struct ArtifactOptions {
  /// The build id of the compiler; goes into the manifest.
  std::string producer;
};

/// The programs of one kind of device and the code of their kernels; one of the two
/// is set.
struct DevicePart {
  mlir::ModuleOp module;
  const CPUCode *cpu = nullptr;
  const GPUCode *gpu = nullptr;
};

/// Writes the plan-level functions of each part's module, each an entry, with the code
/// of their kernels and their weights to the file `path`. The file appears under its
/// name when it is complete, and not at all on failure. Equal input gives equal
/// bytes. Errors are emitted at the operation or the module.
mlir::LogicalResult writeArtifact(llvm::ArrayRef<DevicePart> parts,
                                  llvm::StringRef path,
                                  const ArtifactOptions &options);

} // namespace tenon

#endif // TENON_TARGET_ARTIFACT_WRITEARTIFACT_H
