// Caches as a session's state: tensors of a capacity, written in place.

#include "SessionCaches.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

using namespace mlir;
using namespace tenon;

namespace {

/// What a cache is at a point of the function.
struct Cache {
  kv::BindOp bind;
  SmallVector<Value> tensors; // parts of the streams in order, then positions
  Value count;                // slots in use, [1]; null: not known here
};

class SessionLowering {
public:
  explicit SessionLowering(func::FuncOp function)
      : function(function), builder(function.getContext()) {}

  LogicalResult run();

private:
  LogicalResult lower(kv::BindOp bind);
  void lower(kv::AppendOp append);
  void lower(kv::AttendOp attend);
  LogicalResult lower(kv::RowsOp rows);

  Value addArgument(Type type, ArrayRef<NamedAttribute> attributes);
  void addResult(Value value, ArrayRef<NamedAttribute> attributes);
  void addTensor(Cache &cache, StringRef name, Type element, int64_t heads,
                 int64_t width, Value rows);
  void addFixed(Cache &cache, Value buffer, kv::StreamAttr stream);
  void finish(kv::BindOp bind);
  void eraseShown();
  SmallVector<Value> fetch(Cache &cache, StringRef stream, NodeBuilder &nodes);
  Value decode(Cache &cache, StringRef stream, NodeBuilder &nodes);
  Value getVisible(Cache &cache, kv::AttendOp attend, NodeBuilder &nodes);
  NamedAttribute named(StringRef name, Attribute value) {
    return builder.getNamedAttr(name, value);
  }
  ArrayAttr getTensorName(kv::BindOp bind, StringRef tensor) {
    return builder.getStrArrayAttr({bind.getState(), tensor});
  }
  /// Whether the function's tensors are the buffers themselves.
  static bool isFixed(kv::BindOp bind);

  func::FuncOp function;
  OpBuilder builder;
  llvm::DenseMap<Value, Cache> caches;
  llvm::DenseMap<Operation *, Cache> last; // of each bind
  SmallVector<kv::BindOp> binds;
  SmallVector<Operation *> done;
  llvm::DenseMap<Operation *, Value> rowsSoFar; // of each bind: [B, H, T, W]
  SmallVector<Value> shown;                     // arguments that go
};

} // namespace

bool SessionLowering::isFixed(kv::BindOp bind) {
  return llvm::any_of(bind.getCache().getUsers(), [](Operation *user) {
    auto append = dyn_cast<kv::AppendOp>(user);
    return append && !append.getGrows();
  });
}

Value SessionLowering::addArgument(Type type,
                                   ArrayRef<NamedAttribute> attributes) {
  unsigned index = function.getNumArguments();
  if (failed(function.insertArgument(index, type,
                                     builder.getDictionaryAttr(attributes),
                                     function.getLoc())))
    return nullptr;
  return function.getArgument(index);
}

void SessionLowering::addResult(Value value,
                                ArrayRef<NamedAttribute> attributes) {
  Operation *end = function.getBody().front().getTerminator();
  unsigned index = end->getNumOperands();
  end->insertOperands(index, value);
  (void)function.insertResult(index, value.getType(),
                              builder.getDictionaryAttr(attributes));
}

static StringAttr getDimName(func::FuncOp function, Value argument,
                             unsigned axis) {
  auto names = function.getArgAttrOfType<ArrayAttr>(
      cast<BlockArgument>(argument).getArgNumber(), "onnx.dims");
  return names && axis < names.size() ? cast<StringAttr>(names[axis])
                                      : StringAttr();
}

/// A tensor of the state. Its batches are those of `rows`, if there are some.
void SessionLowering::addTensor(Cache &cache, StringRef name, Type element,
                                int64_t heads, int64_t width, Value rows) {
  kv::LayoutInterface layout = cache.bind.getCache().getType().getLayout();
  kv::StateShape shape = layout.getShape(heads, width, element);
  SmallVector<int64_t> sizes(shape.type.getShape());
  SmallVector<Attribute> names;
  for (auto [axis, dim] : llvm::enumerate(shape.dims)) {
    StringAttr dimName = builder.getStringAttr(dim);
    if (rows && dim == kv::kBatchDim) {
      sizes[axis] = getRanked(rows).getDimSize(0);
      if (StringAttr known = getDimName(function, rows, 0))
        dimName = known;
    }
    names.push_back(dimName);
  }
  cache.tensors.push_back(
      addArgument(RankedTensorType::get(sizes, element),
                  {named("onnx.dims", builder.getArrayAttr(names)),
                   named(plan::kStateAttr, getTensorName(cache.bind, name))}));
}

/// The bound argument, which is the buffer, as a state.
void SessionLowering::addFixed(Cache &cache, Value buffer,
                               kv::StreamAttr stream) {
  NamedAttrList attributes(
      function.getArgAttrDict(cast<BlockArgument>(buffer).getArgNumber()));
  attributes.set(plan::kStateAttr,
                 getTensorName(cache.bind, stream.getName().getValue()));
  Value state = addArgument(buffer.getType(), attributes.getAttrs());
  buffer.replaceUsesWithIf(
      state, [](OpOperand &use) { return !isa<kv::BindOp>(use.getOwner()); });
  cache.tensors.push_back(state);
}

/// The names of the bound arguments or of the results that show the cache.
static ArrayAttr getNames(Builder &builder, ArrayRef<StringAttr> names) {
  SmallVector<Attribute> found;
  for (StringAttr name : names)
    if (name)
      found.push_back(name);
  return builder.getArrayAttr(found);
}

LogicalResult SessionLowering::lower(kv::BindOp bind) {
  kv::CacheType type = bind.getCache().getType();
  Cache cache{bind, {}, {}};
  bool fixed = isFixed(bind);
  if (fixed && !type.isPlain())
    return bind.emitError("expected a plain, contiguous cache where the model "
                          "gives the buffer, but got ")
           << type;
  Value first = bind.getRows().empty() ? Value() : bind.getRows().front();
  SmallVector<StringAttr> names;
  for (Value rows : bind.getRows()) {
    shown.push_back(rows);
    names.push_back(function.getArgAttrOfType<StringAttr>(
        cast<BlockArgument>(rows).getArgNumber(), "onnx.name"));
  }
  builder.setInsertionPoint(bind);
  NodeBuilder nodes(builder, bind.getLoc());
  if (fixed) {
    for (auto [index, rows] : llvm::enumerate(bind.getRows()))
      addFixed(cache, rows, type.getStream(index));
  } else {
    if (first) {
      SmallVector<NamedAttribute> attributes = {
          named(plan::kStateRowsAttr, builder.getStringAttr(bind.getState())),
          named(plan::kReplacesAttr, getNames(builder, names))};
      auto dims = function.getArgAttrOfType<ArrayAttr>(
          cast<BlockArgument>(first).getArgNumber(), "onnx.dims");
      if (dims)
        attributes.push_back(named("onnx.dims", dims));
      Value rows = addArgument(first.getType(), attributes);
      for (Value bound : bind.getRows())
        bound.replaceUsesWithIf(rows, [](OpOperand &use) {
          return isa<onnx::ShapeOp>(use.getOwner());
        });
      rowsSoFar[bind] = rows;
    }
    cache.count = first ? nodes.size(rowsSoFar[bind], 2) : nodes.integers({0});
    for (unsigned i = 0; i < type.getStreams().size(); ++i) {
      kv::StreamAttr stream = type.getStream(i);
      for (const kv::StoredPart &part :
           stream.getEncoding().getParts(stream.getWidth())) {
        std::string name = stream.getName().str();
        if (!part.name.empty())
          name += "." + part.name.str();
        addTensor(cache, name, part.element, type.getHeads(), part.width,
                  first);
      }
    }
    if (type.hasExplicitPositions())
      addTensor(cache, "positions", builder.getI64Type(), 1, 1, first);
  }
  caches[bind.getCache()] = cache;
  last[bind] = cache;
  binds.push_back(bind);
  return success();
}

/// [B, S, heads * W] -> [B, heads, S, W]
static Value splitHeads(NodeBuilder &nodes, Value rows, int64_t heads,
                        int64_t width) {
  if (getRanked(rows).getRank() == 4)
    return rows;
  return nodes.transpose(nodes.reshape(rows, {0, 0, heads, width}),
                         {0, 2, 1, 3});
}

void SessionLowering::lower(kv::AppendOp append) {
  builder.setInsertionPoint(append);
  NodeBuilder nodes(builder, append.getLoc());
  kv::CacheType type = append.getCache().getType();
  Cache cache = caches[append.getCache()];
  Value first = append.getFirst() ? append.getFirst() : cache.count;
  kv::LayoutInterface layout = type.getLayout();
  Value table = cache.bind.getTable();
  unsigned next = 0;
  for (auto [index, rows] : llvm::enumerate(append.getRows())) {
    kv::StreamAttr stream = type.getStream(index);
    kv::EncodingInterface encoding = stream.getEncoding();
    if (layout.isContiguous() && encoding.isPlain()) {
      Value &tensor = cache.tensors[next++];
      tensor = appendRows(nodes, tensor, rows, first, type.getHeads(),
                          /*grows=*/false, tensor.getType());
      continue;
    }
    Value split = splitHeads(nodes, rows, type.getHeads(), stream.getWidth());
    for (Value part : encoding.encode(nodes, split, stream.getWidth())) {
      Value &tensor = cache.tensors[next++];
      tensor = layout.append(nodes, tensor, part, first, table);
    }
  }
  if (type.hasExplicitPositions()) {
    Value &tensor = cache.tensors[next];
    Value rows = nodes.unsqueeze(append.getPositions(), {1, 3});
    tensor = layout.append(nodes, tensor, rows, first, table);
  }
  if (cache.count) {
    Value rows = append.getRows().front();
    cache.count = nodes.add(
        cache.count, nodes.size(rows, getRanked(rows).getRank() == 3 ? 1 : 2));
  }
  caches[append.getResult()] = cache;
  last[cache.bind] = cache;
}

/// The parts of a stream, all slots of each.
SmallVector<Value> SessionLowering::fetch(Cache &cache, StringRef name,
                                          NodeBuilder &nodes) {
  kv::CacheType type = cache.bind.getCache().getType();
  unsigned next = 0;
  SmallVector<Value> found;
  for (unsigned i = 0; i < type.getStreams().size(); ++i) {
    kv::StreamAttr stream = type.getStream(i);
    unsigned parts = stream.getEncoding().getParts(stream.getWidth()).size();
    for (unsigned part = 0; part < parts; ++part, ++next)
      if (stream.getName() == name)
        found.push_back(type.getLayout().fetch(nodes, cache.tensors[next],
                                               cache.bind.getTable()));
  }
  if (name == "positions")
    found.push_back(type.getLayout().fetch(nodes, cache.tensors[next],
                                           cache.bind.getTable()));
  return found;
}

Value SessionLowering::decode(Cache &cache, StringRef name,
                              NodeBuilder &nodes) {
  kv::CacheType type = cache.bind.getCache().getType();
  for (unsigned i = 0; i < type.getStreams().size(); ++i) {
    kv::StreamAttr stream = type.getStream(i);
    if (stream.getName() == name)
      return stream.getEncoding().decode(nodes, fetch(cache, name, nodes),
                                         stream.getWidth());
  }
  return nullptr;
}

/// Which key each query sees, [B, 1, S, slots], by explicit positions.
Value SessionLowering::getVisible(Cache &cache, kv::AttendOp attend,
                                  NodeBuilder &nodes) {
  auto get = [&](StringRef name, int64_t otherwise) {
    auto value = attend.getNodeAttributes().getAs<IntegerAttr>(name);
    return value ? value.getInt() : otherwise;
  };
  Type boolean = builder.getI1Type();
  Value keys = nodes.transpose(fetch(cache, "positions", nodes)[0],
                               {0, 1, 3, 2}); // [B, 1, 1, slots]
  Value queries = nodes.unsqueeze(attend.getQPositions(), {1, 3});
  Value visible;
  auto require = [&](StringRef comparison, Value a, Value b) {
    Value next = nodes.make(comparison, {a, b}, nodes.typeOf(4, boolean));
    visible = visible ? nodes.make("onnx.And", {visible, next},
                                   nodes.typeOf(4, boolean))
                      : next;
  };
  int64_t right = get("is_causal", 0) != 0 ? 0 : get("right_window_size", -1);
  int64_t left = get("left_window_size", -1);
  if (right >= 0)
    require("onnx.LessOrEqual", keys,
            nodes.add(queries, nodes.integers({right})));
  if (left >= 0)
    require("onnx.GreaterOrEqual", keys,
            nodes.sub(queries, nodes.integers({left})));
  return visible;
}

void SessionLowering::lower(kv::AttendOp attend) {
  builder.setInsertionPoint(attend);
  NodeBuilder nodes(builder, attend.getLoc());
  Cache &cache = caches[attend.getCache()];
  kv::CacheType type = attend.getCache().getType();
  Value mask = attend.getMask();
  DictionaryAttr attributes = attend.getNodeAttributes();
  if (type.hasExplicitPositions()) {
    mask = getVisible(cache, attend, nodes);
    NamedAttrList list(attributes);
    list.set("is_causal", builder.getI64IntegerAttr(0));
    list.set("left_window_size", builder.getI64IntegerAttr(-1));
    list.set("right_window_size", builder.getI64IntegerAttr(-1));
    attributes = list.getDictionary(builder.getContext());
    attend.getQPositionsMutable().clear();
  }
  attendToTensors(builder, attend, decode(cache, "key", nodes),
                  decode(cache, "value", nodes), mask, cache.count, attributes);
}

/// What is shown outside of the signature is cut out of the buffer.
LogicalResult SessionLowering::lower(kv::RowsOp rows) {
  for (Operation *user : rows->getUsers())
    if (!isa<func::ReturnOp>(user))
      return rows.emitError("expected rows of a session's cache to be results "
                            "of the function alone, but got a use by ")
             << user->getName();
  return success();
}

/// The state's tensors as results, and how many slots are in use.
void SessionLowering::finish(kv::BindOp bind) {
  Cache &cache = last[bind];
  SmallVector<StringAttr> names;
  Operation *end = function.getBody().front().getTerminator();
  for (OpOperand &operand : end->getOpOperands())
    if (auto rows = operand.get().getDefiningOp<kv::RowsOp>();
        rows && caches[rows.getCache()].bind == bind)
      names.push_back(function.getResultAttrOfType<StringAttr>(
          operand.getOperandNumber(), "onnx.name"));
  ArrayAttr replaced = getNames(builder, names);
  unsigned numArguments = function.getNumArguments(), next = 0;
  for (unsigned i = 0; i < numArguments; ++i) {
    auto tensor = function.getArgAttrOfType<ArrayAttr>(i, plan::kStateAttr);
    if (!tensor || cast<StringAttr>(tensor[0]).getValue() != bind.getState())
      continue;
    SmallVector<NamedAttribute> attributes = {named(plan::kStateAttr, tensor)};
    if (next == 0)
      attributes.push_back(named(plan::kReplacesAttr, replaced));
    addResult(cache.tensors[next++], attributes);
  }
  if (cache.count)
    addResult(cache.count, {named(plan::kStateLengthAttr,
                                  builder.getStringAttr(bind.getState()))});
}

/// Results that show a cache, and arguments that did.
void SessionLowering::eraseShown() {
  Operation *end = function.getBody().front().getTerminator();
  for (unsigned i = end->getNumOperands(); i-- > 0;)
    if (end->getOperand(i).getDefiningOp<kv::RowsOp>()) {
      end->eraseOperand(i);
      (void)function.eraseResult(i);
    }
  for (Operation *op : llvm::reverse(done))
    op->erase();
  for (Value argument : shown)
    (void)function.eraseArgument(cast<BlockArgument>(argument).getArgNumber());
}

LogicalResult SessionLowering::run() {
  SmallVector<Operation *> operations;
  for (Operation &op : function.getBody().front())
    if (isa<kv::KVDialect>(op.getDialect()))
      operations.push_back(&op);
  for (Operation *op : operations) {
    LogicalResult lowered = success();
    if (auto bind = dyn_cast<kv::BindOp>(op))
      lowered = lower(bind);
    else if (auto rows = dyn_cast<kv::RowsOp>(op))
      lowered = lower(rows);
    else if (auto append = dyn_cast<kv::AppendOp>(op))
      lower(append);
    else if (auto attend = dyn_cast<kv::AttendOp>(op))
      lower(attend);
    if (failed(lowered))
      return failure();
    done.push_back(op);
  }
  for (kv::BindOp bind : binds)
    finish(bind);
  eraseShown();
  return success();
}

LogicalResult tenon::lowerToSession(func::FuncOp function) {
  return SessionLowering(function).run();
}
