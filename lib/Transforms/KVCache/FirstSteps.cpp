// The first step of a decoder without a past: what its attention reads is what
// it returns, and no Concat says that rows enter a cache.

#include "FindCaches.h"
#include "SessionCaches.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

using namespace mlir;
using namespace tenon;
using Append = onnx::TenonCacheAppendOp;
using Attention = onnx::TenonAttentionOp;

namespace {
class FirstSteps {
public:
  FirstSteps(func::FuncOp function, const ShapeAnalysis &shapes,
             IsCache isCache)
      : function(function), shapes(shapes), isCache(isCache),
        end(function.getBody().front().getTerminator()) {}

  bool rewrite(Attention attention);

private:
  OpOperand *findShown(Value rows);
  StringRef getName(OpOperand &result) {
    auto name = function.getResultAttrOfType<StringAttr>(
        result.getOperandNumber(), "onnx.name");
    return name ? name.getValue() : StringRef();
  }

  func::FuncOp function;
  const ShapeAnalysis &shapes;
  IsCache isCache;
  Operation *end;
};
} // namespace

/// [B, S, H * W] -> [B, S, H, W]
static bool splitsHeads(Value rows, onnx::ReshapeOp reshape,
                        const ShapeAnalysis &shapes) {
  auto before = shapes.getDims(rows);
  auto after = shapes.getDims(reshape->getResult(0));
  return before && after && before->size() == 3 && after->size() == 4 &&
         (*before)[0] == (*after)[0] && (*before)[1] == (*after)[1] &&
         isa<AffineConstantExpr>((*after)[2]) &&
         isa<AffineConstantExpr>((*after)[3]);
}

/// The result "present..." that is `rows` as [B, H, S, W]; null if none is.
OpOperand *FirstSteps::findShown(Value rows) {
  SmallVector<Value> forms;
  if (getRanked(rows) && getRanked(rows).getRank() == 4)
    forms.push_back(rows);
  for (Operation *user : rows.getUsers()) {
    auto reshape = dyn_cast<onnx::ReshapeOp>(user);
    if (!reshape || !splitsHeads(rows, reshape, shapes))
      continue;
    for (Operation *next : reshape->getResult(0).getUsers())
      if (auto transpose = dyn_cast<onnx::TransposeOp>(next))
        if (transpose.getPerm() == ArrayRef<int64_t>{0, 2, 1, 3})
          forms.push_back(transpose.getResult());
  }
  for (Value form : forms)
    for (OpOperand &use : form.getUses())
      if (use.getOwner() == end && getName(use).starts_with("present"))
        return &use;
  return nullptr;
}

/// Attention(q, k, v), k and v as results -> the same of CacheAppend(none, k)
/// and CacheAppend(none, v)
bool FirstSteps::rewrite(Attention attention) {
  Value key = attention.getK(), value = attention.getV();
  OpOperand *shownKey = findShown(key), *shownValue = findShown(value);
  if (attention.getNumKeys() || !shownKey || !shownValue ||
      shownKey == shownValue ||
      !isCache(getName(*shownKey), getRanked(shownKey->get()),
               getRanked(shownValue->get())) ||
      getStateName(getName(*shownKey)) != getStateName(getName(*shownValue)))
    return false;
  SmallVector<Attention> readers;
  for (Operation *user : key.getUsers())
    if (auto reader = dyn_cast<Attention>(user))
      if (reader.getK() == key && reader.getV() == value)
        readers.push_back(reader);
  OpBuilder builder(function.getContext());
  auto append = [&](Value rows, OpOperand *shown) {
    builder.setInsertionPointAfterValue(rows);
    NodeBuilder nodes(builder, shown->get().getLoc());
    RankedTensorType type = getRanked(shown->get());
    Value present = appendRows(nodes, Value(), rows, Value(),
                               type.getDimSize(1), /*grows=*/true, type);
    shown->set(present);
    return present;
  };
  Value presentKey = append(key, shownKey);
  Value presentValue = append(value, shownValue);
  for (Attention reader : readers) {
    reader.getKMutable().assign(presentKey);
    reader.getVMutable().assign(presentValue);
    reader->removeAttr("kv_num_heads");
  }
  return true;
}

FailureOr<SmallVector<Attention>> tenon::appendFirstRows(func::FuncOp function,
                                                         IsCache isCache) {
  SmallVector<Attention> rewritten;
  SmallVector<Attention> candidates;
  for (auto attention : function.getBody().front().getOps<Attention>())
    if (!attention.getK().getDefiningOp<Append>())
      candidates.push_back(attention);
  if (candidates.empty())
    return rewritten;
  FailureOr<ShapeAnalysis> shapes = ShapeAnalysis::compute(function);
  if (failed(shapes))
    return failure();
  FirstSteps steps(function, *shapes, isCache);
  for (Attention attention : candidates)
    if (!attention.getK().getDefiningOp<Append>() && steps.rewrite(attention))
      rewritten.push_back(attention);
  return rewritten;
}
