#include "tenon/Transforms/KVCache/Passes.h"

#include "FindCaches.h"
#include "FindRecurrent.h"

#include "dialects/KV/KVDialect.h"
#include "dialects/ONNX/ONNXDialect.h"

#include "mlir/IR/Remarks.h"
#include "llvm/ADT/SetVector.h"

namespace tenon {
#define GEN_PASS_DEF_FINDCACHESPASS
#include "tenon/Transforms/KVCache/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using Append = onnx::TenonCacheAppendOp;
using Attention = onnx::TenonAttentionOp;

StringRef tenon::getStateName(StringRef output) {
  for (StringRef suffix : {".key", ".value", "_key", "_value"})
    if (output.consume_back(suffix))
      break;
  auto [first, rest] = output.split('.');
  return rest.empty() ? output : rest;
}

static int64_t getStaticDim(Value value, unsigned axis) {
  RankedTensorType type = getRanked(value);
  return type && type.getRank() == 4 ? type.getDimSize(axis)
                                     : ShapedType::kDynamic;
}

/// The rows before the append's own; null where there can be none.
static Value getPast(Append append) {
  Value past = append.getPast();
  return past && getStaticDim(past, 2) == 0 ? Value() : past;
}

namespace {
/// The two appends that an attention reads, and the results that return them.
struct Pair {
  Append key, value;
  OpOperand *keyResult = nullptr, *valueResult = nullptr;
  SmallVector<Attention> readers;
};

/// A cache of the function that has been rewritten.
struct Found {
  std::string name;
  kv::CacheType type;
  SmallVector<Value> rows; // that enter: keys, values, and where
  bool grows, hasPast;
};

class Finder {
public:
  Finder(func::FuncOp function, ModuleOp module, int64_t int8Group,
         int64_t page, int64_t pages, int64_t budget)
      : function(function), module(module), int8Group(int8Group), page(page),
        pages(pages), budget(budget) {}

  LogicalResult run() {
    return run(
        SmallVector<Attention>(function.getBody().front().getOps<Attention>()));
  }
  LogicalResult run(ArrayRef<Attention> attentions);
  /// Finds what the first step of a decoder returns of caches of other
  /// functions.
  LogicalResult findFirstRows();

private:
  std::optional<Pair> match(Attention attention);
  /// Why the pair is no cache of the signature; nothing if it is one.
  StringRef findObstacle(Pair &pair);
  StringRef findObstacle(Append append, Pair &pair, OpOperand *&result);
  LogicalResult rewrite(Pair &pair);
  FailureOr<kv::CacheType> getType(Pair &pair);
  FlatSymbolRefAttr findOwner(Pair &pair, StringRef name, kv::CacheType type);
  FailureOr<kv::StateOp> getState(StringRef name, kv::CacheType type);
  Value getTable(kv::CacheType type);
  void replaceReader(Attention attention, Value cache);

  func::FuncOp function;
  ModuleOp module;
  int64_t int8Group, page, pages, budget;
  Value table;
  SmallVector<Found> found;
};
} // namespace

std::optional<Pair> Finder::match(Attention attention) {
  auto key = attention.getK().getDefiningOp<Append>();
  auto value = attention.getV().getDefiningOp<Append>();
  if (!key || !value || key == value)
    return std::nullopt;
  Pair pair;
  pair.key = key;
  pair.value = value;
  return pair;
}

StringRef Finder::findObstacle(Append append, Pair &pair, OpOperand *&result) {
  if (ShapedType::isDynamic(getStaticDim(append.getPresent(), 1)) ||
      ShapedType::isDynamic(getStaticDim(append.getPresent(), 3)))
    return "heads are not known";
  if (append.getCosCache() || append.getHeadSize())
    return "rows are turned or cut as they enter";
  if (append->getBlock() != &function.getBody().front())
    return "it is in a branch or a loop";
  if (Value past = getPast(append)) {
    auto argument = dyn_cast<BlockArgument>(past);
    if (!argument || argument.getOwner() != append->getBlock())
      return "the past is no input";
    for (Operation *user : past.getUsers())
      if (user != append && !isa<onnx::ShapeOp>(user))
        return "the past is read elsewhere";
  }
  for (OpOperand &use : append.getPresent().getUses()) {
    auto reader = dyn_cast<Attention>(use.getOwner());
    if (reader && reader.getK() == pair.key.getPresent() &&
        reader.getV() == pair.value.getPresent() && !reader.getNumKeys()) {
      if (!llvm::is_contained(pair.readers, reader))
        pair.readers.push_back(reader);
    } else if (isa<func::ReturnOp>(use.getOwner()) && !result) {
      result = &use;
    } else {
      return "what it holds is read elsewhere";
    }
  }
  return result ? StringRef() : "it is no output";
}

StringRef Finder::findObstacle(Pair &pair) {
  StringRef obstacle = findObstacle(pair.key, pair, pair.keyResult);
  if (obstacle.empty())
    obstacle = findObstacle(pair.value, pair, pair.valueResult);
  if (!obstacle.empty())
    return obstacle;
  if (getStaticDim(pair.key.getPresent(), 1) !=
          getStaticDim(pair.value.getPresent(), 1) ||
      pair.key.getPositions() != pair.value.getPositions() ||
      pair.key.getGrows() != pair.value.getGrows() ||
      !getPast(pair.key) != !getPast(pair.value))
    return "keys and values are kept differently";
  if (pair.key.getGrows() == 0 && !pair.key.getPositions())
    return "where rows enter is not said";
  return "";
}

FailureOr<kv::CacheType> Finder::getType(Pair &pair) {
  MLIRContext *context = function.getContext();
  auto makeStream = [&](StringRef name, Append append) -> Attribute {
    Type element = getElementTypeOrSelf(append.getPresent().getType());
    kv::EncodingInterface encoding = kv::PlainAttr::get(context, element);
    if (int8Group > 0)
      encoding = kv::Int8Attr::get(context, element, int8Group);
    return kv::StreamAttr::get(context, StringAttr::get(context, name),
                               getStaticDim(append.getPresent(), 3), encoding);
  };
  kv::LayoutInterface layout = kv::ContiguousAttr::get(context);
  if (page > 0)
    layout = kv::PagedAttr::get(context, page, pages);
  auto type = kv::CacheType::getChecked(
      [&] { return pair.key->emitError(); }, context,
      getStaticDim(pair.key.getPresent(), 1),
      ArrayAttr::get(context, {makeStream("key", pair.key),
                               makeStream("value", pair.value)}),
      layout, kv::Positions::Sequential,
      budget != 0 ? std::optional(budget) : std::nullopt, FlatSymbolRefAttr());
  if (!type)
    return failure();
  return type;
}

/// A cache that each call gives the same rows, so that it always has the same;
/// null where the pair has rows of its own.
FlatSymbolRefAttr Finder::findOwner(Pair &pair, StringRef name,
                                    kv::CacheType type) {
  Found cache = {
      name.str(),
      type,
      {pair.key.getUpdate(), pair.value.getUpdate(), pair.key.getPositions()},
      pair.key.getGrows() != 0,
      bool(getPast(pair.key))};
  for (const Found &other : found)
    if (other.type == cache.type && other.rows == cache.rows &&
        other.grows == cache.grows && other.hasPast == cache.hasPast)
      return FlatSymbolRefAttr::get(function.getContext(), other.name);
  found.push_back(cache);
  return nullptr;
}

FailureOr<kv::StateOp> Finder::getState(StringRef name, kv::CacheType type) {
  if (auto known = module.lookupSymbol<kv::StateOp>(name)) {
    if (known.getType() == type)
      return known;
    return function.emitError("expected state '")
           << name << "' to be of one type in all entries, but got "
           << known.getType() << " and " << type;
  }
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  return kv::StateOp::create(builder, function.getLoc(), name, type);
}

/// The page table, an argument that all caches of the function share.
Value Finder::getTable(kv::CacheType type) {
  if (type.getLayout().getPageSize() == 0 || table)
    return type.getLayout().getPageSize() == 0 ? Value() : table;
  Builder builder(function.getContext());
  unsigned index = function.getNumArguments();
  auto tensor = RankedTensorType::get(
      {ShapedType::kDynamic, ShapedType::kDynamic}, builder.getI64Type());
  auto attributes = builder.getDictionaryAttr(
      {builder.getNamedAttr("onnx.name", builder.getStringAttr("page_table")),
       builder.getNamedAttr("onnx.dims",
                            builder.getStrArrayAttr({"", "page_count"}))});
  if (failed(function.insertArgument(index, tensor, attributes,
                                     function.getLoc())))
    return nullptr;
  return table = function.getArgument(index);
}

void Finder::replaceReader(Attention attention, Value cache) {
  OpBuilder builder(attention);
  NamedAttrList attributes(attention->getAttrDictionary());
  attributes.erase("operandSegmentSizes");
  attributes.erase("resultSegmentSizes");
  Type lse = attention.getLse() ? attention.getLse().getType() : Type();
  auto attend = kv::AttendOp::create(
      builder, attention.getLoc(), attention.getY().getType(), lse,
      attention.getQ(), cache, attention.getAttnMask(),
      attention.getKvLengths(), attention.getQPositions(), attention.getSinks(),
      attributes.getDictionary(builder.getContext()));
  attention.getY().replaceAllUsesWith(attend.getY());
  if (lse)
    attention.getLse().replaceAllUsesWith(attend.getLse());
  attention.erase();
}

LogicalResult Finder::rewrite(Pair &pair) {
  unsigned number = pair.keyResult->getOperandNumber();
  auto named = function.getResultAttrOfType<StringAttr>(number, "onnx.name");
  std::string name = named ? getStateName(named.getValue()).str()
                           : "cache" + std::to_string(number);
  FailureOr<kv::CacheType> type = getType(pair);
  if (failed(type))
    return failure();
  type = type->withShare(findOwner(pair, name, *type));
  if (failed(getState(name, *type)))
    return failure();
  bool keyIsLater = pair.value->isBeforeInBlock(pair.key);
  OpBuilder builder(keyIsLater ? pair.key : pair.value);
  Location loc = pair.key.getLoc();
  SmallVector<Value> rows;
  if (getPast(pair.key))
    rows = {getPast(pair.key), getPast(pair.value)};
  Value cache =
      kv::BindOp::create(builder, loc, *type, name, rows, getTable(*type));
  cache = kv::AppendOp::create(
      builder, loc, *type, cache,
      ValueRange{pair.key.getUpdate(), pair.value.getUpdate()},
      pair.key.getPositions(), /*positions=*/Value(),
      /*grows=*/pair.key.getGrows() != 0);
  for (auto [append, result, stream] :
       {std::tuple(pair.key, pair.keyResult, "key"),
        std::tuple(pair.value, pair.valueResult, "value")})
    result->set(kv::RowsOp::create(builder, loc, append.getPresent().getType(),
                                   cache, stream));
  for (Attention reader : pair.readers)
    replaceReader(reader, cache);
  pair.key.erase();
  pair.value.erase();
  remark::passed(loc, remark::RemarkOpts::name("found").category("find-caches"))
      << "found cache '" << name << "'"
      << (type->getShare()
              ? " with the rows of '" + type->getShare().getValue().str() + "'"
              : "");
  return success();
}

LogicalResult Finder::findFirstRows() {
  auto isCache = [&](StringRef output, RankedTensorType keys,
                     RankedTensorType values) {
    auto state = module.lookupSymbol<kv::StateOp>(getStateName(output));
    auto type = state ? dyn_cast<kv::CacheType>(state.getType()) : nullptr;
    auto holds = [&](unsigned stream, RankedTensorType rows) {
      kv::StreamAttr held = type.getStream(stream);
      return rows.getDimSize(1) == type.getHeads() &&
             rows.getDimSize(3) == held.getWidth() &&
             rows.getElementType() == held.getEncoding().getRowType();
    };
    auto isOwn = [&](kv::BindOp bind) {
      return bind.getState() == state.getSymName();
    };
    return type && !type.getShare() && type.getStreams().size() == 2 &&
           holds(0, keys) && holds(1, values) &&
           llvm::none_of(function.getBody().front().getOps<kv::BindOp>(),
                         isOwn);
  };
  FailureOr<SmallVector<Attention>> attentions =
      appendFirstRows(function, isCache);
  return failed(attentions) ? failure() : run(*attentions);
}

LogicalResult Finder::run(ArrayRef<Attention> attentions) {
  llvm::SmallSetVector<Operation *, 16> done;
  for (Attention attention : attentions) {
    if (done.contains(attention))
      continue;
    std::optional<Pair> pair = match(attention);
    if (!pair)
      continue;
    StringRef obstacle = findObstacle(*pair);
    if (!obstacle.empty()) {
      remark::missed(attention.getLoc(),
                     remark::RemarkOpts::name("kept").category("find-caches"))
          << "left the cache as it is: " << obstacle;
      continue;
    }
    for (Attention reader : pair->readers)
      done.insert(reader);
    if (failed(rewrite(*pair)))
      return failure();
  }
  return success();
}

namespace {
struct FindCaches final : tenon::impl::FindCachesPassBase<FindCaches> {
  using FindCachesPassBase::FindCachesPassBase;

  void runOnOperation() override {
    if ((page > 0) != (pages > 0)) {
      getOperation().emitError("expected 'page' and 'pages' together, but got ")
          << int64_t(page) << " and " << int64_t(pages);
      return signalPassFailure();
    }
    if (snapshots < 0) {
      getOperation().emitError("expected snapshots, but got ")
          << int64_t(snapshots);
      return signalPassFailure();
    }
    if (failed(find()))
      signalPassFailure();
  }

  LogicalResult find() {
    SmallVector<Finder> finders;
    std::vector<RecurrentFinder> recurrent;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      finders.emplace_back(function, getOperation(), int8Group, page, pages,
                           budget);
      recurrent.emplace_back(function, getOperation(), snapshots);
    }
    for (RecurrentFinder &finder : recurrent)
      if (failed(finder.collect()))
        return failure();
    for (Finder &finder : finders)
      if (failed(finder.run()))
        return failure();
    for (Finder &finder : finders)
      if (failed(finder.findFirstRows()))
        return failure();
    for (RecurrentFinder &finder : recurrent)
      finder.rewrite();
    for (RecurrentFinder &finder : recurrent)
      finder.rewriteFirstSteps();
    return success();
  }
};
} // namespace
