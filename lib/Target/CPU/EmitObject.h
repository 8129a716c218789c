// The steps from the LLVM dialect to a shared object.

#ifndef TENON_LIB_TARGET_CPU_EMITOBJECT_H
#define TENON_LIB_TARGET_CPU_EMITOBJECT_H

#include "tenon/Codegen/CPU/CPUTarget.h"

#include "mlir/IR/BuiltinOps.h"

#include <vector>

namespace tenon {

/// A kernel's name, the symbol its function gets, and how many buffers and symbols it
/// takes.
struct KernelSignature {
  std::string name, symbol;
  unsigned numBuffers, numSymbols;
};

/// A relocatable object with a function of the runtime's ABI for each kernel.
mlir::FailureOr<llvm::SmallVector<char>>
emitObject(mlir::ModuleOp module, llvm::ArrayRef<KernelSignature> kernels,
           const CPUTarget &target);

/// A shared object of `objects`, needing no other.
mlir::FailureOr<std::vector<char>>
linkSharedObject(llvm::ArrayRef<llvm::SmallVector<char>> objects,
                 mlir::Location loc);

} // namespace tenon

#endif // TENON_LIB_TARGET_CPU_EMITOBJECT_H
