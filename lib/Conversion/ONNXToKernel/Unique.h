// Unique where every slice is compared with others, and where elements are
// sorted.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_UNIQUE_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_UNIQUE_H

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"

namespace tenon {

/// (x < y, x = y); a NaN equals a NaN and comes after every number.
std::pair<mlir::Value, mlir::Value>
compareElements(const ScalarContext &c, mlir::Value x, mlir::Value y);

/// Replaces the operator's results; `data` is of rank 1.
void findUniqueBySorting(onnx::UniqueOp op, mlir::Value data,
                         Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_UNIQUE_H
