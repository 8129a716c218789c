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

/// A relocatable object file.
using Object = llvm::SmallVector<char>;

/// An object with a function of the runtime's ABI for each kernel.
mlir::FailureOr<Object> emitObject(mlir::ModuleOp module,
                                   llvm::ArrayRef<KernelSignature> kernels,
                                   const CPUTarget &target);

/// Whether the code generator made calls of itself, as of memcpy. Few kernels have any, and
/// what it calls takes longer to compile than a small kernel: one object has it for all.
bool callsRuntimeFunctions(const Object &object);

mlir::FailureOr<Object> emitRuntimeFunctions(const CPUTarget &target,
                                             mlir::Location loc);

/// A shared object of `objects`, needing no other.
mlir::FailureOr<std::vector<char>> linkSharedObject(llvm::ArrayRef<Object> objects,
                                                    mlir::Location loc);

} // namespace tenon

#endif // TENON_LIB_TARGET_CPU_EMITOBJECT_H
