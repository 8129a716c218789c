#ifndef TENON_LIB_TRANSFORMS_KVCACHE_FINDCACHES_H
#define TENON_LIB_TRANSFORMS_KVCACHE_FINDCACHES_H

#include "dialects/KV/KVDialect.h"
#include "dialects/ONNX/ONNXDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon {

/// "present.0.key" -> "0"; a name of one word stays.
mlir::StringRef getStateName(mlir::StringRef output);

/// Whether an output of these rows, keys and values, shows a known cache.
using IsCache =
    llvm::function_ref<bool(mlir::StringRef output, mlir::RankedTensorType keys,
                            mlir::RankedTensorType values)>;

/// Appends what an attention reads, and outputs show, to nothing, so that it is
/// what an append between an input and an output is elsewhere. Returns these
/// attentions.
mlir::FailureOr<mlir::SmallVector<onnx::TenonAttentionOp>>
appendFirstRows(mlir::func::FuncOp function, IsCache isCache);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_KVCACHE_FINDCACHES_H
