// The entry function, graphs and their names. Nodes are in NodeImport.cpp.

#include "GraphImport.h"
#include "tenon/OnnxAdaptor/Schemas.h"
#include "tenon/OnnxAdaptor/Types.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::import;
using ::onnx::GraphProto;
using ::onnx::NodeProto;
using ::onnx::ValueInfoProto;

/// The default domain has two names.
static StringRef canonicalDomain(StringRef domain) {
  return domain == "ai.onnx" ? "" : domain;
}

GraphImporter::GraphImporter(const ::onnx::ModelProto &model,
                             const ModelFile &file, ModuleOp module,
                             bool keepGoing)
    : context(module.getContext()), model(model), file(file), module(module),
      fileLoc(FileLineColLoc::get(context, file.getPath(), 0, 0)),
      builder(module.getBodyRegion()), keepGoing(keepGoing) {
  addInputUpgrades(upgrades);
  addMeaningUpgrades(upgrades);
  for (const auto &import : model.opset_import())
    opsets[canonicalDomain(import.domain())] = import.version();
}

LogicalResult GraphImporter::checkFunctions() {
  for (const auto &function : model.functions()) {
    std::string key = canonicalDomain(function.domain()).str() +
                      "::" + function.name() + "::" + function.overload();
    if (!functions.try_emplace(key, &function).second)
      return emitError() << "expected one function " << key
                         << ", but got another";
  }
  return success();
}

void GraphImporter::openGraph(const GraphProto &graph, Scope &scope) {
  for (const auto &tensor : graph.initializer())
    scope.initializers[tensor.name()] = &tensor;
  for (const auto &tensor : graph.sparse_initializer())
    scope.sparseInitializers[tensor.values().name()] = &tensor;
  for (const auto &info : graph.value_info())
    scope.valueInfos[info.name()] = &info;
  for (const auto &info : graph.output())
    scope.valueInfos[info.name()] = &info;
}

/// The type of a graph's input or output, which must be a tensor of numbers.
static FailureOr<TensorType>
edgeType(MLIRContext *context, const ValueInfoProto &info, StringRef what,
         function_ref<InFlightDiagnostic()> emitError) {
  auto refuse = [&](const Twine &found) -> FailureOr<TensorType> {
    return emitError() << "expected " << what << " '" << info.name()
                       << "' to be a tensor of numbers, but got " << found;
  };
  switch (info.type().value_case()) {
  case ::onnx::TypeProto::kTensorType:
    break;
  case ::onnx::TypeProto::kMapType:
    return refuse("a map");
  case ::onnx::TypeProto::kSequenceType:
    return refuse("a sequence");
  case ::onnx::TypeProto::kOptionalType:
    return refuse("an optional");
  case ::onnx::TypeProto::kSparseTensorType:
    return refuse("a sparse tensor");
  default:
    return refuse("no type");
  }
  int32_t element = info.type().tensor_type().elem_type();
  if (element == ::onnx::TensorProto::STRING)
    return refuse("a tensor of strings");
  if (Type type = importType(context, info.type()))
    return cast<TensorType>(type);
  return refuse("element type " + Twine(element));
}

/// ["batch", "seq", ""]: the names of an edge's symbolic dimensions.
static ArrayAttr dimNames(Builder &builder, const ValueInfoProto &info) {
  SmallVector<Attribute> names;
  for (const auto &dim : info.type().tensor_type().shape().dim())
    names.push_back(builder.getStringAttr(dim.dim_param()));
  return builder.getArrayAttr(names);
}

LogicalResult GraphImporter::importInputs(func::FuncOp func, Scope &scope) {
  Block *entry = func.addEntryBlock();
  SmallVector<DictionaryAttr> attributes;
  for (const ValueInfoProto &input : model.graph().input()) {
    if (scope.initializers.count(input.name()) ||
        scope.sparseInitializers.count(input.name()))
      continue; // a constant that is listed as an input too
    FailureOr<TensorType> type =
        edgeType(context, input, "input", [&] { return emitError(); });
    if (failed(type))
      return failure();
    Location loc = NameLoc::get(builder.getStringAttr(input.name()), fileLoc);
    if (!scope.values.try_emplace(input.name(), entry->addArgument(*type, loc))
             .second)
      return emitError() << "expected one input '" << input.name()
                         << "', but got another";
    NamedAttrList list;
    list.append("onnx.name", builder.getStringAttr(input.name()));
    if (type->hasRank())
      list.append("onnx.dims", dimNames(builder, input));
    attributes.push_back(list.getDictionary(context));
  }
  func.setFunctionType(builder.getFunctionType(entry->getArgumentTypes(), {}));
  func.setAllArgAttrs(attributes);
  return success();
}

/// Before any node, so that a model with maps is refused for them, by the name
/// of the node that makes them.
LogicalResult GraphImporter::checkOutputs(const Scope &scope) {
  for (const ValueInfoProto &output : model.graph().output()) {
    auto makes = [&](const NodeProto &node) {
      return llvm::is_contained(node.output(), output.name());
    };
    auto source = llvm::find_if(model.graph().node(), makes);
    auto emit = [&] {
      return source == model.graph().node().end()
                 ? emitError()
                 : nameNode(*source, scope).emitError();
    };
    if (failed(edgeType(context, output, "output", emit)))
      return failure();
  }
  return success();
}

LogicalResult GraphImporter::finishOutputs(func::FuncOp func, Scope &scope) {
  SmallVector<Value> outputs;
  SmallVector<DictionaryAttr> attributes;
  for (const ValueInfoProto &output : model.graph().output()) {
    FailureOr<TensorType> declared =
        edgeType(context, output, "output", [&] { return emitError(); });
    if (failed(declared))
      return failure();
    if (isMissing(output.name(), scope))
      continue;
    FailureOr<Value> value = lookup(output.name(), scope);
    if (failed(value))
      return failure();
    if (!*value)
      return emitError() << "expected a node that gives output '"
                         << output.name() << "', but got none";
    auto type = dyn_cast<TensorType>(value->getType());
    if (!type || type.getElementType() != declared->getElementType())
      return emitError() << "expected output '" << output.name() << "' to be "
                         << *declared << ", but got " << value->getType();
    outputs.push_back(*value);
    NamedAttrList list;
    list.append("onnx.name", builder.getStringAttr(output.name()));
    if (declared->hasRank())
      list.append("onnx.dims", dimNames(builder, output));
    attributes.push_back(list.getDictionary(context));
  }
  func::ReturnOp::create(builder, fileLoc, outputs);
  func.setFunctionType(builder.getFunctionType(func.getArgumentTypes(),
                                               ValueRange(outputs).getTypes()));
  func.setAllResultAttrs(attributes);
  return success();
}

LogicalResult GraphImporter::importMain(StringRef name) {
  if (failed(checkFunctions()))
    return failure();
  auto func = func::FuncOp::create(builder, fileLoc, name,
                                   builder.getFunctionType({}, {}));
  Scope scope;
  scope.opsets = &opsets;
  openGraph(model.graph(), scope);
  if (failed(importInputs(func, scope)) || failed(checkOutputs(scope)))
    return failure();
  scope.block = &func.getBody().front();
  builder.setInsertionPointToEnd(scope.block);
  if (failed(importNodes(model.graph().node(), scope)))
    return failure();
  return finishOutputs(func, scope);
}

LogicalResult GraphImporter::importNodes(
    const google::protobuf::RepeatedPtrField<NodeProto> &nodes, Scope &scope) {
  for (const NodeProto &node : nodes) {
    if (succeeded(importNode(node, scope)))
      continue;
    if (!keepGoing)
      return failure();
    failures = true;
    replaceOutputs(node, scope);
  }
  return success();
}

void GraphImporter::replaceOutputs(const NodeProto &proto, Scope &scope) {
  for (const std::string &output : proto.output()) {
    auto info = scope.valueInfos.find(output);
    Type type = info == scope.valueInfos.end()
                    ? Type()
                    : importType(context, info->second->type());
    if (!type) {
      scope.missing.insert(output);
      continue;
    }
    scope.values.try_emplace(
        output, UnrealizedConversionCastOp::create(builder, fileLoc, type,
                                                   ValueRange())
                    .getResult(0));
  }
}

bool GraphImporter::isMissing(StringRef name, const Scope &scope) const {
  for (const Scope *current = &scope; current; current = current->parent)
    if (current->missing.contains(name))
      return true;
  return false;
}

FailureOr<Value> GraphImporter::materialize(StringRef name, Scope &scope) {
  auto dense = scope.initializers.find(name);
  auto sparse = scope.sparseInitializers.find(name);
  bool isDense = dense != scope.initializers.end();
  if (!scope.block || (!isDense && sparse == scope.sparseInitializers.end()))
    return Value();
  auto emit = [&] { return emitError(); };
  FailureOr<TypedAttr> value =
      isDense ? importTensor(context, *dense->second, file, emit)
              : importSparseTensor(context, *sparse->second, file, emit);
  if (failed(value))
    return failure();
  OpBuilder::InsertionGuard guard(builder);
  if (scope.lastConstant)
    builder.setInsertionPointAfter(scope.lastConstant);
  else
    builder.setInsertionPointToStart(scope.block);
  Location loc = NameLoc::get(builder.getStringAttr(name), fileLoc);
  auto constant = tenon::onnx::ConstantOp::create(builder, loc, *value);
  scope.lastConstant = constant;
  return scope.values[name] = constant;
}

FailureOr<Value> GraphImporter::lookup(StringRef name, Scope &scope) {
  for (Scope *current = &scope; current; current = current->parent) {
    auto known = current->values.find(name);
    if (known != current->values.end())
      return known->second;
    FailureOr<Value> constant = materialize(name, *current);
    if (failed(constant) || *constant)
      return constant;
  }
  return Value();
}

bool GraphImporter::isAbsent(StringRef name, const Scope &scope) const {
  for (const Scope *current = &scope; current; current = current->parent)
    if (current->values.contains(name))
      return true;
  return false;
}

LogicalResult GraphImporter::define(StringRef name, Value value, Scope &scope,
                                    const Node &node) {
  if (!value)
    return success();
  if (scope.initializers.count(name) ||
      !scope.values.try_emplace(name, value).second)
    return node.emitError() << "expected value '" << name
                            << "' to be defined once, but got it again";
  return success();
}

/// The type of argument `index` of a loop's body where the model does not say
/// it: an outer operand's element type, of unknown shape.
static Type bodyArgumentType(const Node &node, unsigned index,
                             Builder &builder) {
  if (node.op == "Loop" && index == 0) // the iteration number
    return RankedTensorType::get({}, builder.getI64Type());
  if (node.op == "Loop" && index == 1) // the condition
    return RankedTensorType::get({}, builder.getI1Type());
  Value outer = node.input(index);
  if (!outer)
    return nullptr;
  Type type = outer.getType();
  if (auto sequence = dyn_cast<tenon::onnx::SequenceType>(type);
      sequence && node.op == "SequenceMap")
    return sequence.getElement();
  if (auto tensor = dyn_cast<TensorType>(type))
    return UnrankedTensorType::get(tensor.getElementType());
  return type;
}

LogicalResult GraphImporter::importRegion(const GraphProto &graph,
                                          Region &region, const Node &node,
                                          Scope &parent) {
  Scope scope;
  scope.parent = &parent;
  scope.opsets = parent.opsets;
  scope.bindings = parent.bindings;
  scope.prefix = parent.prefix;
  scope.depth = parent.depth + 1;
  openGraph(graph, scope);
  OpBuilder::InsertionGuard guard(builder);
  scope.block = builder.createBlock(&region);
  for (auto [index, input] : llvm::enumerate(graph.input())) {
    Type type = importType(context, input.type());
    if (!type)
      type = bodyArgumentType(node, index, builder);
    if (!type)
      return node.emitError() << "expected input '" << input.name()
                              << "' of its body to have a type, but got none";
    if (failed(define(input.name(), scope.block->addArgument(type, node.loc),
                      scope, node)))
      return failure();
  }
  if (failed(importNodes(graph.node(), scope)))
    return failure();

  SmallVector<Value> outputs;
  for (const ValueInfoProto &output : graph.output()) {
    FailureOr<Value> value = lookup(output.name(), scope);
    if (failed(value) || isMissing(output.name(), scope))
      return failure();
    if (!*value)
      return node.emitError() << "expected its body to define output '"
                              << output.name() << "', but got no such value";
    outputs.push_back(*value);
  }
  tenon::onnx::YieldOp::create(builder, node.loc, outputs);
  return success();
}
