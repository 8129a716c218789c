#include "LaneMask.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

IntegerType tenon::getMaskWord(Builder &builder, int64_t lanes) {
  constexpr int64_t leastBits = 8;
  return builder.getIntegerType(std::max(lanes, leastBits));
}

Value tenon::packMask(OpBuilder &builder, Location loc, Value mask,
                      int64_t apart, IntegerType word) {
  auto type = cast<VectorType>(mask.getType());
  Value none =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  SmallVector<int64_t> spread(word.getWidth(), type.getNumElements());
  for (int64_t lane = 0; lane < type.getNumElements(); ++lane)
    spread[lane * apart] = lane;
  Value bits = vector::ShuffleOp::create(builder, loc, mask, none, spread);
  Value packed =
      vector::BitCastOp::create(builder, loc, VectorType::get({1}, word), bits);
  return vector::ExtractOp::create(builder, loc, packed, 0);
}

Value tenon::unpackMask(OpBuilder &builder, Location loc, Value packed,
                        int64_t lanes) {
  int64_t width = packed.getType().getIntOrFloatBitWidth();
  Value whole = vector::BroadcastOp::create(
      builder, loc, VectorType::get({1}, packed.getType()), packed);
  Value bits = vector::BitCastOp::create(
      builder, loc, VectorType::get({width}, builder.getI1Type()), whole);
  if (lanes == width)
    return bits;
  return vector::ExtractStridedSliceOp::create(
      builder, loc, bits, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{lanes},
      ArrayRef<int64_t>{1});
}
