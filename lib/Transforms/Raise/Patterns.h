// The patterns of the passes that raise, by what they look at.

#ifndef TENON_LIB_TRANSFORMS_RAISE_PATTERNS_H
#define TENON_LIB_TRANSFORMS_RAISE_PATTERNS_H

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "mlir/IR/PatternMatch.h"

namespace tenon {

/// Attention.
void populateAttentionOperatorPatterns(mlir::RewritePatternSet &patterns);
/// MultiHeadAttention.
void populateMultiHeadPatterns(mlir::RewritePatternSet &patterns);
/// GroupQueryAttention; `shapes` tell a cache that grows from a buffer.
void populateGroupQueryPatterns(mlir::RewritePatternSet &patterns,
                                const ShapeAnalysis &shapes);

/// MatMul, scale, mask, Softmax, MatMul.
void populateAttentionPrimitivePatterns(mlir::RewritePatternSet &patterns,
                                        const ShapeAnalysis &shapes);
/// Concat on a cache; rotations and packed columns on their way into it.
void populateCachePatterns(mlir::RewritePatternSet &patterns,
                           const ShapeAnalysis &shapes);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_RAISE_PATTERNS_H
