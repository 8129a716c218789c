// Goes through a constant element by element, from its mapped bytes to the
// bytes of the spill file, so that no weight is in memory as a whole.

#include "NarrowConstant.h"

#include "dialects/ONNX/StoredAttr.h"

#include <cmath>
#include <cstring>

using namespace mlir;
using namespace tenon;

float tenon::getLargest(Type half) {
  return APFloat::getLargest(cast<FloatType>(half).getFloatSemantics())
      .convertToFloat();
}

static uint16_t toF16(float value) {
  auto half = _Float16(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

static float fromF16(uint16_t bits) {
  _Float16 half;
  std::memcpy(&half, &bits, 2);
  return float(half);
}

static uint16_t toBF16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (std::isnan(value)) // rounding could make it an infinity
    return uint16_t(bits >> 16) | 0x40;
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float fromBF16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

namespace {
class Narrower {
public:
  explicit Narrower(Type half)
      : isF16(half.isF16()), largest(getLargest(half)) {}

  void run(ArrayRef<char> source, MutableArrayRef<char> target) {
    for (size_t at = 0; at < source.size() / 4; ++at) {
      float value;
      std::memcpy(&value, &source[at * 4], 4);
      uint16_t bits = narrow(value);
      std::memcpy(&target[at * 2], &bits, 2);
    }
  }

  int64_t clamped = 0;
  double squares = 0, errors = 0;

private:
  uint16_t narrow(float value) {
    if (!std::isfinite(value))
      return isF16 ? toF16(value) : toBF16(value);
    clamped += std::abs(value) > largest;
    float within = std::min(std::max(value, -largest), largest);
    uint16_t bits = isF16 ? toF16(within) : toBF16(within);
    double error = double(isF16 ? fromF16(bits) : fromBF16(bits)) - value;
    errors += error * error;
    squares += double(value) * value;
    return bits;
  }

  bool isF16;
  float largest;
};
} // namespace

FailureOr<NarrowedConstant> tenon::narrowConstant(TypedAttr constant, Type half,
                                                  StringRef name) {
  auto type = cast<RankedTensorType>(constant.getType());
  if (type.getNumElements() == 0)
    return NarrowedConstant{onnx::makeDense(type.clone(half), ArrayRef<char>()),
                            0, 0};
  FailureOr<ArrayRef<char>> source = onnx::getBytes(constant);
  if (failed(source))
    return failure();
  Narrower narrower(half);
  FailureOr<TypedAttr> value = onnx::fillConstant(
      type.clone(half),
      [&](MutableArrayRef<char> target) { narrower.run(*source, target); },
      name);
  if (failed(value))
    return failure();
  double error =
      narrower.squares > 0 ? std::sqrt(narrower.errors / narrower.squares) : 0;
  return NarrowedConstant{*value, narrower.clamped, error};
}
