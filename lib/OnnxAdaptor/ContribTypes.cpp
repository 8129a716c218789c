// Types by hand, from ONNX Runtime's documentation of its operators. A
// dimension that needs a value (cache lengths) is dynamic here; infer-shapes
// says more.

#include "ContribTypes.h"
#include "dialects/ONNX/ONNXDialect.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon::onnx;

constexpr int64_t kDynamic = ShapedType::kDynamic;

static TensorType tensorOf(Value value) {
  return cast<TensorType>(value.getType());
}

/// `type` with dimension `axis` replaced; unranked if it has no such dimension.
static Type withDim(TensorType type, int64_t axis, int64_t size) {
  if (!type.hasRank())
    return type;
  if (axis < 0)
    axis += type.getRank();
  if (axis < 0 || axis >= type.getRank())
    return UnrankedTensorType::get(type.getElementType());
  SmallVector<int64_t> shape(type.getShape());
  shape[axis] = size;
  return RankedTensorType::get(shape, type.getElementType());
}

static int64_t dimOf(TensorType type, int64_t axis) {
  if (!type.hasRank())
    return kDynamic;
  if (axis < 0)
    axis += type.getRank();
  return axis < 0 || axis >= type.getRank() ? kDynamic : type.getDimSize(axis);
}

/// Statistics of a normalization: `axis` and what follows have size one.
static Type statistics(TensorType type, int64_t axis) {
  Type f32 = Float32Type::get(type.getContext());
  if (!type.hasRank())
    return UnrankedTensorType::get(f32);
  if (axis < 0)
    axis += type.getRank();
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t i = std::max<int64_t>(axis, 0); i < type.getRank(); ++i)
    shape[i] = 1;
  return RankedTensorType::get(shape, f32);
}

/// Gives each present result a type by ONNX position.
static void append(Operation *op, ArrayRef<Type> byPosition,
                   SmallVectorImpl<Type> &types) {
  SmallVector<Value> outputs = cast<NodeInterface>(op).getOnnxOutputs();
  for (auto [output, type] : llvm::zip(outputs, byPosition))
    if (output)
      types.push_back(type);
}

/// present = [batch, kv heads, past + new, head size] of the past's type.
static Type presentType(Value past, TensorType query, int64_t heads,
                        int64_t headSize) {
  if (past)
    return withDim(tensorOf(past), 2, kDynamic);
  return RankedTensorType::get({dimOf(query, 0), heads, kDynamic, headSize},
                               query.getElementType());
}

static void inferGroupQuery(MsGroupQueryAttentionOp op,
                            SmallVectorImpl<Type> &types) {
  TensorType query = tensorOf(op.getQuery());
  int64_t heads = op.getNumHeads(), kvHeads = op.getKvNumHeads();
  int64_t width = dimOf(query, -1);
  // Without a key the query holds all three, side by side.
  int64_t parts = op.getKey() ? heads : heads + 2 * kvHeads;
  int64_t headSize = width == kDynamic || parts <= 0 ? kDynamic : width / parts;
  Type output = query;
  if (!op.getKey())
    output =
        withDim(query, -1, headSize == kDynamic ? kDynamic : headSize * heads);
  Type scores =
      RankedTensorType::get({dimOf(query, 0), heads, dimOf(query, 1), kDynamic},
                            query.getElementType());
  append(op,
         {output, presentType(op.getPastKey(), query, kvHeads, headSize),
          presentType(op.getPastValue(), query, kvHeads, headSize), scores},
         types);
}

static void inferMultiHead(MsMultiHeadAttentionOp op,
                           SmallVectorImpl<Type> &types) {
  TensorType query = tensorOf(op.getQuery());
  int64_t heads = op.getNumHeads();
  bool packed = query.hasRank() && query.getRank() == 5; // [B, S, heads, 3, D]
  int64_t batch = dimOf(query, 0), rows = dimOf(query, 1);
  int64_t width = packed ? dimOf(query, 4) : dimOf(query, -1);
  int64_t headSize = packed                            ? width
                     : width == kDynamic || heads <= 0 ? kDynamic
                                                       : width / heads;
  int64_t valueWidth = packed && width != kDynamic ? width * heads : width;
  if (Value value = op.getValue()) {
    TensorType type = tensorOf(value); // [B, T, heads * D] or [B, heads, T, D]
    if (type.hasRank() && type.getRank() == 4)
      valueWidth =
          dimOf(type, 3) == kDynamic ? kDynamic : dimOf(type, 3) * heads;
    else
      valueWidth = dimOf(type, -1);
  }
  Type output =
      RankedTensorType::get({batch, rows, valueWidth}, query.getElementType());
  Type scores = RankedTensorType::get({batch, heads, rows, kDynamic},
                                      query.getElementType());
  append(op,
         {output, presentType(op.getPastKey(), query, heads, headSize),
          presentType(op.getPastValue(), query, heads, headSize), scores},
         types);
}

static void inferSkipNorm(Operation *op, SmallVectorImpl<Type> &types) {
  TensorType input = tensorOf(op->getOperand(0));
  Type stats = statistics(input, -1);
  append(op, {input, stats, stats, input}, types);
}

static void inferFusedMatMul(MsFusedMatMulOp op, SmallVectorImpl<Type> &types) {
  TensorType a = tensorOf(op.getA()), b = tensorOf(op.getB());
  Type element = a.getElementType();
  bool plain = !op.getTransBatchA() && !op.getTransBatchB();
  if (!a.hasRank() || !b.hasRank() || a.getRank() < 2 || b.getRank() < 2 ||
      !plain) {
    types.push_back(UnrankedTensorType::get(element));
    return;
  }
  int64_t rank = std::max(a.getRank(), b.getRank());
  SmallVector<int64_t> shape(rank, kDynamic);
  for (int64_t i = 0; i < rank - 2; ++i) {
    int64_t fromEnd = i - rank;
    int64_t x = -fromEnd > a.getRank() ? 1 : dimOf(a, fromEnd);
    int64_t y = -fromEnd > b.getRank() ? 1 : dimOf(b, fromEnd);
    shape[i] = x == 1 ? y : x == kDynamic && y != 1 ? y : x;
  }
  shape[rank - 2] = dimOf(a, op.getTransA() ? -1 : -2);
  shape[rank - 1] = dimOf(b, op.getTransB() ? -2 : -1);
  types.push_back(RankedTensorType::get(shape, element));
}

static void inferAttention(TenonAttentionOp op, SmallVectorImpl<Type> &types) {
  TensorType q = tensorOf(op.getQ()), v = tensorOf(op.getV());
  Type f32 = Float32Type::get(op.getContext());
  bool hasHeads = q.hasRank() && q.getRank() == 4;
  Type result = withDim(q, -1, hasHeads ? dimOf(v, -1) : kDynamic);
  if (q.hasRank() && q.getRank() == 5) // a part of [B, S, parts, H, D]
    result = RankedTensorType::get({dimOf(q, 0), dimOf(q, 1), kDynamic},
                                   q.getElementType());
  append(op,
         {result,
          RankedTensorType::get({dimOf(q, 0), hasHeads ? dimOf(q, 1) : kDynamic,
                                 dimOf(q, hasHeads ? 2 : 1)},
                                f32)},
         types);
}

static void inferCacheAppend(TenonCacheAppendOp op,
                             SmallVectorImpl<Type> &types) {
  types.push_back(RankedTensorType::get(
      {dimOf(tensorOf(op.getUpdate()), 0), kDynamic, kDynamic, kDynamic},
      tensorOf(op.getUpdate()).getElementType()));
}

/// present = [2, batch, heads, past + new, head size], stacked.
static void inferPackedAttention(Operation *op, Value weights, int64_t heads,
                                 std::optional<ArrayRef<int64_t>> sizes,
                                 Type element, SmallVectorImpl<Type> &types) {
  TensorType input = tensorOf(op->getOperand(0));
  int64_t width = dimOf(tensorOf(weights), 1);
  int64_t hidden = width == kDynamic ? kDynamic : width / 3;
  if (sizes && sizes->size() == 3)
    hidden = (*sizes)[2];
  int64_t headSize =
      hidden == kDynamic || heads <= 0 ? kDynamic : hidden / heads;
  append(op,
         {RankedTensorType::get({dimOf(input, 0), dimOf(input, 1), hidden},
                                element),
          RankedTensorType::get({2, dimOf(input, 0), heads, kDynamic, headSize},
                                element)},
         types);
}

/// Of floats of type `element`, made of the rows of a table.
static void inferEmbedding(Operation *op, Value inputIds, Value table,
                           Type element, SmallVectorImpl<Type> &types) {
  TensorType ids = tensorOf(inputIds), words = tensorOf(table);
  Type sum = RankedTensorType::get(
      {dimOf(ids, 0), dimOf(ids, 1), dimOf(words, 1)}, element);
  Type mask = RankedTensorType::get({dimOf(ids, 0)},
                                    IntegerType::get(op->getContext(), 32));
  append(op, {sum, mask, sum}, types);
}

/// Y [steps, directions, batch, units], Y_h and Y_c of its last step.
static void inferQuantizedLSTM(MsDynamicQuantizeLSTMOp op,
                               SmallVectorImpl<Type> &types) {
  TensorType x = tensorOf(op.getX()), r = tensorOf(op.getR());
  int64_t directions = dimOf(r, 0), units = dimOf(r, 1), batch = dimOf(x, 1);
  Type last =
      RankedTensorType::get({directions, batch, units}, x.getElementType());
  append(op,
         {RankedTensorType::get({dimOf(x, 0), directions, batch, units},
                                x.getElementType()),
          last, last},
         types);
}

/// Where unpacked, [indices..., columns]; two 4-bit values may share a byte.
static void inferGatherBlocks(MsGatherBlockQuantizedOp op,
                              SmallVectorImpl<Type> &types) {
  TensorType data = tensorOf(op.getData()), indices = tensorOf(op.getIndices());
  Type element = tensorOf(op.getScales()).getElementType();
  if (!data.hasRank() || !indices.hasRank() || op.getGatherAxis() != 0 ||
      data.getRank() < 1) {
    types.push_back(UnrankedTensorType::get(element));
    return;
  }
  SmallVector<int64_t> shape(indices.getShape());
  llvm::append_range(shape, data.getShape().drop_front());
  bool packed = data.getElementType().isInteger(8) && op.getBits() < 8;
  if (packed && data.getRank() > 1 && shape.back() != kDynamic)
    shape.back() *= 8 / op.getBits();
  types.push_back(RankedTensorType::get(shape, element));
}

/// Labels and scores of a classifier. ONNX's own function for the deprecated
/// operator says nothing.
static void inferTreeClassifier(MlTreeEnsembleClassifierOp op,
                                SmallVectorImpl<Type> &types) {
  int64_t rows = dimOf(tensorOf(op.getX()), 0), classes = kDynamic;
  Type label = IntegerType::get(op.getContext(), 64);
  if (auto strings = op.getClasslabelsStrings()) {
    label = StringType::get(op.getContext());
    classes = strings->size();
  } else if (auto ints = op.getClasslabelsInt64s()) {
    classes = ints->size();
  }
  append(op,
         {RankedTensorType::get({rows}, label),
          RankedTensorType::get({rows, classes},
                                Float32Type::get(op.getContext()))},
         types);
}

static void inferTreeRegressor(MlTreeEnsembleRegressorOp op,
                               SmallVectorImpl<Type> &types) {
  std::optional<int64_t> targets = op.getNTargets();
  types.push_back(RankedTensorType::get(
      {dimOf(tensorOf(op.getX()), 0), targets.value_or(kDynamic)},
      Float32Type::get(op.getContext())));
}

bool tenon::inferContribTypes(Operation *op, SmallVectorImpl<Type> &types) {
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case<MsRotaryEmbeddingOp, MsFastGeluOp, MsBiasGeluOp, MsGeluOp,
            MsQuickGeluOp>([&](Operation *same) {
        types.push_back(same->getOperand(0).getType());
        return true;
      })
      .Case([&](SimplifiedLayerNormalizationOp norm) {
        TensorType input = tensorOf(norm.getX());
        append(norm, {input, statistics(input, norm.getAxis())}, types);
        return true;
      })
      .Case<MsSkipLayerNormalizationOp, MsSkipSimplifiedLayerNormalizationOp>(
          [&](Operation *norm) { return inferSkipNorm(norm, types), true; })
      .Case([&](MsMatMulNBitsOp matmul) {
        types.push_back(withDim(tensorOf(matmul.getA()), -1, matmul.getN()));
        return true;
      })
      .Case([&](MsFusedMatMulOp matmul) {
        return inferFusedMatMul(matmul, types), true;
      })
      .Case([&](MsGroupQueryAttentionOp attention) {
        return inferGroupQuery(attention, types), true;
      })
      .Case([&](MsMultiHeadAttentionOp attention) {
        return inferMultiHead(attention, types), true;
      })
      .Case([&](TenonAttentionOp attention) {
        return inferAttention(attention, types), true;
      })
      .Case([&](TenonCacheAppendOp append) {
        return inferCacheAppend(append, types), true;
      })
      .Case([&](MsAttentionOp attention) {
        inferPackedAttention(
            attention, attention.getWeights(), attention.getNumHeads(),
            attention.getQkvHiddenSizes(),
            tensorOf(attention.getInput()).getElementType(), types);
        return true;
      })
      .Case([&](MsQAttentionOp attention) {
        inferPackedAttention(attention, attention.getWeight(),
                             attention.getNumHeads(), std::nullopt,
                             tensorOf(attention.getBias()).getElementType(),
                             types);
        return true;
      })
      .Case([&](MsEmbedLayerNormalizationOp embedding) {
        Value table = embedding.getWordEmbedding();
        inferEmbedding(embedding, embedding.getInputIds(), table,
                       tensorOf(table).getElementType(), types);
        return true;
      })
      .Case([&](MsQEmbedLayerNormalizationOp embedding) {
        Value scale = embedding.getWordEmbeddingScale();
        inferEmbedding(embedding, embedding.getInputIds(),
                       embedding.getWordEmbeddingQuant(),
                       tensorOf(scale).getElementType(), types);
        return true;
      })
      .Case([&](MsDynamicQuantizeLSTMOp lstm) {
        return inferQuantizedLSTM(lstm, types), true;
      })
      .Case([&](MsGatherBlockQuantizedOp gather) {
        return inferGatherBlocks(gather, types), true;
      })
      .Case([&](MlTreeEnsembleClassifierOp trees) {
        return inferTreeClassifier(trees, types), true;
      })
      .Case([&](MlTreeEnsembleRegressorOp trees) {
        return inferTreeRegressor(trees, types), true;
      })
      .Default(false);
}
