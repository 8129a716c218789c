#include "tenon/Support/StorageFormat.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include <cmath>

using namespace mlir;
using namespace tenon;

StorageFormat::~StorageFormat() = default;

float BlockedIntegers::roundScale(double scale) const {
  APFloat number(scale);
  bool inexact;
  number.convert(*scales, APFloat::rmNearestTiesToEven, &inexact);
  number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven, &inexact);
  float rounded = number.convertToFloat();
  // Values too small for a scale are zeros.
  return rounded == 0 ? 1.0f : rounded;
}

BlockParameters BlockedIntegers::fit(ArrayRef<float> values) const {
  double low = 0, high = 0;
  for (float value : values) {
    low = std::min(low, double(value));
    high = std::max(high, double(value));
  }
  if (isSigned) {
    // The value of largest magnitude gets the least integer, whatever its sign.
    double extreme = high > -low ? high : low;
    return {roundScale(extreme / getLeast()), 0};
  }
  float scale = roundScale((high - low) / getLargest());
  double zero = std::nearbyint(-low / scale);
  return {scale, int(std::min(zero, double(getLargest())))};
}

/// value / scale + zero, to the nearest, within the range
void BlockedIntegers::encode(ArrayRef<float> values, BlockParameters parameters,
                             MutableArrayRef<uint8_t> codes) const {
  float least = getLeast(), largest = getLargest();
  uint8_t mask = (1u << bits) - 1;
  for (auto [value, code] : llvm::zip_equal(values, codes)) {
    float steps =
        std::nearbyint(value / parameters.scale) + float(parameters.zero);
    code = uint8_t(int(std::min(std::max(steps, least), largest))) & mask;
  }
}

int BlockedIntegers::getInteger(uint8_t code) const {
  int half = 1 << (bits - 1);
  return isSigned ? (code ^ half) - half : code;
}

void BlockedIntegers::decode(ArrayRef<uint8_t> codes,
                             BlockParameters parameters,
                             MutableArrayRef<float> values) const {
  for (auto [code, value] : llvm::zip_equal(codes, values))
    value = float(getInteger(code) - parameters.zero) * parameters.scale;
}

float BlockedIntegers::getErrorBound(BlockParameters parameters) const {
  // The scale is rounded too, and counts once for each step of the range.
  float ofScale =
      std::ldexp(1.0f, int(bits) - int(APFloat::semanticsPrecision(*scales)));
  return std::fabs(parameters.scale) * ((isSigned ? 1.0f : 0.5f) + ofScale);
}

SmallVector<char> BlockedIntegers::pack(ArrayRef<uint8_t> codes) const {
  size_t perByte = 8 / bits;
  SmallVector<char> bytes((codes.size() + perByte - 1) / perByte, 0);
  for (auto [i, code] : llvm::enumerate(codes))
    bytes[i / perByte] |= char(code << (i % perByte * bits));
  return bytes;
}

SmallVector<uint8_t> BlockedIntegers::unpack(ArrayRef<char> bytes,
                                             int64_t count) const {
  size_t perByte = 8 / bits;
  SmallVector<uint8_t> codes(count);
  for (auto [i, code] : llvm::enumerate(codes))
    code = (uint8_t(bytes[i / perByte]) >> (i % perByte * bits)) &
           ((1u << bits) - 1);
  return codes;
}

Value BlockedIntegers::unpack(OpBuilder &builder, Location loc,
                              llvm::function_ref<Value(Value)> getByte,
                              Value position, Type type) const {
  auto index = [&](int64_t value) -> Value {
    return arith::ConstantIndexOp::create(builder, loc, value);
  };
  auto byteOf = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(
        builder, loc, builder.getIntegerAttr(builder.getI8Type(), value));
  };
  int64_t perByte = 8 / bits;
  if (perByte == 1) {
    Value integer = getByte(position);
    if (isSigned)
      return arith::SIToFPOp::create(builder, loc, type, integer);
    return arith::UIToFPOp::create(builder, loc, type, integer);
  }
  Value byte =
      getByte(arith::DivUIOp::create(builder, loc, position, index(perByte)));
  Value place = arith::RemUIOp::create(builder, loc, position, index(perByte));
  Value shift = arith::IndexCastOp::create(
      builder, loc, builder.getI8Type(),
      arith::MulIOp::create(builder, loc, place, index(bits)));
  Value moved = arith::ShRUIOp::create(builder, loc, byte, shift);
  Value integer =
      arith::AndIOp::create(builder, loc, moved, byteOf((1 << bits) - 1));
  if (!isSigned)
    return arith::UIToFPOp::create(builder, loc, type, integer);
  Value half = byteOf(1 << (bits - 1));
  Value raised = arith::XOrIOp::create(builder, loc, integer, half);
  return arith::SIToFPOp::create(
      builder, loc, type, arith::SubIOp::create(builder, loc, raised, half));
}

Value BlockedIntegers::decode(OpBuilder &builder, Location loc,
                              const StoredBlock &block, Value position,
                              Type type) const {
  Value stored = unpack(builder, loc, block.getByte, position, type);
  Value zero = block.zero;
  if (!zero)
    zero = arith::ConstantOp::create(builder, loc,
                                     builder.getFloatAttr(type, getMiddle()));
  Value centered = arith::SubFOp::create(builder, loc, stored, zero);
  return arith::MulFOp::create(builder, loc, centered, block.scale);
}
