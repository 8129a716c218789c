#include "Matching.h"

#include "dialects/ONNX/StoredAttr.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

std::optional<double> Matching::getElement(Value value) const {
  DenseElementsAttr dense;
  if (TypedAttr constant = onnx::getConstant(value))
    dense = dyn_cast<DenseElementsAttr>(constant);
  if (dense && dense.getNumElements() == 1 &&
      isa<FloatType>(dense.getElementType())) {
    APFloat element = *dense.value_begin<APFloat>();
    bool inexact;
    element.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven,
                    &inexact);
    return element.convertToDouble();
  }
  std::optional<ArrayRef<AffineExpr>> elements = shapes.getElements(value);
  if (!elements || elements->size() != 1)
    return std::nullopt;
  auto constant = dyn_cast<AffineConstantExpr>(elements->front());
  return constant ? std::optional<double>(constant.getValue()) : std::nullopt;
}

std::optional<double> Matching::getScalar(Value value) const {
  SmallVector<std::pair<Operation *, double>> path;
  std::optional<double> scalar;
  while (!(scalar = getElement(value))) {
    Operation *op = value.getDefiningOp();
    if (isa_and_nonnull<onnx::CastOp, onnx::SqrtOp, onnx::ReciprocalOp>(op)) {
      path.push_back({op, 0});
      value = op->getOperand(0);
      continue;
    }
    std::optional<double> dividend;
    if (isa_and_nonnull<onnx::DivOp>(op))
      dividend = getElement(op->getOperand(0));
    if (!dividend)
      return std::nullopt;
    path.push_back({op, *dividend});
    value = op->getOperand(1);
  }
  for (auto [op, dividend] : llvm::reverse(path))
    scalar = isa<onnx::SqrtOp>(op)         ? std::sqrt(*scalar)
             : isa<onnx::ReciprocalOp>(op) ? 1 / *scalar
             : isa<onnx::DivOp>(op)        ? dividend / *scalar
                                           : *scalar;
  return scalar;
}

bool Matching::haveSameDims(Value a, Value b) const {
  auto first = shapes.getDims(a), second = shapes.getDims(b);
  return first && second && *first == *second;
}

std::optional<int64_t> Matching::getStaticDim(Value value, int64_t axis) const {
  auto dims = shapes.getDims(value);
  if (!dims)
    return std::nullopt;
  axis += axis < 0 ? int64_t(dims->size()) : 0;
  if (axis < 0 || axis >= int64_t(dims->size()))
    return std::nullopt;
  auto constant = dyn_cast<AffineConstantExpr>((*dims)[axis]);
  return constant ? std::optional(constant.getValue()) : std::nullopt;
}

std::optional<SmallVector<int64_t>> Matching::getIntegers(Value value) const {
  std::optional<ArrayRef<AffineExpr>> elements;
  if (value)
    elements = shapes.getElements(value);
  if (!elements)
    return std::nullopt;
  SmallVector<int64_t> integers;
  for (AffineExpr element : *elements) {
    auto constant = dyn_cast<AffineConstantExpr>(element);
    if (!constant)
      return std::nullopt;
    integers.push_back(constant.getValue());
  }
  return integers;
}

std::optional<SmallVector<int64_t>>
Matching::getReducedAxes(onnx::ReduceMeanOp op) const {
  auto dims = shapes.getDims(op.getData());
  if (!dims || op.getKeepdims() == 0 || !op.getAxes())
    return std::nullopt;
  std::optional<SmallVector<int64_t>> axes = getIntegers(op.getAxes());
  if (!axes || axes->empty())
    return std::nullopt;
  for (int64_t &axis : *axes)
    axis += axis < 0 ? int64_t(dims->size()) : 0;
  llvm::sort(*axes);
  return axes;
}

Value tenon::skipFloatCast(Value value) {
  auto cast = value.getDefiningOp<onnx::CastOp>();
  if (!cast)
    return value;
  Value source = cast->getOperand(0);
  return isa<FloatType>(getElementTypeOrSelf(source.getType())) &&
                 isa<FloatType>(getElementTypeOrSelf(value.getType()))
             ? source
             : value;
}
