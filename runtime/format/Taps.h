// The encoding "taps:CHANNELS:ROW" of filters [f, c, spatial..., x]: element
// (f, c, s, x) lies at (f, s, x * CHANNELS + c) of rows of ROW elements, the
// rest of which is zero. So what a filter multiplies with at one place of an
// image with channels last is one run.
#ifndef TENON_RUNTIME_FORMAT_TAPS_H
#define TENON_RUNTIME_FORMAT_TAPS_H

#include "runtime/format/Numbers.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace tenon::format {

struct Taps {
  int64_t channels = 0, row = 0;
};

/// The taps of an encoding of a weight of these dimensions.
inline std::optional<Taps> parseTaps(std::string_view encoding,
                                     const std::vector<int64_t> &dims) {
  auto numbers = parseTwoNumbers(encoding, "taps");
  if (dims.size() < 3 || !numbers)
    return std::nullopt;
  auto [channels, row] = *numbers;
  int64_t used;
  if (channels < dims[1] || __builtin_mul_overflow(channels, dims.back(), &used) ||
      row < used)
    return std::nullopt;
  return Taps{channels, row};
}

/// Filters as they are in the model.
struct TapShape {
  TapShape(const Taps &taps, const std::vector<int64_t> &dims)
      : taps(taps), filters(dims[0]), channels(dims[1]), width(dims.back()) {
    for (size_t i = 2; i + 1 < dims.size(); ++i)
      fits &= !__builtin_mul_overflow(rows, dims[i], &rows);
  }
  /// Elements of the encoded form; nothing where they overflow.
  std::optional<int64_t> size() const {
    int64_t total;
    if (!fits || __builtin_mul_overflow(filters, rows, &total) ||
        __builtin_mul_overflow(total, taps.row, &total))
      return std::nullopt;
    return total;
  }

  Taps taps;
  int64_t filters, channels, rows = 1, width;
  bool fits = true;
};

/// Row-major elements of `bytes` bytes -> taps; `to` has shape.size() elements.
inline void packTaps(const TapShape &shape, int64_t bytes, const uint8_t *from,
                     uint8_t *to) {
  std::memset(to, 0, size_t(*shape.size() * bytes));
  for (int64_t f = 0; f < shape.filters; ++f)
    for (int64_t c = 0; c < shape.channels; ++c)
      for (int64_t s = 0; s < shape.rows; ++s)
        for (int64_t x = 0; x < shape.width; ++x, from += bytes) {
          int64_t row = (f * shape.rows + s) * shape.taps.row;
          std::memcpy(to + (row + x * shape.taps.channels + c) * bytes, from,
                      size_t(bytes));
        }
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_TAPS_H
