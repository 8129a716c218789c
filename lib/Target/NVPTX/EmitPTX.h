// The steps from the LLVM dialect to a PTX text.

#ifndef TENON_LIB_TARGET_NVPTX_EMITPTX_H
#define TENON_LIB_TARGET_NVPTX_EMITPTX_H

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// A function of the module, the symbol that the kernel calling it gets, and
/// what it takes.
struct StageSignature {
  std::string body, symbol;
  unsigned numInputs, numBuffers, numSymbols, numMaps;
  unsigned threads;
  unsigned residents; // blocks that a multiprocessor must hold; 0: any
  /// The kernel may be launched while what was launched before still runs (from
  /// sm_90 on), and waits for that: first of all, or within its body.
  bool mustWait, waitsInBody;
  /// Of each symbol, whether the kernel gets the address of its value.
  llvm::SmallVector<bool> isStep;
  /// Of each buffer, whether nobody writes it while the kernel runs: its loads
  /// may go anywhere, to before the wait too.
  llvm::SmallVector<bool> isConstant;
};

/// The PTX of a module whose loops are in the LLVM dialect, with a kernel of
/// the runtime's ABI for each stage.
mlir::FailureOr<std::string> emitPTX(mlir::ModuleOp module,
                                     llvm::ArrayRef<StageSignature> stages,
                                     const GPUTarget &target);

} // namespace tenon

#endif // TENON_LIB_TARGET_NVPTX_EMITPTX_H
