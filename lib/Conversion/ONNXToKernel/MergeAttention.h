#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_MERGEATTENTION_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_MERGEATTENTION_H

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"

namespace tenon {

/// One launch that merges the parts of an attention by their lse: `partial` has
/// two results, of [part, ...] and [part, batch, head, token]. `map` says where
/// (batch, head, token, feature) lies in the result; `results` are those of
/// `op`.
kernel::LaunchOp mergeAttention(onnx::TenonAttentionOp op,
                                kernel::LaunchOp partial, mlir::AffineMap map,
                                llvm::ArrayRef<Result> results,
                                Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_MERGEATTENTION_H
