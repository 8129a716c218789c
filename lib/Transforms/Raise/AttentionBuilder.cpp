#include "AttentionBuilder.h"

#include "mlir/IR/Remarks.h"

using namespace mlir;
using namespace tenon;

IntegerAttr AttentionBuilder::getHeads(int64_t heads, int64_t rank) {
  return rank == 3 ? rewriter.getI64IntegerAttr(heads) : IntegerAttr();
}

Value AttentionBuilder::append(Value past, Value update, Value present,
                               Value positions, bool grows) {
  RankedTensorType from = getRanked(update);
  SmallVector<int64_t> shape(4, ShapedType::kDynamic);
  Type type = present ? present.getType()
                      : RankedTensorType::get(shape, from.getElementType());
  return onnx::TenonCacheAppendOp::create(
      rewriter, source->getLoc(), type, past, update, positions,
      /*cos_cache=*/Value(), /*sin_cache=*/Value(),
      /*position_ids=*/Value(), /*first_column=*/rewriter.getI64IntegerAttr(0),
      rewriter.getI64IntegerAttr(grows), /*head_size=*/IntegerAttr(),
      /*interleaved=*/rewriter.getI64IntegerAttr(0),
      getHeads(keyHeads, from.getRank()),
      /*rotary_embedding_dim=*/rewriter.getI64IntegerAttr(0));
}

Value AttentionBuilder::build(Type type) {
  int64_t keyRank =
      std::min(getRanked(key).getRank(), getRanked(value).getRank());
  auto integer = [&](int64_t number) {
    return rewriter.getI64IntegerAttr(number);
  };
  return onnx::TenonAttentionOp::create(
             rewriter, source->getLoc(), type, /*lse=*/Type(), query, key,
             value, mask, lengths, positions, sinks, /*num_keys=*/Value(),
             integer(emptyRowIsNaN), integer(isCausal), integer(keyPart),
             getHeads(keyHeads, keyRank), integer(leftWindow),
             getHeads(queryHeads, getRanked(query).getRank()),
             integer(queryPart), integer(rightWindow), scale,
             rewriter.getF32FloatAttr(softcap), integer(valuePart))
      .getY();
}

void tenon::AttentionBuilder::replaceSource(Value result, bool hasKey,
                                            bool hasValue) {
  remark::passed(source->getLoc(), remark::RemarkOpts::name("raised").category(
                                       "onnx-raise-attention"))
      << "raised " << source->getName().stripDialect();
  SmallVector<Value> values = {result};
  if (hasKey)
    values.push_back(key);
  if (hasValue)
    values.push_back(value);
  rewriter.replaceOp(source, values);
}
