// Constants become weights of the artifact; integer tensors whose elements the
// shapes determine become host tensors.

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;
using namespace tenon;

/// A weight's name: the ONNX name where there is one.
static std::string getWeightName(Operation *op) {
  if (auto stored = dyn_cast_if_present<onnx::StoredAttr>(op->getAttr("value")))
    return stored.getName().str();
  if (auto name = dyn_cast<NameLoc>(op->getLoc()))
    return name.getName().str();
  return "constant";
}

static LogicalResult lowerConstant(Operation *op, Lowering &lowering) {
  auto value = op->getAttrOfType<TypedAttr>("value");
  if (!value)
    return op->emitOpError("expected a tensor in 'value', but got none");
  Value weight = kernel::WeightOp::create(
      lowering.builder, op->getLoc(), op->getResult(0).getType(),
      lowering.builder.getStringAttr(getWeightName(op)), value);
  lowering.replace(op, weight);
  return success();
}

/// Shape and Size: always known to the shapes.
static LogicalResult lowerShape(Operation *op, Lowering &lowering) {
  std::optional<Dims> elements = lowering.elements(op->getResult(0));
  if (!elements)
    return op->emitOpError("expected a shape that the analysis knows");
  AffineMap map =
      AffineMap::get(0, lowering.getNumSymbols(), *elements, op->getContext());
  Value host = kernel::HostTensorOp::create(lowering.builder, op->getLoc(),
                                            op->getResult(0).getType(),
                                            AffineMapAttr::get(map));
  lowering.replace(op, host);
  return success();
}

void tenon::addConstantLowerings(LoweringTable &table) {
  table["onnx.Constant"] = lowerConstant;
  table["onnx.Shape"] = lowerShape;
  table["onnx.Size"] = lowerShape;
}
