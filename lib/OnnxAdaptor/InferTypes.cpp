// Shows one MLIR operation to ONNX's inference functions. Compiled with
// exceptions, which end here.

#include "tenon/OnnxAdaptor/InferTypes.h"
#include "ContribTypes.h"
#include "OpSchemas.h"
#include "dialects/ONNX/StoredAttr.h"
#include "tenon/OnnxAdaptor/Schemas.h"
#include "tenon/OnnxAdaptor/Types.h"

#include "onnx/defs/shape_inference.h"

#include <map>
#include <stdexcept>

using namespace mlir;
using namespace tenon;
using ::onnx::OpSchema;
using ::onnx::TensorProto;
using ::onnx::TypeProto;
using tenon::onnx::NodeInterface;

namespace {

/// Says what a region yields now; whoever changes the types of its arguments
/// infers it anew.
class RegionInferencer : public ::onnx::GraphInferencer {
public:
  explicit RegionInferencer(Region &region) {
    for (Type type : region.back().getTerminator()->getOperandTypes())
      types.push_back(exportType(type));
  }
  std::vector<const TypeProto *>
  doInferencing(const std::vector<const TypeProto *> &,
                const std::vector<const TensorProto *> &) override {
    std::vector<const TypeProto *> pointers;
    for (const TypeProto &type : types)
      pointers.push_back(&type);
    return pointers;
  }

private:
  std::vector<TypeProto> types;
};

class NodeContext : public ::onnx::InferenceContext {
public:
  NodeContext(NodeInterface node, ArrayRef<Value> onnxInputs) : node(node) {
    for (Value input : onnxInputs) {
      inputs.push_back(input ? exportType(input.getType()) : TypeProto());
      values.push_back(input);
    }
    constants.resize(values.size());
    for (Value output : node.getOnnxOutputs())
      present.push_back(bool(output));
    outputs.resize(present.size());
  }

  const ::onnx::AttributeProto *
  getAttribute(const std::string &name) const override {
    auto known = attributes.find(name);
    if (known == attributes.end()) {
      std::optional<::onnx::AttributeProto> proto;
      Attribute value = node->getAttr(name);
      if (value)
        proto = exportAttribute(
            NamedAttribute(StringAttr::get(node.getContext(), name), value));
      known = attributes.emplace(name, std::move(proto)).first;
    }
    return known->second ? &*known->second : nullptr;
  }

  size_t getNumInputs() const override { return inputs.size(); }
  const TypeProto *getInputType(size_t i) const override {
    return i < inputs.size() && values[i] ? &inputs[i] : nullptr;
  }
  const TensorProto *getInputData(size_t i) const override {
    if (i >= values.size() || !values[i])
      return nullptr;
    if (!constants[i])
      if (TypedAttr value = tenon::onnx::getConstant(values[i]))
        constants[i] = exportTensor(value, tenon::onnx::kDenseLimit);
    return constants[i] ? &*constants[i] : nullptr;
  }
  const ::onnx::SparseTensorProto *getInputSparseData(size_t) const override {
    return nullptr;
  }
  const ::onnx::TensorShapeProto *getSymbolicInput(size_t) const override {
    return nullptr;
  }

  size_t getNumOutputs() const override { return outputs.size(); }
  bool hasOutput(size_t i) override { return i < present.size() && present[i]; }
  TypeProto *getOutputType(size_t i) override { return &outputs.at(i); }

  ::onnx::GraphInferencer *
  getGraphAttributeInferencer(const std::string &name) override {
    // Regions stand in the order of their attributes' names.
    unsigned index = name == "then_branch" ? 1 : 0;
    if (index >= node->getNumRegions() || node->getRegion(index).empty())
      return nullptr;
    auto &inferencer = inferencers[index];
    if (!inferencer)
      inferencer = std::make_unique<RegionInferencer>(node->getRegion(index));
    return inferencer.get();
  }

  mutable NodeInterface node;
  std::vector<TypeProto> inputs, outputs;
  SmallVector<Value> values;
  SmallVector<bool> present;
  mutable std::vector<std::optional<TensorProto>> constants;
  mutable std::map<std::string, std::optional<::onnx::AttributeProto>>
      attributes;
  std::map<unsigned, std::unique_ptr<RegionInferencer>> inferencers;
};

} // namespace

namespace {
/// A com.microsoft operator whose shapes are those of a standard one on some of
/// its inputs.
struct Analogue {
  StringRef name, standard;
  SmallVector<unsigned> inputs;
  /// The input whose element type the result has; of Y where it is absent: f32.
  unsigned typeFrom;
};
} // namespace

static const Analogue *findAnalogue(NodeInterface node) {
  static const Analogue kAnalogues[] = {
      {"FusedConv", "Conv", {0, 1, 2}, 0},
      {"FusedGemm", "Gemm", {0, 1, 2}, 0},
      {"DynamicQuantizeMatMul", "MatMul", {0, 1}, 0},
      {"MatMulIntegerToFloat", "MatMul", {0, 1}, 2},
      {"QuantizeLinear", "QuantizeLinear", {0, 1, 2}, 2},
      {"DequantizeLinear", "DequantizeLinear", {0, 1, 2}, 1},
      {"QGemm", "Gemm", {0, 3, 6}, 8},
      {"QLinearAdd", "Add", {0, 3}, 0},
      {"QLinearMul", "Mul", {0, 3}, 0},
      {"QLinearSigmoid", "Sigmoid", {0}, 0},
      {"QLinearLeakyRelu", "LeakyRelu", {0}, 0},
      {"QLinearSoftmax", "Softmax", {0}, 0},
      {"QLinearGlobalAveragePool", "GlobalAveragePool", {0}, 0},
      {"QLinearAveragePool", "AveragePool", {0}, 0},
  };
  if (node.getOnnxDomain() != "com.microsoft")
    return nullptr;
  for (const Analogue &analogue : kAnalogues)
    if (analogue.name == node.getOnnxName())
      return &analogue;
  return nullptr;
}

/// `type` with another element type.
static Type withElement(Type type, Type element) {
  auto tensor = dyn_cast_or_null<TensorType>(type);
  if (!tensor)
    return UnrankedTensorType::get(element);
  return tensor.hasRank()
             ? Type(RankedTensorType::get(tensor.getShape(), element))
             : Type(UnrankedTensorType::get(element));
}

static void inferByAnalogue(NodeInterface node, const Analogue &analogue,
                            SmallVectorImpl<Type> &types) {
  SmallVector<Value> all = node.getOnnxInputs(), some;
  for (unsigned index : analogue.inputs)
    some.push_back(index < all.size() ? all[index] : Value());
  while (!some.empty() && !some.back())
    some.pop_back();
  Type element = Float32Type::get(node.getContext());
  if (analogue.name == "QuantizeLinear")
    element = IntegerType::get(node.getContext(), 8, IntegerType::Unsigned);
  if (analogue.typeFrom < all.size() && all[analogue.typeFrom])
    element =
        cast<TensorType>(all[analogue.typeFrom].getType()).getElementType();
  NodeContext context(node, some);
  auto channelsLast = node->getAttrOfType<IntegerAttr>("channels_last");
  if (!channelsLast || channelsLast.getInt() == 0)
    findOpSchema("", analogue.standard.str())
        ->GetTypeAndShapeInferenceFunction()(context);
  types.push_back(
      withElement(importType(node.getContext(), context.outputs[0]), element));
}

/// QLinearConcat(y scale, y zero, [x, scale, zero]...) has the types of
/// Concat(x...).
static void inferQLinearConcat(NodeInterface node,
                               SmallVectorImpl<Type> &types) {
  SmallVector<Value> tensors;
  SmallVector<Value> all = node.getOnnxInputs();
  if (all.size() < 5 || all.size() % 3 != 2)
    throw std::invalid_argument("expected triples of tensor, scale and zero "
                                "point");
  for (size_t i = 2; i < all.size(); i += 3)
    tensors.push_back(all[i]);
  NodeContext context(node, tensors);
  findOpSchema("", "Concat")->GetTypeAndShapeInferenceFunction()(context);
  types.push_back(
      withElement(importType(node.getContext(), context.outputs[0]),
                  cast<TensorType>(all[1].getType()).getElementType()));
}

/// The newest schema of a node; that of a deprecated operator is its last one.
static const OpSchema *newestSchema(NodeInterface node) {
  return findOpSchema(node.getOnnxDomain().str(), node.getOnnxName().str());
}

/// Where inference was silent: the type of an input bound to the same type
/// variable, or the only type that the schema allows.
static Type typeBySchema(const OpSchema &schema, NodeContext &context,
                         unsigned index) {
  const auto &formals = schema.outputs();
  const auto &formal = formals[std::min<size_t>(index, formals.size() - 1)];
  MLIRContext *mlirContext = context.node.getContext();
  for (auto [i, input] : llvm::enumerate(schema.inputs())) {
    if (i >= context.values.size() || !context.values[i] ||
        input.GetTypeStr() != formal.GetTypeStr())
      continue;
    if (auto tensor = dyn_cast<TensorType>(context.values[i].getType()))
      return UnrankedTensorType::get(tensor.getElementType());
    return context.values[i].getType();
  }
  if (formal.GetTypes().size() != 1)
    return nullptr;
  return importType(mlirContext, ::onnx::Utils::DataTypeUtils::ToTypeProto(
                                     *formal.GetTypes().begin()));
}

/// Whether a Resize has sizes or scales of unknown length, which ONNX's
/// inference takes for a wrong number of them.
static bool hasUnknownLengths(NodeInterface node) {
  if (!isa<tenon::onnx::ResizeOp>(node))
    return false;
  return llvm::any_of(node.getOnnxInputs(), [](Value input) {
    auto list = input ? dyn_cast<RankedTensorType>(input.getType())
                      : RankedTensorType();
    return list && list.getRank() == 1 && list.isDynamicDim(0);
  });
}

/// The first input's element type and, where it is known, its rank.
static Type withDynamicSizes(Type input) {
  auto type = dyn_cast<RankedTensorType>(input);
  if (!type)
    return input;
  SmallVector<int64_t> sizes(type.getRank(), ShapedType::kDynamic);
  return RankedTensorType::get(sizes, type.getElementType());
}

static LogicalResult inferBySchema(NodeInterface node,
                                   SmallVectorImpl<Type> &types,
                                   std::string &error) {
  const OpSchema *schema = newestSchema(node);
  if (!schema) {
    error =
        "expected a schema of '" + node.getOnnxName().str() + "', but got none";
    return failure();
  }
  NodeContext context(node, node.getOnnxInputs());
  // Some of ONNX's functions assert what they do not check.
  int count = context.getNumInputs();
  if (count < schema->min_input() || count > schema->max_input()) {
    error = "expected " + std::to_string(schema->min_input()) + " to " +
            std::to_string(schema->max_input()) + " inputs, but got " +
            std::to_string(count);
    return failure();
  }
  if (hasUnknownLengths(node) && context.values[0]) {
    types.push_back(withDynamicSizes(context.values[0].getType()));
    return success();
  }
  schema->GetTypeAndShapeInferenceFunction()(context);
  for (auto [index, there] : llvm::enumerate(context.present)) {
    if (!there)
      continue;
    Type type = importType(node.getContext(), context.outputs[index]);
    if (!type)
      type = typeBySchema(*schema, context, index);
    if (!type) {
      error = "expected output " + std::to_string(index) +
              " to have a type, but ONNX infers none";
      return failure();
    }
    types.push_back(type);
  }
  return success();
}

LogicalResult tenon::inferResultTypes(Operation *op,
                                      SmallVectorImpl<Type> &types,
                                      std::string &error) {
  types.clear();
  if (auto constant = dyn_cast<tenon::onnx::ConstantOp>(op)) {
    types.push_back(constant.getValue().getType());
    return success();
  }
  auto node = dyn_cast<NodeInterface>(op);
  if (!node) {
    error = "expected a node of the onnx dialect";
    return failure();
  }
  bool standard = node.getOnnxDomain().empty() &&
                  !isa<tenon::onnx::SimplifiedLayerNormalizationOp>(op);
  bool tensors = llvm::all_of(op->getOperandTypes(),
                              [](Type type) { return isa<TensorType>(type); });
  if (!standard && !tensors) {
    error = "expected tensors as operands";
    return failure();
  }
  if (inferContribTypes(op, types))
    return success();
  try {
    if (const Analogue *analogue = findAnalogue(node))
      return inferByAnalogue(node, *analogue, types), success();
    if (isa<tenon::onnx::MsQLinearConcatOp>(op))
      return inferQLinearConcat(node, types), success();
    return inferBySchema(node, types, error);
  } catch (const std::exception &exception) {
    error = StringRef(exception.what()).trim().str();
    return failure();
  }
}

LogicalResult tenon::inferResultTypes(Operation *op,
                                      SmallVectorImpl<Type> &types) {
  std::string error;
  if (succeeded(inferResultTypes(op, types, error)))
    return success();
  return op->emitOpError(error);
}
