#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_SCORES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_SCORES_H

#include "ScalarExpr.h"

namespace tenon {

/// A constant of the artifact with these elements.
mlir::Value makeTable(Lowering &lowering, mlir::Location loc,
                      llvm::StringRef name, llvm::ArrayRef<int32_t> elements);
mlir::Value makeTable(Lowering &lowering, mlir::Location loc,
                      llvm::StringRef name, llvm::ArrayRef<int64_t> elements);
mlir::Value makeTable(Lowering &lowering, mlir::Location loc,
                      llvm::StringRef name, llvm::ArrayRef<float> elements);
/// As `real`, f32 or f64.
mlir::Value makeTable(Lowering &lowering, mlir::Location loc,
                      llvm::StringRef name, llvm::ArrayRef<double> elements,
                      mlir::Type real);

/// Scores [rows, classes], f32 or f64, after a `post_transform` of ai.onnx.ml.
/// Fails with an error at `op` if the name is not one.
mlir::FailureOr<mlir::Value> transformScores(mlir::Operation *op,
                                             mlir::Value scores,
                                             llvm::StringRef name,
                                             Lowering &lowering);
/// labels[the first largest score of each row]
mlir::Value chooseLabels(mlir::Operation *op, mlir::Value scores,
                         llvm::ArrayRef<int64_t> labels, Lowering &lowering);
/// labels[score of column `column` > threshold]
mlir::Value chooseByThreshold(mlir::Operation *op, mlir::Value scores,
                              int64_t column, double threshold,
                              llvm::ArrayRef<int64_t> labels,
                              Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_SCORES_H
