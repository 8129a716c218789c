#ifndef TENON_LIB_PIPELINES_ENTRIES_H
#define TENON_LIB_PIPELINES_ENTRIES_H

#include "tenon/Pipelines/Compile.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace tenon {

/// The model `input` as entry "main" (none where it is empty) and each file of
/// `options.entries` as an entry, one func.func each, with the ranges of
/// `options.dims`.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>>
importEntries(mlir::MLIRContext &context, llvm::StringRef input,
              const CompileOptions &options);

/// Makes of every entry one function for each of `options.variants`, in their order,
/// that has one of its dimensions or none at all. An entry that no variant speaks
/// of stays as it is. It is an error if sizes are left that no variant takes.
mlir::LogicalResult makeVariants(mlir::ModuleOp module,
                                 const CompileOptions &options);

} // namespace tenon

#endif // TENON_LIB_PIPELINES_ENTRIES_H
