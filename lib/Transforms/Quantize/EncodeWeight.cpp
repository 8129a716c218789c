// Goes through a weight block by block, from its mapped bytes to the bytes of
// its integers.

#include "EncodeWeight.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace tenon;

const llvm::fltSemantics &tenon::getScaleSemantics(Type element) {
  return cast<FloatType>(element).getFloatSemantics();
}

namespace {
class Encoder {
public:
  Encoder(RankedTensorType type, ArrayRef<char> source, MatrixBlocks blocks,
          const BlockedIntegers &format)
      : type(type), element(type.getElementType()), source(source),
        blocks(blocks), format(format), columns(type.getDimSize(1)),
        scales(type.getDimSize(1 - blocks.axis) * blocks.count(type)),
        zeros(scales.size()) {}

  /// Writes the integers to `target`, which is zero, and keeps the parameters.
  void run(MutableArrayRef<char> target);
  FailureOr<TypedAttr> makeScales(StringRef name);
  FailureOr<TypedAttr> makeZeros(StringRef name, Type integers);
  bool isFinite() const { return allFinite; }
  double getRelativeError() const {
    return squares > 0 ? std::sqrt(errors / squares) : 0;
  }

private:
  int64_t position(int64_t line, int64_t at) const {
    return blocks.axis == 0 ? at * columns + line : line * columns + at;
  }
  float read(int64_t position);
  void encodeBlock(int64_t line, int64_t block, MutableArrayRef<char> target);
  RankedTensorType getParameterType(Type of) const;

  RankedTensorType type;
  Type element;
  ArrayRef<char> source;
  MatrixBlocks blocks;
  const BlockedIntegers &format;
  int64_t columns;
  /// In the order of ONNX's tensors.
  SmallVector<float> scales;
  SmallVector<uint8_t> zeros;
  SmallVector<float> values, decoded;
  SmallVector<uint8_t> codes;
  bool allFinite = true;
  double squares = 0, errors = 0;
};
} // namespace

float Encoder::read(int64_t position) {
  float value;
  if (element.isF32()) {
    std::memcpy(&value, &source[position * 4], 4);
  } else if (element.isF16()) {
    _Float16 half;
    std::memcpy(&half, &source[position * 2], 2);
    value = float(half);
  } else {
    uint16_t high;
    std::memcpy(&high, &source[position * 2], 2);
    uint32_t bits = uint32_t(high) << 16;
    std::memcpy(&value, &bits, 4);
  }
  if (std::isfinite(value))
    return value;
  allFinite = false;
  return 0;
}

void Encoder::encodeBlock(int64_t line, int64_t block,
                          MutableArrayRef<char> target) {
  int64_t first = block * blocks.size;
  int64_t count = std::min(blocks.size, type.getDimSize(blocks.axis) - first);
  values.resize(count), decoded.resize(count), codes.resize(count);
  for (int64_t i = 0; i < count; ++i)
    values[i] = read(position(line, first + i));
  BlockParameters parameters = format.fit(values);
  format.encode(values, parameters, codes);
  format.decode(codes, parameters, decoded);
  int64_t lines = type.getDimSize(1 - blocks.axis);
  int64_t at = blocks.axis == 0 ? block * lines + line
                                : line * blocks.count(type) + block;
  scales[at] = parameters.scale;
  zeros[at] = uint8_t(parameters.zero) & ((1u << format.getBits()) - 1);
  unsigned bits = format.getBits(), perByte = 8 / bits;
  for (int64_t i = 0; i < count; ++i) {
    int64_t to = position(line, first + i);
    target[to / perByte] |= char(codes[i] << (to % perByte * bits));
    double error = double(decoded[i]) - values[i];
    errors += error * error;
    squares += double(values[i]) * values[i];
  }
}

void Encoder::run(MutableArrayRef<char> target) {
  int64_t lines = type.getDimSize(1 - blocks.axis);
  // The order of the bytes, nearly: a block of rows, or a row.
  for (int64_t outer = 0; outer < blocks.count(type) * lines; ++outer)
    if (blocks.axis == 0)
      encodeBlock(outer % lines, outer / lines, target);
    else
      encodeBlock(outer / blocks.count(type), outer % blocks.count(type),
                  target);
}

RankedTensorType Encoder::getParameterType(Type of) const {
  if (blocks.isWholeLine(type))
    return RankedTensorType::get({type.getDimSize(1 - blocks.axis)}, of);
  SmallVector<int64_t> shape(type.getShape());
  shape[blocks.axis] = blocks.count(type);
  return RankedTensorType::get(shape, of);
}

FailureOr<TypedAttr> Encoder::makeScales(StringRef name) {
  return onnx::fillConstant(
      getParameterType(element),
      [&](MutableArrayRef<char> bytes) {
        unsigned width = element.getIntOrFloatBitWidth() / 8;
        for (auto [i, scale] : llvm::enumerate(scales)) {
          APFloat number(scale);
          bool inexact; // the format fitted numbers of this type
          number.convert(getScaleSemantics(element),
                         APFloat::rmNearestTiesToEven, &inexact);
          uint64_t bits = number.bitcastToAPInt().getZExtValue();
          std::memcpy(&bytes[i * width], &bits, width);
        }
      },
      name);
}

FailureOr<TypedAttr> Encoder::makeZeros(StringRef name, Type integers) {
  if (format.areSigned())
    return TypedAttr();
  return onnx::makeConstant(getParameterType(integers), format.pack(zeros),
                            name);
}

FailureOr<EncodedWeight> tenon::encodeWeight(TypedAttr weight,
                                             MatrixBlocks blocks,
                                             const BlockedIntegers &format,
                                             StringRef name,
                                             StringRef &reason) {
  auto type = cast<RankedTensorType>(weight.getType());
  FailureOr<ArrayRef<char>> source = onnx::getBytes(weight);
  if (failed(source)) {
    reason = "its bytes cannot be read";
    return failure();
  }
  Type integer = IntegerType::get(type.getContext(), format.getBits(),
                                  format.areSigned() ? IntegerType::Signless
                                                     : IntegerType::Unsigned);
  Encoder encoder(type, *source, blocks, format);
  FailureOr<TypedAttr> integers = onnx::fillConstant(
      type.clone(integer),
      [&](MutableArrayRef<char> target) { encoder.run(target); },
      (name + "_quantized").str());
  if (succeeded(integers) && !encoder.isFinite()) {
    reason = "an element is not finite";
    return failure();
  }
  FailureOr<TypedAttr> scales = encoder.makeScales((name + "_scale").str());
  FailureOr<TypedAttr> zeros =
      encoder.makeZeros((name + "_zero_point").str(), integer);
  if (failed(integers) || failed(scales) || failed(zeros)) {
    reason = "there is no room in the temporary folder";
    return failure();
  }
  return EncodedWeight{*integers, *scales, *zeros, encoder.getRelativeError()};
}
