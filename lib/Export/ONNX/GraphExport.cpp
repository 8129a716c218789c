#include "GraphExport.h"

#include "dialects/ONNX/StoredAttr.h"
#include "tenon/OnnxAdaptor/SchemaForms.h"
#include "tenon/OnnxAdaptor/Types.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::exporter;
using ::onnx::GraphProto;
using ::onnx::NodeProto;
using ::onnx::TensorProto;
using ::onnx::ValueInfoProto;

void ExternalData::add(TensorProto &tensor, ArrayRef<char> bytes) {
  constexpr uint64_t kAlignment = 64;
  uint64_t start = (offset + kAlignment - 1) / kAlignment * kAlignment;
  os.write_zeros(start - offset);
  os.write(bytes.data(), bytes.size());
  offset = start + bytes.size();
  tensor.set_data_location(TensorProto::EXTERNAL);
  auto set = [&](const char *key, std::string value) {
    auto *entry = tensor.add_external_data();
    entry->set_key(key);
    entry->set_value(std::move(value));
  };
  set("location", fileName);
  set("offset", std::to_string(start));
  set("length", std::to_string(bytes.size()));
}

static std::string getNodeName(Operation *op) {
  auto named = op->getLoc()->findInstanceOf<NameLoc>();
  return named ? named.getName().str() : "";
}

std::string GraphExporter::getFreeName(StringRef base) {
  std::string name = base.str();
  while (name.empty() || !used.insert(name).second)
    name = (base + "_" + Twine(++counts[base])).str();
  return name;
}

/// The type of an edge; `dims` has the names of symbolic dimensions.
static void setEdge(ValueInfoProto &edge, StringRef name, Type type,
                    ArrayAttr dims) {
  edge.set_name(name.str());
  *edge.mutable_type() = exportType(type);
  auto *shape = edge.mutable_type()->mutable_tensor_type()->mutable_shape();
  for (int i = 0; dims && i < shape->dim_size() && i < int(dims.size()); ++i)
    if (auto text = dyn_cast<StringAttr>(dims[i]);
        text && !text.empty() && !shape->dim(i).has_dim_value())
      shape->mutable_dim(i)->set_dim_param(text.str());
}

static StringRef getName(DictionaryAttr attributes, StringRef otherwise) {
  auto name =
      attributes ? attributes.getAs<StringAttr>("onnx.name") : StringAttr();
  return name ? name.getValue() : otherwise;
}

/// Inputs and outputs keep their names; a value that a node makes for one output
/// alone has that output's.
void GraphExporter::nameEdges(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments()) {
    unsigned index = argument.getArgNumber();
    std::string name = getName(function.getArgAttrDict(index),
                               "input" + std::to_string(index))
                           .str();
    used.insert(name);
    names[argument] = name;
  }
  Operation *end = function.getBody().front().getTerminator();
  for (OpOperand &operand : end->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    std::string name = getName(function.getResultAttrDict(index),
                               "output" + std::to_string(index))
                           .str();
    used.insert(name);
    Operation *op = operand.get().getDefiningOp();
    if (op && !isa<tenon::onnx::ConstantOp>(op))
      names.try_emplace(operand.get(), name);
  }
}

void GraphExporter::addOutput(Value value, StringRef name, GraphProto &graph) {
  std::string &known = names[value];
  if (known == name)
    return;
  NodeProto *identity = graph.add_node();
  identity->set_op_type("Identity");
  identity->add_input(known);
  identity->add_output(name.str());
}

static void collectInputs(const GraphProto &graph, llvm::StringSet<> &names) {
  for (const NodeProto &node : graph.node()) {
    for (const std::string &input : node.input())
      names.insert(input);
    for (const auto &attribute : node.attribute())
      if (attribute.has_g())
        collectInputs(attribute.g(), names);
  }
}

/// Lists that became attributes again are inputs no more.
static void dropUnusedInitializers(GraphProto &graph) {
  llvm::StringSet<> inputs;
  collectInputs(graph, inputs);
  auto *all = graph.mutable_initializer();
  all->erase(std::remove_if(all->begin(), all->end(),
                            [&](const TensorProto &tensor) {
                              return !inputs.contains(tensor.name());
                            }),
             all->end());
}

LogicalResult GraphExporter::run(func::FuncOp function) {
  if (auto module = function->getParentOfType<ModuleOp>())
    domains = module->getAttrOfType<DictionaryAttr>("onnx.domains");
  nameEdges(function);
  GraphProto &graph = *model.mutable_graph();
  graph.set_name(function.getSymName().str());
  for (BlockArgument argument : function.getArguments()) {
    unsigned index = argument.getArgNumber();
    setEdge(*graph.add_input(), names[argument], argument.getType(),
            function.getArgAttrOfType<ArrayAttr>(index, "onnx.dims"));
  }
  useDomain("");
  Block &body = function.getBody().front();
  if (failed(exportBlock(body, graph)))
    return failure();
  for (OpOperand &operand : body.getTerminator()->getOpOperands()) {
    unsigned index = operand.getOperandNumber();
    StringRef name = getName(function.getResultAttrDict(index), "");
    std::string own = name.empty() ? "output" + std::to_string(index)
                                   : name.str();
    addOutput(operand.get(), own, graph);
    setEdge(*graph.add_output(), own, operand.get().getType(),
            function.getResultAttrOfType<ArrayAttr>(index, "onnx.dims"));
  }
  dropUnusedInitializers(graph);
  return success();
}

LogicalResult GraphExporter::exportBlock(Block &block, GraphProto &graph) {
  for (Operation &op : block.without_terminator()) {
    if (auto constant = dyn_cast<tenon::onnx::ConstantOp>(op)) {
      if (failed(addInitializer(constant)))
        return failure();
      continue;
    }
    auto node = dyn_cast<tenon::onnx::NodeInterface>(op);
    if (!node)
      return op.emitOpError("expected a node of the onnx dialect");
    if (failed(exportNode(node, graph)))
      return failure();
  }
  return success();
}

LogicalResult GraphExporter::addTensor(TypedAttr value, StringRef name,
                                       Operation *at) {
  TensorProto *tensor = model.mutable_graph()->add_initializer();
  auto type = dyn_cast<ShapedType>(value.getType());
  bool isLarge = type && !isa<DenseStringElementsAttr>(value) &&
                 tenon::onnx::getByteSize(type) > tenon::onnx::kDenseLimit;
  std::optional<TensorProto> inlined =
      isLarge ? std::nullopt : exportTensor(value);
  FailureOr<ArrayRef<char>> bytes = failure();
  if (isLarge)
    bytes = tenon::onnx::getBytes(value);
  if (!inlined && failed(bytes))
    return at->emitOpError("expected a constant whose bytes can be read");
  if (inlined) {
    *tensor = std::move(*inlined);
  } else {
    tensor->set_data_type(exportElementType(type.getElementType()));
    for (int64_t size : type.getShape())
      tensor->add_dims(size);
    data.add(*tensor, *bytes);
  }
  tensor->set_name(name.str());
  return success();
}

/// All constants are the outermost graph's: inner ones see its names.
LogicalResult GraphExporter::addInitializer(tenon::onnx::ConstantOp constant) {
  std::string name = getFreeName(getNodeName(constant));
  names[constant.getResult()] = name;
  return addTensor(constant.getValue(), name, constant);
}

void GraphExporter::useDomain(const std::string &domain) {
  for (const auto &import : model.opset_import())
    if (import.domain() == domain)
      return;
  auto own = domain.empty() || !domains ? IntegerAttr()
                                        : domains.getAs<IntegerAttr>(domain);
  auto *import = model.add_opset_import();
  import->set_domain(domain);
  import->set_version(domain.empty() ? opset : own ? own.getInt() : 1);
}

void GraphExporter::nameResults(Operation *op) {
  std::string base = getNodeName(op);
  for (Value result : op->getResults())
    if (!names.contains(result))
      names[result] = getFreeName(
          base.empty() ? op->getName().stripDialect().str() : base);
}

LogicalResult GraphExporter::exportAttributes(tenon::onnx::NodeInterface op,
                                              NodeProto &node) {
  for (NamedAttribute attribute : op->getAttrs()) {
    StringRef name = attribute.getName();
    if (name.ends_with("SegmentSizes") || name.contains('.'))
      continue;
    auto exported = exportAttribute(attribute);
    if (!exported)
      return op.emitOpError("expected an attribute that ONNX can have, but got '")
             << name << "'";
    *node.add_attribute() = std::move(*exported);
  }
  return success();
}

/// Regions stand in the order of their attributes' names.
LogicalResult GraphExporter::exportRegions(tenon::onnx::NodeInterface op,
                                           NodeProto &node) {
  for (Region &region : op->getRegions()) {
    bool isBranch = isa<tenon::onnx::IfOp>(op);
    StringRef name = !isBranch                      ? "body"
                     : region.getRegionNumber() == 0 ? "else_branch"
                                                     : "then_branch";
    auto *attribute = node.add_attribute();
    attribute->set_name(name.str());
    attribute->set_type(::onnx::AttributeProto::GRAPH);
    GraphProto &graph = *attribute->mutable_g();
    graph.set_name(getFreeName(name));
    for (BlockArgument argument : region.getArguments()) {
      names[argument] = getFreeName("argument");
      setEdge(*graph.add_input(), names[argument], argument.getType(), {});
    }
    if (failed(exportBlock(region.front(), graph)))
      return failure();
    for (Value value : region.front().getTerminator()->getOperands()) {
      // A graph's own node has to give it, and to each output once.
      std::string output = getFreeName("result");
      addOutput(value, output, graph);
      setEdge(*graph.add_output(), output, value.getType(), {});
    }
  }
  return success();
}

LogicalResult GraphExporter::exportNode(tenon::onnx::NodeInterface op,
                                        GraphProto &graph) {
  NodeProto node;
  node.set_name(getNodeName(op));
  node.set_op_type(op.getOnnxName().str());
  node.set_domain(op.getOnnxDomain().str());
  useDomain(node.domain());
  for (Value input : op.getOnnxInputs())
    node.add_input(input ? names.lookup(input) : "");
  nameResults(op);
  for (Value output : op.getOnnxOutputs())
    node.add_output(output ? names.lookup(output) : "");
  if (failed(exportAttributes(op, node)) || failed(exportRegions(op, node)))
    return failure();
  // ONNX Runtime's own operator, which exporters write in the default domain.
  bool isForeign = isa<tenon::onnx::SimplifiedLayerNormalizationOp>(op);
  if (node.domain().empty() && !isForeign) {
    auto addInitializer = [&](TensorProto tensor) {
      tensor.set_name(getFreeName("constant"));
      *model.mutable_graph()->add_initializer() = tensor;
      return tensor.name();
    };
    OldNode old{node, op, getFormVersion(node, opset), addInitializer};
    std::string reason;
    if (failed(downgrade(old, reason)))
      return op.emitOpError("expected ")
             << reason << " in opset " << opset << ", but got another form";
    dropNewDefaults(node, opset);
    if (auto misfit = findMisfit(node, op, opset))
      return op.emitOpError("expected ")
             << *misfit << " in opset " << opset << ", but got another form";
  }
  *graph.add_node() = std::move(node);
  return success();
}
