// Where slots lie, as ONNX operators: each layout is its own definition.

#include "dialects/KV/KVDialect.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kv;

StateShape ContiguousAttr::getShape(int64_t heads, int64_t width,
                                    Type element) const {
  int64_t any = ShapedType::kDynamic;
  return {RankedTensorType::get({any, heads, any, width}, element),
          {kBatchDim, "", kCapacityDim, ""}};
}

Value ContiguousAttr::append(NodeBuilder &nodes, Value storage, Value rows,
                             Value first, Value) const {
  return nodes.make("onnx.tenon.CacheAppend", {storage, rows, first},
                    storage.getType(), {nodes.named("grows", 0)});
}

Value ContiguousAttr::fetch(NodeBuilder &, Value storage, Value) const {
  return storage;
}

bool ContiguousAttr::isContiguous() const { return true; }

LogicalResult PagedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t page, int64_t pages) {
  if (page < 1 || pages < 1) // paged-C1
    return emitError() << "expected one slot and one page at least, but got "
                       << page << " and " << pages;
  return success();
}

StateShape PagedAttr::getShape(int64_t heads, int64_t width,
                               Type element) const {
  return {RankedTensorType::get({getPages(), heads, getPage(), width}, element),
          {"", "", "", ""}};
}

int64_t PagedAttr::getPageSize() const { return getPage(); }

/// The slots' numbers, [B, S], where B is 1 if all batches begin at one slot.
static Value getSlots(NodeBuilder &nodes, Value rows, Value first) {
  Value count = nodes.reshape(nodes.size(rows, 2), {});
  return nodes.add(nodes.unsqueeze(first, {1}),
                   nodes.unsqueeze(nodes.range(count), {0}));
}

Value PagedAttr::append(NodeBuilder &nodes, Value storage, Value rows,
                        Value first, Value table) const {
  Type i64 = IntegerType::get(getContext(), 64);
  int64_t heads = getRanked(storage).getDimSize(1);
  auto concat = [&](ValueRange parts, int64_t axis) {
    return nodes.make("onnx.Concat", parts,
                      nodes.typeOf(getRanked(parts[0]).getRank(), i64),
                      {nodes.named("axis", axis)});
  };
  auto expand = [&](Value value, Value shape, int64_t rank) {
    return nodes.make("onnx.Expand", {value, shape}, nodes.typeOf(rank, i64));
  };
  Value batch = nodes.size(rows, 0), tokens = nodes.size(rows, 2);
  Value slots =
      expand(getSlots(nodes, rows, first), concat({batch, tokens}, 0), 2);
  Value size = nodes.integer(getPage());
  Value numbers = nodes.make("onnx.Div", {slots, size}, nodes.typeOf(2, i64));
  Value offsets = nodes.make("onnx.Mod", {slots, size}, nodes.typeOf(2, i64));
  Value pages = nodes.make("onnx.GatherElements", {table, numbers},
                           nodes.typeOf(2, i64), {nodes.named("axis", 1)});
  Value head =
      nodes.reshape(nodes.range(nodes.integer(heads)), {1, heads, 1, 1});
  Value shape =
      concat({batch, nodes.integers({heads}), tokens, nodes.integers({1})}, 0);
  Value indices = concat({expand(nodes.unsqueeze(pages, {1, 3}), shape, 4),
                          expand(head, shape, 4),
                          expand(nodes.unsqueeze(offsets, {1, 3}), shape, 4)},
                         3);
  return nodes.make("onnx.ScatterND", {storage, indices, rows},
                    storage.getType());
}

Value PagedAttr::fetch(NodeBuilder &nodes, Value storage, Value table) const {
  RankedTensorType type = getRanked(storage);
  Value pages = nodes.make("onnx.Gather", {storage, table},
                           nodes.typeOf(5, type.getElementType()),
                           {nodes.named("axis", 0)});
  return nodes.reshape(nodes.transpose(pages, {0, 2, 1, 3, 4}),
                       {0, 0, -1, type.getDimSize(3)});
}
