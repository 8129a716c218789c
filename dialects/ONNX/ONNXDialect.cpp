// Registers the dialect; the operations' own code is generated into shards.

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "tenon/Support/WeightStore.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon::onnx;

#include "dialects/ONNX/ONNXDialect.cpp.inc"
#include "dialects/ONNX/ONNXInterfaces.cpp.inc"

#define GET_TYPEDEF_CLASSES
#include "dialects/ONNX/ONNXTypes.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/ONNX/ONNXAttributes.cpp.inc"

void ONNXDialect::initialize() {
  weightStore = std::make_shared<WeightStore>();
  registerONNXDialectOperations(this);
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/ONNX/ONNXTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/ONNX/ONNXAttributes.cpp.inc"
      >();
}

Operation *ONNXDialect::materializeConstant(OpBuilder &builder, Attribute value,
                                            Type type, Location loc) {
  auto typed = dyn_cast<TypedAttr>(value);
  if (!typed || !isa<ElementsAttr, StoredAttr>(value))
    return nullptr;
  return ConstantOp::create(builder, loc, type, typed);
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

LogicalResult ConstantOp::verify() {
  auto type = dyn_cast<TensorType>(getValue().getType()); // constant-C1
  auto result = cast<TensorType>(getType());
  if (!type || type.getElementType() != result.getElementType() ||
      failed(verifyCompatibleShape(type, result)))
    return emitOpError("expected a value of type ")
           << result << ", but got " << getValue().getType();
  return success();
}
