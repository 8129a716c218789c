#include "tenon/Support/StorageFormat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

StorageFormat::~StorageFormat() = default;

Value BlockedIntegers::unpack(OpBuilder &builder, Location loc,
                              llvm::function_ref<Value(Value)> getByte,
                              Value position, Type type) const {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  Type i8 = builder.getI8Type();
  int64_t perByte = 8 / bits;
  if (perByte == 1)
    return arith::UIToFPOp::create(builder, loc, type, getByte(position));
  Value byte =
      getByte(arith::DivUIOp::create(builder, loc, position, index(perByte)));
  Value place = arith::RemUIOp::create(builder, loc, position, index(perByte));
  Value shift = arith::IndexCastOp::create(
      builder, loc, i8,
      arith::MulIOp::create(builder, loc, place, index(bits)));
  Value moved = arith::ShRUIOp::create(builder, loc, byte, shift);
  Value mask = arith::ConstantOp::create(
      builder, loc, builder.getI8IntegerAttr((1 << bits) - 1));
  Value integer = arith::AndIOp::create(builder, loc, moved, mask);
  return arith::UIToFPOp::create(builder, loc, type, integer);
}

Value BlockedIntegers::decode(OpBuilder &builder, Location loc,
                              const StoredBlock &block, Value position,
                              Type type) const {
  Value zero = block.zero;
  if (!zero)
    zero = arith::ConstantOp::create(
        builder, loc, builder.getFloatAttr(type, 1 << (bits - 1)));
  Value stored = unpack(builder, loc, block.getByte, position, type);
  Value centered = arith::SubFOp::create(builder, loc, stored, zero);
  return arith::MulFOp::create(builder, loc, centered, block.scale);
}
