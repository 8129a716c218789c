// The face of the analysis: what it found, by value.

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "Inference.h"

using namespace mlir;

namespace tenon {

FailureOr<ShapeAnalysis> ShapeAnalysis::compute(func::FuncOp function,
                                                const ShapeOptions &options) {
  return Inference(function, options).run();
}

std::optional<ArrayRef<AffineExpr>> ShapeAnalysis::getDims(Value value) const {
  auto known = dims.find(value);
  if (known == dims.end())
    return std::nullopt;
  return ArrayRef(known->second);
}

std::optional<ArrayRef<AffineExpr>>
ShapeAnalysis::getElements(Value value) const {
  auto known = elements.find(value);
  if (known == elements.end())
    return std::nullopt;
  return ArrayRef(known->second);
}

AffineMap ShapeAnalysis::asMap(ArrayRef<AffineExpr> exprs) const {
  return AffineMap::get(/*dimCount=*/0, symbols.size(), exprs, context);
}

Type ShapeAnalysis::getRefinedType(Value value) const {
  auto type = dyn_cast<TensorType>(value.getType());
  std::optional<ArrayRef<AffineExpr>> known = getDims(value);
  if (!type || !known)
    return value.getType();
  SmallVector<int64_t> shape;
  for (AffineExpr dim : *known) {
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    shape.push_back(constant && constant.getValue() >= 0
                        ? constant.getValue()
                        : ShapedType::kDynamic);
  }
  return RankedTensorType::get(shape, type.getElementType());
}

} // namespace tenon
