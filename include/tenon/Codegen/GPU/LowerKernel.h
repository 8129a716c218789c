// From one kernel.func to the functions that a GPU runs for it.

#ifndef TENON_CODEGEN_GPU_LOWERKERNEL_H
#define TENON_CODEGEN_GPU_LOWERKERNEL_H

#include "dialects/Kernel/KernelDialect.h"
#include "tenon/Codegen/GPU/GPUTarget.h"
#include "tenon/Codegen/Program/Lowering.h"

#include <string>
#include <vector>

namespace tenon {

/// A tensor map that a stage takes: argument `buffer` of the kernel as elements
/// of `type` under `dims`, the innermost first; `strides` has bytes, for all
/// dimensions but the innermost. A copy moves `box` elements, in rows swizzled
/// by `swizzle` bytes. With `lower` and `upper` it is an image of windows
/// (artifact.fbs), and the box has channels and windows.
struct TensorMapUse {
  unsigned buffer;
  mlir::Type type;
  llvm::SmallVector<mlir::AffineExpr> dims, strides;
  llvm::SmallVector<unsigned> box;
  unsigned swizzle;
  llvm::SmallVector<mlir::AffineExpr> lower = {}, upper = {};
  llvm::SmallVector<unsigned> steps = {};
};

/// One function of a kernel. Each of `grid` blocks of `threads` threads calls
///   func @NAME(memref<1xi8> x buffers, index x symbols, index begin, index
///   end,
///              memref<1xi8> workspace, !llvm.ptr x maps)
/// with its own number as `begin`.
struct LoweredStage {
  mlir::func::FuncOp body;
  mlir::AffineExpr grid;
  unsigned threads;
  unsigned shared = 0;    // bytes of dynamic shared memory
  unsigned residents = 0; // blocks that a multiprocessor must hold; 0: any
  unsigned cluster = 1;
  /// Where launches overlap: whether the body itself waits for the launch
  /// before, having read weights at most.
  bool waitsItself = false;
  std::vector<TensorMapUse> maps = {};
  std::string form = {}; // of a product's schedule, for people
  /// Where it is one of several forms: the grid is `blocks` times `runs`, which
  /// is 1 for those sizes that it is for, else 0.
  mlir::AffineExpr blocks = {}, runs = {};
  /// Where it runs for one row only: how many rows there are.
  mlir::AffineExpr rows = {};
};

/// The stages run one after the other and share the workspace, whose bytes are
/// an expression over the kernel's symbols.
struct StagedKernel {
  std::vector<LoweredStage> stages;
  mlir::AffineExpr workspace;
};

/// Adds the functions of `kernel` to `module`.
mlir::FailureOr<StagedKernel> lowerKernelForGPU(kernel::FuncOp kernel,
                                                mlir::ModuleOp module,
                                                const GPUTarget &target);

/// Gives what is rounded to 16 bits short forms: functions, quotients, and the
/// rounding itself. Before lowerLoopsToLLVM.
void approximateMath(mlir::ModuleOp module);

/// Registers what lowerKernelForGPU needs beside registerCodegenDialects.
void registerGPUCodegenDialects(mlir::DialectRegistry &registry);

} // namespace tenon

#endif // TENON_CODEGEN_GPU_LOWERKERNEL_H
