#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_NGRAMS_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_NGRAMS_H

#include "Lowering.h"

namespace tenon {

/// TfIdfVectorizer of integers.
mlir::LogicalResult lowerTfIdfVectorizer(mlir::Operation *op,
                                         Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_NGRAMS_H
