#ifndef TENON_PIPELINES_PASSES_H
#define TENON_PIPELINES_PASSES_H

#include "mlir/Pass/PassManager.h"

#include <string>

namespace tenon {

/// Registers every pass of ours, and MLIR's general ones, under its textual name:
/// what tenon-opt runs and tenon-compile --passes takes.
void registerAllPasses();

/// Appends passes given as text, `a,b{option=value}`, to those of a module; those
/// of functions are nested. Failure with the reason, one line, in `error`.
mlir::LogicalResult addPasses(llvm::StringRef pipeline,
                              mlir::OpPassManager &passes, std::string &error);

/// Why `pipeline` is none; empty if it is one.
std::string checkPasses(llvm::StringRef pipeline);

} // namespace tenon

#endif // TENON_PIPELINES_PASSES_H
