// Caches as a session's state: tensors of a capacity, written in place.

#include "SessionCaches.h"
#include "SessionSignature.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

#include "llvm/ADT/MapVector.h"

using namespace mlir;
using namespace tenon;

namespace {

/// What a cache is at a point of the function.
struct Cache {
  kv::BindOp bind;
  SmallVector<Value> tensors; // parts of the streams in order, then positions
  Value count;                // slots in use, [1]; null: not known here
  unsigned numAppends = 0;    // since it was bound
};

/// The one storage of a state and of those that share its rows: `values[n]` is
/// what it holds after `appends[n - 1]`.
struct Storage {
  SmallVector<kv::AppendOp> appends;
  SmallVector<Cache> values;
};

class SessionLowering {
public:
  explicit SessionLowering(func::FuncOp function)
      : function(function), builder(function.getContext()) {}

  LogicalResult run();

private:
  LogicalResult lower(kv::BindOp bind);
  LogicalResult bindAgain(kv::BindOp bind, Cache &cache);
  LogicalResult lower(kv::AppendOp append);
  void append(kv::AppendOp append, Cache &cache);
  void lower(kv::AttendOp attend);
  LogicalResult lower(kv::RowsOp rows);

  void addTensor(Cache &cache, StringRef name, Type element, int64_t heads,
                 int64_t width, Value rows);
  void addFixed(Cache &cache, Value buffer, kv::StreamAttr stream);
  void addRows(Cache &cache, Value first);
  LogicalResult hideBound(kv::BindOp bind, Cache &cache);
  ArrayAttr getShownNames(StringAttr owner, StringRef stream);
  void finish(StringAttr owner, Storage &storage);
  void eraseShown();
  SmallVector<Value> fetch(Cache &cache, StringRef stream, NodeBuilder &nodes);
  Value decode(Cache &cache, StringRef stream, NodeBuilder &nodes);
  Value getVisible(Cache &cache, kv::AttendOp attend, NodeBuilder &nodes);
  NamedAttribute named(StringRef name, Attribute value) {
    return builder.getNamedAttr(name, value);
  }
  /// The state whose storage it is.
  static StringAttr getOwner(kv::BindOp bind) {
    FlatSymbolRefAttr owner = bind.getCache().getType().getShare();
    return (owner ? owner : bind.getStateAttr()).getAttr();
  }
  SmallVector<NamedAttribute> getTensorAttributes(kv::BindOp bind,
                                                  StringRef tensor);
  /// Whether the function's tensors are the buffers themselves.
  static bool isFixed(kv::BindOp bind);

  func::FuncOp function;
  OpBuilder builder;
  llvm::DenseMap<Value, Cache> caches;
  llvm::MapVector<StringAttr, Storage> storages; // by owner
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

/// Which tensor of which state an argument is, and how many rows it may have.
SmallVector<NamedAttribute>
SessionLowering::getTensorAttributes(kv::BindOp bind, StringRef tensor) {
  SmallVector<NamedAttribute> attributes = {
      named(plan::kStateAttr,
            builder.getStrArrayAttr({getOwner(bind).getValue(), tensor}))};
  if (std::optional<int64_t> budget = bind.getCache().getType().getBudget())
    attributes.push_back(
        named(plan::kBudgetAttr, builder.getI64IntegerAttr(*budget)));
  return attributes;
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
    // Each budget has a capacity of its own.
    if (auto budget = cache.bind.getCache().getType().getBudget();
        budget && dim == kv::kCapacityDim)
      dimName = builder.getStringAttr(dim + "." + Twine(*budget));
    names.push_back(dimName);
  }
  SmallVector<NamedAttribute> attributes =
      getTensorAttributes(cache.bind, name);
  attributes.push_back(named("onnx.dims", builder.getArrayAttr(names)));
  cache.tensors.push_back(addHiddenArgument(
      function, RankedTensorType::get(sizes, element), attributes));
}

/// The bound argument, which is the buffer, as a state.
void SessionLowering::addFixed(Cache &cache, Value buffer,
                               kv::StreamAttr stream) {
  NamedAttrList attributes(
      function.getArgAttrDict(cast<BlockArgument>(buffer).getArgNumber()));
  attributes.erase("onnx.name");
  attributes.append(
      getTensorAttributes(cache.bind, stream.getName().getValue()));
  Value state =
      addHiddenArgument(function, buffer.getType(), attributes.getAttrs());
  cache.tensors.push_back(state);
}

/// An argument of the shape of the rows so far.
void SessionLowering::addRows(Cache &cache, Value first) {
  SmallVector<NamedAttribute> attributes = {
      named(plan::kStateRowsAttr, getOwner(cache.bind))};
  auto dims = function.getArgAttrOfType<ArrayAttr>(
      cast<BlockArgument>(first).getArgNumber(), "onnx.dims");
  if (dims)
    attributes.push_back(named("onnx.dims", dims));
  rowsSoFar[cache.bind] =
      addHiddenArgument(function, first.getType(), attributes);
}

/// The arguments that `bind` binds are no more: the cache's own are there.
LogicalResult SessionLowering::hideBound(kv::BindOp bind, Cache &cache) {
  kv::CacheType type = bind.getCache().getType();
  Value rowsSoFar = this->rowsSoFar.lookup(cache.bind);
  unsigned next = 0;
  for (auto [index, bound] : llvm::enumerate(bind.getRows())) {
    Value tensor = cache.tensors[next];
    for (OpOperand &use : llvm::make_early_inc_range(bound.getUses())) {
      if (isa<kv::BindOp>(use.getOwner()))
        continue;
      if (rowsSoFar && !isa<onnx::ShapeOp>(use.getOwner()))
        return bind.emitError("expected bound rows to be asked for their shape "
                              "alone, but got a use by ")
               << use.getOwner()->getName();
      use.set(rowsSoFar ? rowsSoFar : tensor);
    }
    noteReplaced(function, tensor, bound);
    shown.push_back(bound);
    kv::StreamAttr stream = type.getStream(index);
    next += stream.getEncoding().getParts(stream.getWidth()).size();
  }
  return success();
}

LogicalResult SessionLowering::lower(kv::BindOp bind) {
  kv::CacheType type = bind.getCache().getType();
  Storage &storage = storages[getOwner(bind)];
  if (!storage.values.empty())
    return bindAgain(bind, storage.values.front());
  Cache cache{bind, {}, {}};
  bool fixed = isFixed(bind);
  if (fixed && (!type.isPlain() || type.getBudget()))
    return bind.emitError("expected a plain, contiguous cache without a budget "
                          "where the model gives the buffer, but got ")
           << type;
  Value first = bind.getRows().empty() ? Value() : bind.getRows().front();
  builder.setInsertionPoint(bind);
  NodeBuilder nodes(builder, bind.getLoc());
  if (fixed) {
    for (auto [index, rows] : llvm::enumerate(bind.getRows()))
      addFixed(cache, rows, type.getStream(index));
  } else {
    if (first)
      addRows(cache, first);
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
  storage.values.push_back(cache);
  return hideBound(bind, cache);
}

/// Another state of one storage.
LogicalResult SessionLowering::bindAgain(kv::BindOp bind, Cache &cache) {
  kv::BindOp known = cache.bind;
  if (isFixed(bind) != isFixed(known) || bind.getTable() != known.getTable() ||
      bind.getRows().size() != known.getRows().size()) {
    InFlightDiagnostic error =
        bind.emitError("expected rows, a table and appends as of '")
        << known.getState() << "', with which it shares its rows";
    error.attachNote(known.getLoc()) << "which is bound here";
    return error;
  }
  caches[bind.getCache()] = cache;
  return hideBound(bind, cache);
}

/// [B, S, heads * W] -> [B, heads, S, W]
static Value splitHeads(NodeBuilder &nodes, Value rows, int64_t heads,
                        int64_t width) {
  if (getRanked(rows).getRank() == 4)
    return rows;
  return nodes.transpose(nodes.reshape(rows, {0, 0, heads, width}),
                         {0, 2, 1, 3});
}

LogicalResult SessionLowering::lower(kv::AppendOp append) {
  Cache cache = caches[append.getCache()];
  Storage &storage = storages[getOwner(cache.bind)];
  unsigned number = cache.numAppends++;
  if (number == storage.appends.size()) {
    this->append(append, cache);
    storage.appends.push_back(append);
    storage.values.push_back(cache);
  }
  kv::AppendOp known = storage.appends[number];
  if (known.getGrows() != append.getGrows() ||
      !llvm::equal(llvm::drop_begin(known->getOperands()),
                   llvm::drop_begin(append->getOperands()))) {
    InFlightDiagnostic error =
        append.emitError("expected the rows that its storage, that of state '")
        << getOwner(cache.bind).getValue() << "', is given elsewhere";
    error.attachNote(known.getLoc()) << "namely here";
    return error;
  }
  caches[append.getResult()] = storage.values[number + 1];
  return success();
}

/// Writes the rows into the cache's tensors.
void SessionLowering::append(kv::AppendOp append, Cache &cache) {
  builder.setInsertionPoint(append);
  NodeBuilder nodes(builder, append.getLoc());
  kv::CacheType type = append.getCache().getType();
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

/// The names of results that show a stream of the storage.
ArrayAttr SessionLowering::getShownNames(StringAttr owner, StringRef stream) {
  SmallVector<Attribute> names;
  Operation *end = function.getBody().front().getTerminator();
  for (OpOperand &operand : end->getOpOperands()) {
    auto rows = operand.get().getDefiningOp<kv::RowsOp>();
    auto name = function.getResultAttrOfType<StringAttr>(
        operand.getOperandNumber(), "onnx.name");
    if (rows && name && rows.getStream() == stream &&
        getOwner(caches[rows.getCache()].bind) == owner)
      names.push_back(name);
  }
  return builder.getArrayAttr(names);
}

/// The state's tensors as results, and how many slots are in use.
void SessionLowering::finish(StringAttr owner, Storage &storage) {
  Cache &cache = storage.values.back();
  for (auto [argument, value] :
       llvm::zip_equal(storage.values.front().tensors, cache.tensors)) {
    auto tensor = function.getArgAttrOfType<ArrayAttr>(
        cast<BlockArgument>(argument).getArgNumber(), plan::kStateAttr);
    SmallVector<NamedAttribute> attributes = {named(plan::kStateAttr, tensor)};
    ArrayAttr shownNames =
        getShownNames(owner, cast<StringAttr>(tensor[1]).getValue());
    if (!shownNames.empty())
      attributes.push_back(named(plan::kReplacesAttr, shownNames));
    addHiddenResult(function, value, attributes);
  }
  if (cache.count)
    addHiddenResult(function, cache.count,
                    {named(plan::kStateLengthAttr, owner)});
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
    if (isa<kv::BindOp, kv::AppendOp, kv::RowsOp, kv::AttendOp>(op))
      operations.push_back(&op);
  for (Operation *op : operations) {
    LogicalResult lowered = success();
    if (auto bind = dyn_cast<kv::BindOp>(op))
      lowered = lower(bind);
    else if (auto rows = dyn_cast<kv::RowsOp>(op))
      lowered = lower(rows);
    else if (auto append = dyn_cast<kv::AppendOp>(op))
      lowered = lower(append);
    else if (auto attend = dyn_cast<kv::AttendOp>(op))
      lower(attend);
    if (failed(lowered))
      return failure();
    done.push_back(op);
  }
  for (auto &[owner, storage] : storages)
    finish(owner, storage);
  eraseShown();
  return success();
}

LogicalResult tenon::lowerToSession(func::FuncOp function) {
  return SessionLowering(function).run();
}
