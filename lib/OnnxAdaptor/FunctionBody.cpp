// Asks schemas for function bodies; compiled with exceptions, which end here.

#include "tenon/OnnxAdaptor/FunctionBody.h"
#include "OpSchemas.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/OnnxAdaptor/Types.h"

#include <stdexcept>

using namespace mlir;
using namespace tenon;
using ::onnx::FunctionProto;
using ::onnx::NodeProto;
using ::onnx::OpSchema;
using ::onnx::TypeProto;
using tenon::onnx::NodeInterface;

static const OpSchema *findNewestSchema(Operation *op) {
  auto node = dyn_cast<NodeInterface>(op);
  return node ? findOpSchema(node.getOnnxDomain().str(),
                             node.getOnnxName().str())
              : nullptr;
}

/// The node with names that only say what is there.
static NodeProto makeNode(NodeInterface node, std::vector<TypeProto> &types) {
  NodeProto proto;
  proto.set_op_type(node.getOnnxName().str());
  proto.set_domain(node.getOnnxDomain().str());
  for (auto [index, input] : llvm::enumerate(node.getOnnxInputs())) {
    proto.add_input(input ? "input" + std::to_string(index) : "");
    types.push_back(input ? exportType(input.getType()) : TypeProto());
  }
  for (auto [index, output] : llvm::enumerate(node.getOnnxOutputs()))
    proto.add_output(output ? "output" + std::to_string(index) : "");
  for (NamedAttribute attribute : node->getAttrs())
    if (auto exported = exportAttribute(attribute))
      *proto.add_attribute() = std::move(*exported);
  return proto;
}

static std::optional<FunctionProto> build(const OpSchema &schema,
                                          const NodeProto &proto,
                                          const std::vector<TypeProto> &types) {
  FunctionProto body;
  // The last body is in terms of the newest operators.
  if (schema.HasContextDependentFunction()) {
    ::onnx::FunctionBodyBuildContextImpl context(proto, types);
    int version = schema.context_dependent_function_opset_versions().back();
    if (!schema.BuildContextDependentFunction(context, body, version))
      return std::nullopt;
  } else {
    int version = schema.function_opset_versions().back();
    const FunctionProto *known = schema.GetFunction(version);
    if (!known)
      return std::nullopt;
    body = *known;
  }
  if (body.input_size() == 0 && body.output_size() == 0)
    schema.BuildFunction(body);
  for (const auto &[name, attribute] : schema.attributes())
    if (attribute.default_value.has_name())
      *body.add_attribute_proto() = attribute.default_value;
  return body;
}

bool tenon::hasFunctionBody(Operation *op) {
  const OpSchema *schema = findNewestSchema(op);
  return schema &&
         (schema->HasFunction() || schema->HasContextDependentFunction());
}

std::optional<FunctionProto> tenon::buildFunctionBody(Operation *op) {
  if (!hasFunctionBody(op))
    return std::nullopt;
  try {
    std::vector<TypeProto> types;
    NodeProto proto = makeNode(cast<NodeInterface>(op), types);
    return build(*findNewestSchema(op), proto, types);
  } catch (const std::exception &) {
    return std::nullopt; // a builder that refuses the node's types
  }
}

std::optional<FunctionProto> tenon::buildFunctionBody(const NodeProto &node,
                                                      ArrayRef<Value> inputs) {
  const OpSchema *schema = findOpSchema(node.domain(), node.op_type());
  if (!schema ||
      !(schema->HasFunction() || schema->HasContextDependentFunction()))
    return std::nullopt;
  try {
    std::vector<TypeProto> types;
    for (Value input : inputs)
      types.push_back(input ? exportType(input.getType()) : TypeProto());
    return build(*schema, node, types);
  } catch (const std::exception &) {
    return std::nullopt;
  }
}
