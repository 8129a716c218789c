// Compares nodes with older schemas. Compiled with exceptions because ONNX
// throws.

#include "tenon/OnnxAdaptor/SchemaForms.h"
#include "OpSchemas.h"
#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/OnnxAdaptor/Types.h"

#include "onnx/defs/data_type_utils.h"

using namespace mlir;
using namespace tenon;
using ::onnx::NodeProto;
using ::onnx::OpSchema;

static const OpSchema *findForm(const NodeProto &node, int version) {
  return findOpSchema(node.domain(), node.op_type(), version);
}

int tenon::getFormVersion(const NodeProto &node, int version) {
  const OpSchema *schema = findForm(node, version);
  return schema && !schema->deprecated() ? schema->since_version() : 0;
}

/// Whether both say the same.
static bool isSame(::onnx::AttributeProto a, ::onnx::AttributeProto b) {
  a.clear_doc_string();
  b.clear_doc_string();
  return a.SerializeAsString() == b.SerializeAsString();
}

void tenon::dropNewDefaults(NodeProto &node, int version) {
  const OpSchema *old = findForm(node, version);
  const OpSchema *newest = findOpSchema(node.domain(), node.op_type());
  if (!old || !newest)
    return;
  auto *attributes = node.mutable_attribute();
  for (int i = attributes->size(); i-- > 0;) {
    const std::string &name = attributes->Get(i).name();
    auto now = newest->attributes().find(name);
    if (!old->attributes().count(name) && now != newest->attributes().end() &&
        isSame(attributes->Get(i), now->second.default_value))
      attributes->DeleteSubrange(i, 1);
  }
}

/// The formal parameter at a position, the last variadic one for all after it.
static const OpSchema::FormalParameter *
getFormal(const std::vector<OpSchema::FormalParameter> &formals, size_t index) {
  if (index < formals.size())
    return &formals[index];
  bool variadic =
      !formals.empty() && formals.back().GetOption() == OpSchema::Variadic;
  return variadic ? &formals.back() : nullptr;
}

static std::optional<std::string>
findTypeMisfit(ArrayRef<Value> values,
               const std::vector<OpSchema::FormalParameter> &formals,
               StringRef what) {
  for (auto [index, value] : llvm::enumerate(values)) {
    const auto *formal = getFormal(formals, index);
    if (!value || !formal)
      continue;
    auto tensor = dyn_cast<TensorType>(value.getType());
    if (!tensor)
      continue;
    auto type = ::onnx::Utils::DataTypeUtils::ToType(
        exportType(UnrankedTensorType::get(tensor.getElementType())));
    if (!formal->GetTypes().count(type))
      return (what + " '" + formal->GetName() + "' of another type than " + *type)
          .str();
  }
  return std::nullopt;
}

std::optional<std::string> tenon::findMisfit(const NodeProto &node,
                                             Operation *op, int version) {
  const OpSchema *schema = findForm(node, version);
  if (!schema || schema->deprecated()) {
    if (!node.domain().empty())
      return std::nullopt;
    return "an opset that has the operator";
  }
  if (node.input_size() < schema->min_input() ||
      node.input_size() > schema->max_input() ||
      node.output_size() < schema->min_output() ||
      node.output_size() > schema->max_output())
    return std::to_string(schema->min_input()) + " to " +
           std::to_string(schema->max_input()) + " inputs and " +
           std::to_string(schema->min_output()) + " to " +
           std::to_string(schema->max_output()) + " outputs";
  for (const auto &attribute : node.attribute())
    if (!schema->attributes().count(attribute.name()))
      return "no attribute '" + attribute.name() + "'";
  for (const auto &[name, attribute] : schema->attributes())
    if (attribute.required &&
        llvm::none_of(node.attribute(), [&, &wanted = name](const auto &given) {
          return given.name() == wanted;
        }))
      return "an attribute '" + name + "'";
  auto known = cast<tenon::onnx::NodeInterface>(op);
  SmallVector<Value> inputs = known.getOnnxInputs();
  inputs.resize(std::min<size_t>(inputs.size(), node.input_size()));
  if (auto misfit = findTypeMisfit(inputs, schema->inputs(), "input"))
    return misfit;
  return findTypeMisfit(known.getOnnxOutputs(), schema->outputs(), "output");
}
