#include "dialects/ONNX/NodeBuilder.h"

using namespace mlir;
using namespace tenon;

Type NodeBuilder::typeOf(int64_t rank, Type element) {
  return RankedTensorType::get(SmallVector<int64_t>(rank, ShapedType::kDynamic),
                               element);
}

Type NodeBuilder::joined(Value a, Value b, Type element) {
  RankedTensorType x = getRanked(a), y = getRanked(b);
  return typeOf(std::max(x.getRank(), y.getRank()),
                element ? element : x.getElementType());
}

Value NodeBuilder::integers(ArrayRef<int64_t> values, unsigned width) {
  auto element = rewriter.getIntegerType(width);
  SmallVector<APInt> numbers;
  for (int64_t value : values)
    numbers.push_back(APInt(width, value, /*isSigned=*/true));
  auto type = RankedTensorType::get(values.size(), element);
  return onnx::ConstantOp::create(rewriter, loc, type,
                                  DenseElementsAttr::get(type, numbers));
}

Value NodeBuilder::integer(int64_t value, unsigned width) {
  auto type = RankedTensorType::get({}, rewriter.getIntegerType(width));
  return onnx::ConstantOp::create(
      rewriter, loc, type,
      DenseElementsAttr::get(type, APInt(width, value, /*isSigned=*/true)));
}

Value NodeBuilder::scalar(Type element, double value) {
  auto type = RankedTensorType::get({}, element);
  return onnx::ConstantOp::create(
      rewriter, loc, type,
      DenseElementsAttr::get(type, rewriter.getFloatAttr(element, value)));
}

NamedAttribute NodeBuilder::named(StringRef name, int64_t value) {
  return rewriter.getNamedAttr(name, rewriter.getI64IntegerAttr(value));
}

Value NodeBuilder::make(StringRef name, ValueRange inputs, Type type,
                        ArrayRef<NamedAttribute> attributes) {
  return onnx::buildNode(rewriter, loc, name, inputs, type, attributes)
      ->getResult(0);
}

Value NodeBuilder::size(Value tensor, int64_t axis) {
  auto type = RankedTensorType::get({1}, rewriter.getI64Type());
  return make("onnx.Shape", tensor, type,
              {named("start", axis), named("end", axis + 1)});
}

Value NodeBuilder::cast(Value value, Type element) {
  RankedTensorType type = getRanked(value);
  if (type.getElementType() == element)
    return value;
  // TensorProto.DataType of the types that are asked for here.
  int64_t to = element.isInteger(64)   ? 7
               : element.isInteger(32) ? 6
               : element.isInteger(8)  ? 3
               : element.isF16()       ? 10
               : element.isBF16()      ? 16
               : element.isF64()       ? 11
                                       : 1;
  return make("onnx.Cast", value, type.clone(element), named("to", to));
}

Value NodeBuilder::add(Value a, Value b) {
  return make("onnx.Add", {a, b}, joined(a, b));
}

Value NodeBuilder::sub(Value a, Value b) {
  return make("onnx.Sub", {a, b}, joined(a, b));
}

Value NodeBuilder::equal(Value a, Value b) {
  return make("onnx.Equal", {a, b}, joined(a, b, rewriter.getI1Type()));
}

Value NodeBuilder::where(Value condition, Value a, Value b) {
  Type type = joined(condition, a, getRanked(a).getElementType());
  int64_t rank = std::max(llvm::cast<RankedTensorType>(type).getRank(),
                          getRanked(b).getRank());
  return make("onnx.Where", {condition, a, b},
              typeOf(rank, getRanked(a).getElementType()));
}

Value NodeBuilder::unsqueeze(Value value, ArrayRef<int64_t> axes) {
  RankedTensorType type = getRanked(value);
  return make("onnx.Unsqueeze", {value, integers(axes)},
              typeOf(type.getRank() + axes.size(), type.getElementType()));
}

Value NodeBuilder::squeeze(Value value, ArrayRef<int64_t> axes) {
  RankedTensorType type = getRanked(value);
  return make("onnx.Squeeze", {value, integers(axes)},
              typeOf(type.getRank() - axes.size(), type.getElementType()));
}

Value NodeBuilder::transpose(Value value, ArrayRef<int64_t> order) {
  RankedTensorType type = getRanked(value);
  return make(
      "onnx.Transpose", value, typeOf(type.getRank(), type.getElementType()),
      rewriter.getNamedAttr("perm", rewriter.getDenseI64ArrayAttr(order)));
}

Value NodeBuilder::sliceLast(Value value, int64_t first, int64_t end) {
  RankedTensorType type = getRanked(value);
  return make("onnx.Slice",
              {value, integers({first}), integers({end}),
               integers({type.getRank() - 1}), integers({1})},
              typeOf(type.getRank(), type.getElementType()));
}

Value NodeBuilder::reshape(Value value, ArrayRef<int64_t> target) {
  return make("onnx.Reshape", {value, integers(target)},
              typeOf(target.size(), getRanked(value).getElementType()));
}

Value NodeBuilder::range(Value count) {
  return make("onnx.Range", {integer(0), count, integer(1)},
              typeOf(1, rewriter.getI64Type()));
}

SmallVector<Value> NodeBuilder::split(Value value, int64_t axis,
                                      ArrayRef<int64_t> sizes) {
  RankedTensorType type = getRanked(value);
  SmallVector<Type> types(sizes.size(),
                          typeOf(type.getRank(), type.getElementType()));
  Operation *op =
      onnx::buildNode(rewriter, loc, "onnx.Split", {value, integers(sizes)},
                      types, named("axis", axis));
  return SmallVector<Value>(op->getResults());
}
