// The patterns of onnx-simplify, by what they look at.

#ifndef TENON_LIB_TRANSFORMS_SIMPLIFY_PATTERNS_H
#define TENON_LIB_TRANSFORMS_SIMPLIFY_PATTERNS_H

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "mlir/IR/PatternMatch.h"

namespace tenon {

/// Values known as constants become constants.
void populateKnownElementsPatterns(mlir::RewritePatternSet &patterns,
                                   const ShapeAnalysis &shapes);
/// Scalar arithmetic on constants becomes constants.
void populateFoldConstantsPatterns(mlir::RewritePatternSet &patterns);
/// Operations that give an input back go away.
void populateIdentityPatterns(mlir::RewritePatternSet &patterns,
                              const ShapeAnalysis &shapes);
/// Targets of Reshape and Expand become constants with wildcards.
void populateTargetPatterns(mlir::RewritePatternSet &patterns,
                            const ShapeAnalysis &shapes);
/// Branches with a known condition are inlined; those of others get one rank,
/// those that squeeze unless `keepsSqueezes`.
void populateBranchPatterns(mlir::RewritePatternSet &patterns,
                            const ShapeAnalysis &shapes, bool keepsSqueezes);

/// Lists of tensors whose members are known go away.
void populateSequencePatterns(mlir::RewritePatternSet &patterns,
                              const ShapeAnalysis &shapes);

/// Values with the same elements, as expressions, become one value. Returns
/// whether there were any.
bool shareEqualElements(mlir::func::FuncOp function,
                        const ShapeAnalysis &shapes);

/// The constants among `value`'s elements, if all are constant.
std::optional<llvm::SmallVector<int64_t>>
getConstantElements(mlir::Value value, const ShapeAnalysis &shapes);
/// A constant of an integer type with these elements; null if they do not fit.
mlir::Value createConstant(mlir::OpBuilder &builder, mlir::Location loc,
                           mlir::RankedTensorType type,
                           llvm::ArrayRef<int64_t> elements);

} // namespace tenon

#endif // TENON_LIB_TRANSFORMS_SIMPLIFY_PATTERNS_H
