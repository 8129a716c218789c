// A kernel as the artifact describes it.

#ifndef TENON_TARGET_FORMAT_KERNELTABLE_H
#define TENON_TARGET_FORMAT_KERNELTABLE_H

#include "tenon/Target/Format/ElementTypes.h"
#include "tenon/Target/Format/ExprPool.h"

#include "dialects/Kernel/KernelDialect.h"

namespace tenon {

/// The arguments and symbols of `kernel`, their dimensions in `exprs`.
format::KernelT describeSignature(kernel::FuncOp kernel, ExprPool &exprs);

/// The signature of `kernel`: its arguments, and its grid and workspace, maps over
/// its own symbols. Names and uses are the caller's.
format::KernelT describeKernel(kernel::FuncOp kernel, mlir::AffineMap grid,
                               mlir::AffineMap workspace);

/// The symbol of the kernel's function: its name and the hash of its signature, so
/// that code is only called under the signature that it was compiled for.
std::string getKernelSymbol(llvm::StringRef name, const format::KernelT &kernel);

} // namespace tenon

#endif // TENON_TARGET_FORMAT_KERNELTABLE_H
