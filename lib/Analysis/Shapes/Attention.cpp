// Attention and rotary embedding, in ONNX's form and in com.microsoft's.

#include "Inference.h"

using namespace mlir;

namespace tenon {

namespace {
/// One operand of attention as batch, heads, length and head size.
struct Heads {
  AffineExpr batch, heads, length, size;
};
} // namespace

/// [B, H, S, D], [B, S, H * D] with the number of heads an attribute, or, for
/// onnx.tenon.Attention, a part of [B, S, parts, H, D].
static FailureOr<Heads> getHeads(Node &node, unsigned input,
                                 StringRef attribute) {
  const Dims &dims = *node.getDims(input);
  if (dims.size() == 4)
    return Heads{dims[0], dims[1], dims[2], dims[3]};
  if (dims.size() == 5 && attribute.empty())
    return Heads{dims[0], dims[3], dims[1], dims[4]};
  std::optional<int64_t> heads = node.getInt(attribute);
  if (dims.size() != 3 || !heads || *heads < 1)
    return node.error() << "expected input " << input
                        << " of rank 4, or of rank 3 with " << attribute
                        << ", but got rank " << dims.size();
  return Heads{dims[0], node.constant(*heads), dims[1],
               node.symbols.floorDiv(dims[2], node.constant(*heads))};
}

static LogicalResult inferAttention(Node &node) {
  if (!node.getDims(0) || !node.getDims(1) || !node.getDims(2))
    return success();
  FailureOr<Heads> q = getHeads(node, 0, "q_num_heads");
  FailureOr<Heads> k = getHeads(node, 1, "kv_num_heads");
  FailureOr<Heads> v = getHeads(node, 2, "kv_num_heads");
  if (failed(q) || failed(k) || failed(v))
    return failure();
  if (failed(node.merge(q->batch, k->batch, "batches")) ||
      failed(node.merge(k->length, v->length, "lengths of K and V")) ||
      failed(node.merge(q->size, k->size, "head sizes of Q and K")))
    return failure();
  AffineExpr total = k->length;
  if (const Dims *past = node.getDims(4)) {
    if (failed(node.expectRank(4, 4)))
      return failure();
    total = node.symbols.add((*past)[2], total);
  }
  // A mask shorter than the keys is padded with what masks.
  if (const Dims *mask = node.getDims(3); mask && !mask->empty())
    node.inference.assumeAtLeast(total, mask->back(), node.op);
  if (node.getDims(0)->size() == 4)
    node.setDims(0, {q->batch, q->heads, q->length, v->size});
  else
    node.setDims(0, {q->batch, q->length, node.symbols.mul(q->heads, v->size)});
  node.setDims(1, {q->batch, k->heads, total, k->size});
  node.setDims(2, {q->batch, k->heads, total, v->size});
  node.setDims(3, {q->batch, q->heads, q->length, total});
  return success();
}

/// total_sequence_length, a scalar on the host.
static AffineExpr getTotal(Node &node, unsigned input) {
  const Elements *total = node.getElements(input);
  return total && total->size() == 1 ? (*total)[0].value : AffineExpr();
}

static LogicalResult inferGroupQueryAttention(Node &node) {
  const Dims *query = node.getDims(0);
  if (!query)
    return success();
  if (failed(node.expectRank(0, 3)))
    return failure();
  int64_t heads = node.getInt("num_heads", 1);
  int64_t kvHeads = node.getInt("kv_num_heads", 1);
  bool packed = !node.hasInput(1);
  SymbolTable &symbols = node.symbols;
  AffineExpr width = symbols.floorDiv(
      (*query)[2], node.constant(packed ? heads + 2 * kvHeads : heads));
  node.setDims(
      0, {(*query)[0], (*query)[1], symbols.mul(width, node.constant(heads))});
  AffineExpr length = (*query)[1];
  AffineExpr past;
  if (const Dims *dims = node.getDims(3)) {
    if (failed(node.expectRank(3, 4)))
      return failure();
    past = (*dims)[2];
  }
  // A cache that is a buffer, longer than what is valid, keeps its length.
  AffineExpr total = getTotal(node, 6);
  AffineExpr present = past ? symbols.add(past, length) : length;
  if (total && present && past && total != past)
    node.inference.unify(total, present, node.op);
  if (total && past && total == past)
    present = past;
  Dims cache{(*query)[0], node.constant(kvHeads), symbols.normalize(present),
             width};
  node.setDims(1, cache);
  node.setDims(2, cache);
  return success();
}

/// Y is like Q, with V's features; lse has an element for each row.
static LogicalResult inferTenonAttention(Node &node) {
  if (!node.getDims(0) || !node.getDims(1) || !node.getDims(2))
    return success();
  auto get = [&](unsigned input, StringRef heads) {
    bool isPart = node.getDims(input)->size() == 5;
    return getHeads(node, input, isPart ? StringRef() : heads);
  };
  FailureOr<Heads> q = get(0, "q_num_heads"), k = get(1, "kv_num_heads"),
                   v = get(2, "kv_num_heads");
  if (failed(q) || failed(k) || failed(v) ||
      failed(node.merge(q->batch, k->batch, "batches")) ||
      failed(node.merge(k->length, v->length, "lengths of K and V")) ||
      failed(node.merge(q->size, k->size, "head sizes of Q and K")))
    return failure();
  if (node.getDims(0)->size() == 4)
    node.setDims(0, {q->batch, q->heads, q->length, v->size});
  else
    node.setDims(0, {q->batch, q->length, node.symbols.mul(q->heads, v->size)});
  node.setDims(1, {q->batch, q->heads, q->length});
  return success();
}

/// [B, heads, past + new, D], or the past's own length.
static LogicalResult inferCacheAppend(Node &node) {
  if (!node.getDims(1))
    return success();
  FailureOr<Heads> update = getHeads(node, 1, "num_heads");
  if (failed(update))
    return failure();
  if (std::optional<int64_t> size = node.getInt("head_size"))
    update->size = node.constant(*size);
  AffineExpr length = update->length;
  if (const Dims *past = node.getDims(0)) {
    if (failed(node.expectRank(0, 4)))
      return failure();
    if (failed(node.merge((*past)[0], update->batch, "batches")))
      return failure();
    length = node.getInt("grows", 1) ? node.symbols.add((*past)[2], length)
                                     : (*past)[2];
  }
  node.setDims(0, {update->batch, update->heads, node.symbols.normalize(length),
                   update->size});
  return success();
}

/// Q of [B, T, heads * D], K and V of as many positions; the state is
/// [B, kv heads, D of K, D of V].
static LogicalResult inferLinearAttention(Node &node) {
  const Dims *query = node.getDims(0), *key = node.getDims(1),
             *value = node.getDims(2);
  if (!query || !key || !value)
    return success();
  for (unsigned input = 0; input < 3; ++input)
    if (failed(node.expectRank(input, 3)))
      return failure();
  int64_t heads = node.getInt("q_num_heads", 1);
  int64_t kvHeads = node.getInt("kv_num_heads", 1);
  if (kvHeads < 1 || heads < kvHeads || heads % kvHeads != 0)
    return node.error()
           << "expected q_num_heads that kv_num_heads divides, but "
              "got "
           << heads << " and " << kvHeads;
  for (const Dims *other : {key, value})
    if (failed(node.merge((*query)[0], (*other)[0], "batches")) ||
        failed(node.merge((*query)[1], (*other)[1], "numbers of positions")))
      return failure();
  SymbolTable &symbols = node.symbols;
  AffineExpr group = node.constant(heads / kvHeads);
  if (failed(node.merge((*query)[2], symbols.mul((*key)[2], group),
                        "widths of Q and of K for all its heads")))
    return failure();
  node.setDims(0, {(*query)[0], (*query)[1], symbols.mul((*value)[2], group)});
  AffineExpr count = node.constant(kvHeads);
  node.setDims(1, {(*query)[0], count, symbols.floorDiv((*key)[2], count),
                   symbols.floorDiv((*value)[2], count)});
  return success();
}

static LogicalResult inferRotary(Node &node) {
  if (const Dims *dims = node.getDims(0))
    node.setDims(0, *dims);
  return success();
}

void addAttention(ShapeTable &table) {
  table["Attention"] = inferAttention;
  table["LinearAttention"] = inferLinearAttention;
  table["RotaryEmbedding"] = inferRotary;
  table["ms.RotaryEmbedding"] = inferRotary;
  table["tenon.Attention"] = inferTenonAttention;
  table["tenon.CacheAppend"] = inferCacheAppend;
  table["ms.GroupQueryAttention"] = inferGroupQueryAttention;
}

} // namespace tenon
