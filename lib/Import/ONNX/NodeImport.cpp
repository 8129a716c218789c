// Nodes: look up inputs, convert attributes, upgrade, build, infer types.

#include "GraphImport.h"
#include "dialects/ONNX/StoredAttr.h"
#include "tenon/OnnxAdaptor/FunctionBody.h"
#include "tenon/OnnxAdaptor/InferTypes.h"
#include "tenon/OnnxAdaptor/Schemas.h"
#include "tenon/OnnxAdaptor/Types.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::import;
using ::onnx::AttributeProto;
using ::onnx::NodeProto;

constexpr unsigned kMaxDepth = 64;
/// Its operators are not in the dialect: those with a function body are that.
constexpr StringLiteral kPreviewDomain = "ai.onnx.preview";

/// The mnemonic of an operator, or "" if its domain has none.
static std::string mnemonicOf(StringRef domain, StringRef op) {
  // ONNX Runtime's own operators that exporters write in either domain.
  if (domain == "com.microsoft" &&
      (op == "SimplifiedLayerNormalization" || op == "LayerNormalization"))
    domain = "";
  StringRef prefix = llvm::StringSwitch<StringRef>(domain)
                         .Case("", "onnx.")
                         .Case("ai.onnx.ml", "onnx.ml.")
                         .Case("com.microsoft", "onnx.ms.")
                         .Case("ai.tenon", "onnx.tenon.")
                         .Default("");
  return prefix.empty() ? "" : (prefix + op).str();
}

/// Where inference knows no rank, that which the model declares; not the sizes,
/// which are stale in files that were edited.
static void useDeclaredRank(Value value, const ::onnx::ValueInfoProto &info) {
  auto inferred = dyn_cast<UnrankedTensorType>(value.getType());
  auto declared = dyn_cast_or_null<RankedTensorType>(
      importType(value.getContext(), info.type()));
  if (!inferred || !declared ||
      inferred.getElementType() != declared.getElementType())
    return;
  SmallVector<int64_t> shape(declared.getRank(), ShapedType::kDynamic);
  value.setType(RankedTensorType::get(shape, inferred.getElementType()));
}

/// A node's name, and what it is in its model: every later message can say
/// both.
static Location makeNodeLoc(StringRef name, StringRef origin, Location file) {
  MLIRContext *context = file.getContext();
  Location kind =
      FusedLoc::get(context, {file}, StringAttr::get(context, origin));
  return NameLoc::get(StringAttr::get(context, name), kind);
}

Node GraphImporter::nameNode(const NodeProto &proto, const Scope &scope) const {
  StringRef domain = proto.domain();
  if (domain == "ai.onnx")
    domain = "";
  std::string name = proto.name();
  for (int i = 0; name.empty() && i < proto.output_size(); ++i)
    name = proto.output(i);
  name = scope.prefix + name;
  auto opset = scope.opsets->find(domain);
  std::string version =
      opset == scope.opsets->end() ? "none" : std::to_string(opset->second);
  std::string origin = proto.op_type() + ", domain '" +
                       (domain.empty() ? "ai.onnx" : domain.str()) +
                       "', version " + version;
  return Node{"'" + name + "' (" + origin + ")",
              makeNodeLoc(name, origin, fileLoc), domain.str(),
              proto.op_type()};
}

LogicalResult GraphImporter::importNode(const NodeProto &proto, Scope &scope) {
  Node node = nameNode(proto, scope);
  if (scope.depth > kMaxDepth)
    return node.emitError() << "expected at most " << kMaxDepth
                            << " nested graphs and functions, but got more";

  SmallVector<Value> results;
  if (failed(readNode(proto, scope, node))) {
    // What is wrong with the operator itself is reported all the same.
    if (keepGoing && !functions.count(node.domain + "::" + node.op +
                                      "::" + proto.overload()))
      (void)checkVersion(node, scope);
    return failure();
  }
  if (failed(buildOp(proto, node, scope, results)))
    return failure();
  for (auto [output, value] : llvm::zip(proto.output(), results)) {
    if (output.empty() || !value)
      continue;
    auto info = scope.valueInfos.find(output);
    if (info != scope.valueInfos.end())
      useDeclaredRank(value, *info->second);
    if (failed(define(output, value, scope, node)))
      return failure();
  }
  return success();
}

LogicalResult GraphImporter::readNode(const NodeProto &proto, Scope &scope,
                                      Node &node) {
  for (const std::string &input : proto.input()) {
    Value value;
    if (!input.empty()) {
      FailureOr<Value> found = lookup(input, scope);
      if (failed(found))
        return failure();
      // It was refused for a reason that has been reported.
      if (isMissing(input, scope))
        return failure();
      if (!*found && !isAbsent(input, scope))
        return node.emitError() << "expected a value '" << input
                                << "' defined before the node, but got none";
      value = *found;
    }
    node.inputs.push_back(value);
  }
  // A name left out at the end is as good as none.
  while (!node.inputs.empty() && !node.inputs.back())
    node.inputs.pop_back();
  for (const std::string &output : proto.output())
    node.outputs.push_back(!output.empty());
  return readAttributes(proto, scope, node);
}

LogicalResult GraphImporter::readAttributes(const NodeProto &proto,
                                            Scope &scope, Node &node) {
  for (const AttributeProto &attribute : proto.attribute()) {
    if (node.attributes.get(attribute.name()))
      return node.emitError() << "expected one attribute '" << attribute.name()
                              << "', but got another";
    if (!attribute.ref_attr_name().empty()) {
      // An attribute that the caller did not give is absent here too.
      if (scope.bindings)
        if (Attribute bound = scope.bindings->get(attribute.ref_attr_name()))
          node.attributes.append(attribute.name(), bound);
      continue;
    }
    if (attribute.type() == AttributeProto::GRAPH) {
      node.graphs.emplace_back(attribute.name(), &attribute.g());
      continue;
    }
    FailureOr<Attribute> value = importAttribute(
        context, attribute, file, [&] { return node.emitError(); });
    if (failed(value))
      return failure();
    node.attributes.append(attribute.name(), *value);
  }
  return success();
}

/// No operator that has an upgrade takes sequences or strings.
static LogicalResult checkTensors(const Node &node) {
  for (Value input : node.inputs) {
    auto type = input ? dyn_cast<TensorType>(input.getType()) : nullptr;
    bool number = type && !isa<tenon::onnx::StringType>(type.getElementType());
    if (input && !number)
      return node.emitError()
             << "expected tensors of numbers, but got " << input.getType();
  }
  return success();
}

LogicalResult GraphImporter::buildOp(const NodeProto &proto, Node &node,
                                     Scope &scope, Values &results) {
  auto function =
      functions.find(node.domain + "::" + node.op + "::" + proto.overload());
  if (function != functions.end())
    return inlineFunction(*function->second, node, scope, results);
  if (failed(checkVersion(node, scope)))
    return failure();
  if (node.domain == kPreviewDomain)
    return expandPreview(proto, node, scope, results);
  if (node.domain.empty() && node.op == "Constant")
    return emitConstant(node, results);
  if (node.domain.empty() && node.op == "Scan" && node.version < 9)
    return emitBatchedScan(node, scope, results);
  if (node.domain.empty()) {
    auto upgrade = upgrades.find(node.op);
    NodeBuilder nodeBuilder(builder, node);
    if (upgrade != upgrades.end() &&
        (failed(checkTensors(node)) ||
         failed(upgrade->second(node, nodeBuilder, results))))
      return failure();
    if (!results.empty())
      return success();
  }
  return emitNode(node, scope, results);
}

/// node -> its function body, in which graphs that are attributes are inlined
LogicalResult GraphImporter::expandPreview(const NodeProto &proto, Node &node,
                                           Scope &scope, Values &results) {
  for (auto &[name, graph] : node.graphs)
    if (graph->input_size() != 1 || graph->output_size() != 1)
      return node.emitError()
             << "expected graph '" << name
             << "' to have one input and one output, but got "
             << graph->input_size() << " and " << graph->output_size();
  std::optional<::onnx::FunctionProto> body =
      buildFunctionBody(proto, node.inputs);
  if (!body)
    return node.emitError()
           << "expected a supported operator, but got '" << node.op << "'";
  node.graphs.clear();
  bool hasDefault = llvm::any_of(body->opset_import(), [](const auto &import) {
    return import.domain().empty();
  });
  if (auto opset = scope.opsets->find(""); !hasDefault) {
    auto *import = body->add_opset_import();
    import->set_version(opset == scope.opsets->end() ? kNewestOpset
                                                     : opset->second);
  }
  return inlineFunction(*body, node, scope, results);
}

/// Finds the form that the node is written in, and refuses attributes that it
/// does not have.
LogicalResult GraphImporter::checkVersion(Node &node, Scope &scope) {
  std::string mnemonic = mnemonicOf(node.domain, node.op);
  bool known = !mnemonic.empty() &&
               RegisteredOperationName::lookup(mnemonic, context).has_value();
  auto opset = scope.opsets->find(node.domain);
  bool preview = node.domain == kPreviewDomain;
  bool standard = node.domain.empty() || node.domain == "ai.onnx.ml" || preview;
  std::optional<SchemaInfo> schema;
  if (standard && opset == scope.opsets->end())
    return node.emitError() << "expected the model to import the operator's "
                               "domain, but got no such import";
  if (standard) {
    schema = findSchema(node.domain, node.op, opset->second);
    // ONNX Runtime's exporters write it in the default domain before opset 17.
    if (!schema && node.op == "LayerNormalization")
      schema = findSchema(node.domain, node.op, kNewestOpset);
    known = known || upgrades.count(node.op);
    // A deprecated form that a newer opset has under the same name is upgraded.
    if (schema && node.domain.empty() && opset->second < kOldestOpset &&
        schema->sinceVersion !=
            findSchema(node.domain, node.op, kOldestOpset)->sinceVersion)
      return node.emitError()
             << "expected opset " << kOldestOpset << " to " << kNewestOpset
             << " for an operator that has changed since, but got "
             << opset->second;
    known = known || (preview && schema);
    if (schema && schema->deprecated && node.domain.empty() &&
        findSchema(node.domain, node.op, kNewestOpset)->deprecated)
      return node.emitError()
             << "expected an operator of this version, but got "
                "one that is no longer in it";
  }
  bool contrib =
      node.domain.empty() && node.op == "SimplifiedLayerNormalization";
  if (!known && !(standard && schema && node.op == "Constant"))
    return node.emitError()
           << "expected a supported operator, but got '" << node.op << "'";
  if (!schema)
    return standard && !contrib
               ? LogicalResult(node.emitError()
                               << "expected an operator of this version, but "
                                  "got one that is not in it")
               : success();
  node.version = schema->sinceVersion;
  for (NamedAttribute attribute : node.attributes)
    if (!llvm::is_contained(schema->attributes, attribute.getName().str()))
      return node.emitError()
             << "expected an attribute of the operator, but got "
             << attribute.getName();
  return success();
}

/// Constant {value | value_int | ... | sparse_value} -> onnx.Constant {value}
LogicalResult GraphImporter::emitConstant(Node &node, Values &results) {
  if (node.attributes.getAttrs().size() != 1 || node.outputs.size() != 1)
    return node.emitError() << "expected one attribute and one output, but got "
                            << node.attributes.getAttrs().size() << " and "
                            << node.outputs.size();
  Attribute value = node.attributes.begin()->getValue();
  TypedAttr tensor = dyn_cast<TypedAttr>(value);
  auto tensorType = [](ArrayRef<int64_t> shape, Type element) {
    return RankedTensorType::get(shape, element);
  };
  Type text = tenon::onnx::StringType::get(context);
  if (isa<IntegerAttr, FloatAttr>(value)) {
    tensor = DenseElementsAttr::get(tensorType({}, tensor.getType()), value);
  } else if (auto ints = dyn_cast<DenseI64ArrayAttr>(value)) {
    tensor = builder.getI64TensorAttr(ints.asArrayRef());
  } else if (auto floats = dyn_cast<DenseF32ArrayAttr>(value)) {
    tensor = DenseElementsAttr::get(
        tensorType(floats.size(), builder.getF32Type()), floats.asArrayRef());
  } else if (auto string = dyn_cast<StringAttr>(value)) {
    tensor =
        DenseStringElementsAttr::get(tensorType({}, text), string.getValue());
  } else if (auto array = dyn_cast<ArrayAttr>(value)) {
    SmallVector<StringRef> strings(array.getAsValueRange<StringAttr>());
    tensor =
        DenseStringElementsAttr::get(tensorType(strings.size(), text), strings);
  }
  if (!tensor || !isa<RankedTensorType>(tensor.getType()))
    return node.emitError() << "expected a tensor, but got " << value;
  results.push_back(tenon::onnx::ConstantOp::create(builder, node.loc, tensor));
  return success();
}

/// The types that results have until they are inferred; null for absent ones.
static SmallVector<Type> placeholders(const Node &node, StringRef signature,
                                      Builder &builder) {
  Type placeholder = UnrankedTensorType::get(builder.getF32Type());
  SmallVector<Type> types;
  for (auto [index, wanted] : llvm::enumerate(node.outputs)) {
    char letter = index < signature.size() ? signature[index]
                  : signature.empty()      ? '?'
                                           : signature.back();
    types.push_back(wanted || letter != '?' ? placeholder : Type());
  }
  while (!types.empty() && !types.back())
    types.pop_back();
  // A required output that the node does not name is there all the same.
  for (size_t i = types.size(); i < signature.size(); ++i) {
    if (signature[i] != '1')
      break;
    types.push_back(placeholder);
  }
  return types;
}

/// An attribute of a type that the operator does not have is lost on the way.
static LogicalResult checkAttributes(Operation *op, const Node &node) {
  for (NamedAttribute attribute : node.attributes)
    if (op->getAttr(attribute.getName()) != attribute.getValue())
      return node.emitError()
             << "expected attribute " << attribute.getName()
             << " to have the type that the operator gives it, but got "
             << attribute.getValue();
  return success();
}

Operation *GraphImporter::createNode(const Node &node, unsigned numRegions) {
  std::string mnemonic = mnemonicOf(node.domain, node.op);
  auto info = RegisteredOperationName::lookup(mnemonic, context);
  auto *interface =
      info ? info->getInterface<tenon::onnx::NodeInterface>() : nullptr;
  if (!interface) {
    node.emitError() << "expected a supported operator, but got '" << node.op
                     << "'";
    return nullptr;
  }
  SmallVector<Type> types =
      placeholders(node, interface->getOutputSignature(), builder);
  Operation *op =
      tenon::onnx::buildNode(builder, node.loc, mnemonic, node.inputs, types,
                             node.attributes, numRegions);
  if (!op)
    node.emitError() << "expected inputs and outputs that fit '"
                     << interface->getInputSignature() << "' and '"
                     << interface->getOutputSignature() << "', but got "
                     << node.inputs.size() << " and " << node.outputs.size();
  return op && succeeded(checkAttributes(op, node)) ? op : nullptr;
}

LogicalResult GraphImporter::finishNode(Operation *op, const Node &node,
                                        Values &results) {
  // Attributes and regions must fit before ONNX's code looks at them.
  if (failed(op->getName().verifyInvariants(op)) ||
      failed(setInferredTypes(op, node)))
    return failure();
  auto positions = cast<tenon::onnx::NodeInterface>(op).getOnnxOutputs();
  positions.resize(node.outputs.size());
  results.append(positions.begin(), positions.end());
  return success();
}

LogicalResult GraphImporter::emitNode(Node &node, Scope &scope,
                                      Values &results) {
  llvm::sort(node.graphs);
  Operation *op = createNode(node, node.graphs.size());
  if (!op)
    return failure();
  for (auto [graph, region] : llvm::zip(node.graphs, op->getRegions()))
    if (failed(importRegion(*graph.second, region, node, scope)))
      return failure();
  return finishNode(op, node, results);
}

LogicalResult GraphImporter::importBody(const ::onnx::FunctionProto &function,
                                        const Node &node, OpBuilder &at,
                                        Values &results) {
  builder.restoreInsertionPoint(at.saveInsertionPoint());
  Scope none;
  return inlineFunction(function, node, none, results);
}

LogicalResult
GraphImporter::inlineFunction(const ::onnx::FunctionProto &function,
                              const Node &node, Scope &outer, Values &results) {
  if (!node.graphs.empty())
    return node.emitError() << "expected a call of a function without graph "
                               "attributes, but got '"
                            << node.graphs.front().first << "'";
  llvm::StringMap<int64_t> functionOpsets;
  for (const auto &import : function.opset_import())
    functionOpsets[import.domain() == "ai.onnx" ? "" : import.domain()] =
        import.version();
  NamedAttrList bindings(node.attributes);
  for (const AttributeProto &attribute : function.attribute_proto()) {
    if (bindings.get(attribute.name()))
      continue;
    FailureOr<Attribute> value = importAttribute(
        context, attribute, file, [&] { return node.emitError(); });
    if (failed(value))
      return failure();
    bindings.append(attribute.name(), *value);
  }

  Scope scope;
  scope.opsets = &functionOpsets;
  scope.bindings = &bindings;
  scope.depth = outer.depth + 1;
  scope.prefix = cast<NameLoc>(node.loc).getName().getValue().str() + "/";
  if (node.inputs.size() > size_t(function.input_size()))
    return node.emitError() << "expected at most " << function.input_size()
                            << " inputs, but got " << node.inputs.size();
  for (auto [index, name] : llvm::enumerate(function.input()))
    scope.values[name] = node.input(index);
  if (failed(importNodes(function.node(), scope)))
    return failure();
  for (auto [index, name] : llvm::enumerate(function.output())) {
    auto value = scope.values.find(name);
    bool wanted = index < node.outputs.size() && node.outputs[index];
    if (scope.missing.contains(name))
      return failure();
    if (value == scope.values.end() && !wanted) {
      results.push_back(nullptr);
      continue;
    }
    if (value == scope.values.end())
      return node.emitError() << "expected the function to define '" << name
                              << "', but got no such value";
    results.push_back(value->second);
  }
  results.resize(node.outputs.size());
  return success();
}
