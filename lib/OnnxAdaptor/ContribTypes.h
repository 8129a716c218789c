// Result types of the nodes that ONNX's registry does not have.

#ifndef TENON_LIB_ONNXADAPTOR_CONTRIBTYPES_H
#define TENON_LIB_ONNXADAPTOR_CONTRIBTYPES_H

#include "mlir/IR/Operation.h"

namespace tenon {

/// Appends the types of the results of `op` (com.microsoft, ai.tenon, or the
/// default domain's SimplifiedLayerNormalization). False if `op` is none of them.
bool inferContribTypes(mlir::Operation *op,
                       llvm::SmallVectorImpl<mlir::Type> &types);

} // namespace tenon

#endif // TENON_LIB_ONNXADAPTOR_CONTRIBTYPES_H
