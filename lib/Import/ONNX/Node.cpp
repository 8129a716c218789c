// The helpers that upgrade rules build with.

#include "Node.h"
#include "tenon/OnnxAdaptor/InferTypes.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::import;

Value NodeBuilder::constant(TypedAttr value) {
  return tenon::onnx::ConstantOp::create(builder, node.loc, value);
}

Value NodeBuilder::ints(ArrayRef<int64_t> values) {
  return constant(builder.getI64TensorAttr(values));
}

Value NodeBuilder::scalar(double value, Type elementType) {
  auto type = RankedTensorType::get({}, elementType);
  Attribute element =
      isa<FloatType>(elementType)
          ? Attribute(builder.getFloatAttr(elementType, value))
          : Attribute(builder.getIntegerAttr(elementType, int64_t(value)));
  return constant(DenseElementsAttr::get(type, element));
}

NamedAttribute NodeBuilder::attribute(StringRef name, int64_t value) {
  return builder.getNamedAttr(name, builder.getI64IntegerAttr(value));
}

Value NodeBuilder::create(StringRef op, ArrayRef<Value> inputs,
                          ArrayRef<NamedAttribute> attributes) {
  Type placeholder = UnrankedTensorType::get(builder.getF32Type());
  Operation *created =
      tenon::onnx::buildNode(builder, node.loc, ("onnx." + op).str(), inputs,
                             placeholder, attributes);
  assert(created && "upgrade rules know the newest form");
  if (failed(setInferredTypes(created, node)))
    return nullptr;
  return created->getResult(0);
}

LogicalResult import::setInferredTypes(Operation *op, const Node &node) {
  SmallVector<Type> types;
  std::string error;
  if (failed(inferResultTypes(op, types, error)))
    return node.emitError() << error;
  for (auto [result, type] : llvm::zip_equal(op->getResults(), types))
    result.setType(type);
  return success();
}
