// Arithmetic on the elements of small tensors.

#ifndef TENON_LIB_ANALYSIS_SHAPES_ELEMENTVALUES_H
#define TENON_LIB_ANALYSIS_SHAPES_ELEMENTVALUES_H

#include "Inference.h"

namespace tenon {

/// Elements of the result of Identity, Cast, Neg, ...
void inferUnaryElements(Node &node);
/// Elements of the result, of shape `dims`, of Add, Where, ...
void inferBroadcastElements(Node &node, llvm::ArrayRef<mlir::AffineExpr> dims);
/// One step of Add, Mul, Min, Max, ... on elements; unknown for others.
Element combine(Node &node, llvm::StringRef name, Element a, Element b);

/// Elements of a tensor of shape `from`, spread to the shape `to`.
Elements broadcastElements(llvm::ArrayRef<Element> elements,
                           llvm::ArrayRef<int64_t> from,
                           llvm::ArrayRef<int64_t> to);
/// For each element of a tensor of shape `sizes`, in order, its coordinates.
void forEachIndex(llvm::ArrayRef<int64_t> sizes,
                  llvm::function_ref<void(llvm::ArrayRef<int64_t>)> visit);
/// The place of coordinates in row-major order.
int64_t flatten(llvm::ArrayRef<int64_t> sizes, llvm::ArrayRef<int64_t> index);

} // namespace tenon

#endif // TENON_LIB_ANALYSIS_SHAPES_ELEMENTVALUES_H
