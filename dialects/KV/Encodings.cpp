// How rows are stored, as ONNX operators: each encoding is its own definition.

#include "dialects/KV/KVDialect.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kv;

Type PlainAttr::getRowType() const { return getElement(); }

SmallVector<StoredPart> PlainAttr::getParts(int64_t width) const {
  return {{"", getElement(), width}};
}

SmallVector<Value> PlainAttr::encode(NodeBuilder &, Value rows, int64_t) const {
  return {rows};
}

Value PlainAttr::decode(NodeBuilder &, ValueRange parts, int64_t) const {
  return parts[0];
}

bool PlainAttr::isPlain() const { return true; }

LogicalResult Int8Attr::verify(function_ref<InFlightDiagnostic()> emitError,
                               Type element, int64_t group) {
  if (group < 1 || !isa<FloatType>(element)) // int8-C1
    return emitError() << "expected floats in groups of one at least, but got "
                       << element << " and " << group;
  return success();
}

Type Int8Attr::getRowType() const { return getElement(); }

SmallVector<StoredPart> Int8Attr::getParts(int64_t width) const {
  if (width % getGroup() != 0)
    return {};
  Type byte = IntegerType::get(getContext(), 8);
  Type scale = Float32Type::get(getContext());
  return {{"", byte, width}, {"scale", scale, width / getGroup()}};
}

/// [B, H, S, W] -> [B, H, S, W / group, group]
static Value split(NodeBuilder &nodes, Value rows, int64_t width,
                   int64_t group) {
  return nodes.reshape(rows, {0, 0, 0, width / group, group});
}

SmallVector<Value> Int8Attr::encode(NodeBuilder &nodes, Value rows,
                                    int64_t width) const {
  int64_t groups = width / getGroup();
  Type f32 = Float32Type::get(getContext());
  Value x = split(nodes, nodes.cast(rows, f32), width, getGroup());
  Value highest = nodes.make(
      "onnx.ReduceMax",
      {nodes.make("onnx.Abs", x, nodes.typeOf(5, f32)), nodes.integers({4})},
      nodes.typeOf(5, f32), {nodes.named("keepdims", 1)});
  Value scale = nodes.make("onnx.Div", {highest, nodes.scalar(f32, 127)},
                           nodes.typeOf(5, f32));
  Value zero = nodes.scalar(f32, 0);
  Value divisor =
      nodes.where(nodes.equal(scale, zero), nodes.scalar(f32, 1), scale);
  Value whole = nodes.make(
      "onnx.Round", nodes.make("onnx.Div", {x, divisor}, nodes.typeOf(5, f32)),
      nodes.typeOf(5, f32));
  Value bytes = nodes.cast(whole, IntegerType::get(getContext(), 8));
  return {nodes.reshape(bytes, {0, 0, 0, width}),
          nodes.reshape(scale, {0, 0, 0, groups})};
}

Value Int8Attr::decode(NodeBuilder &nodes, ValueRange parts,
                       int64_t width) const {
  Type f32 = Float32Type::get(getContext());
  Value x = split(nodes, nodes.cast(parts[0], f32), width, getGroup());
  Value product = nodes.make("onnx.Mul", {x, nodes.unsqueeze(parts[1], {4})},
                             nodes.typeOf(5, f32));
  return nodes.cast(nodes.reshape(product, {0, 0, 0, width}), getElement());
}
