#ifndef TENON_TRANSFORMS_SIMPLIFY_PASSES_H
#define TENON_TRANSFORMS_SIMPLIFY_PASSES_H

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Transforms/Simplify/Passes.h.inc"

/// Writes what the analysis found into types and attributes of `function`.
mlir::LogicalResult annotateShapes(mlir::func::FuncOp function,
                                   const ShapeOptions &options);

/// The pass `onnx-infer-shapes` with a function for operators that the analysis
/// has none for.
std::unique_ptr<mlir::Pass> createInferShapesPass(ShapeOptions options);
/// The same of `onnx-simplify`.
std::unique_ptr<mlir::Pass> createSimplifyPass(ShapeOptions options,
                                               bool keepSqueezes = false);
/// The same of `onnx-fix-list-lengths`.
std::unique_ptr<mlir::Pass> createFixListLengthsPass(ShapeOptions options);

} // namespace tenon

#endif // TENON_TRANSFORMS_SIMPLIFY_PASSES_H
