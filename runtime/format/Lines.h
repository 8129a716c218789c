// The encoding "lines:DIM:LENGTH" of matrices, vectors (which are matrices of one column)
// and tensors of more dimensions (matrices of what the first one and the others hold): the
// lines along DIM one after the other, each of LENGTH elements, those of the matrix and
// then zeros. Elements of less than 8 bits are packed from a byte's low
// bits, as in ONNX; a line begins at a byte.
#ifndef TENON_RUNTIME_FORMAT_LINES_H
#define TENON_RUNTIME_FORMAT_LINES_H

#include "runtime/format/Numbers.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace tenon::format {

struct Lines {
  int64_t dim = 0, length = 0;
};

/// The lines of an encoding of a weight of these dimensions.
inline std::optional<Lines> parseLines(std::string_view encoding,
                                       const std::vector<int64_t> &dims) {
  auto numbers = parseTwoNumbers(encoding, "lines");
  if (dims.empty() || !numbers)
    return std::nullopt;
  auto [dim, length] = *numbers;
  int64_t own = dim == 0 ? dims[0] : 1;
  for (size_t i = 1; dim == 1 && i < dims.size(); ++i)
    if (__builtin_mul_overflow(own, dims[i], &own))
      return std::nullopt;
  if (dim > 1 || length < own)
    return std::nullopt;
  return Lines{dim, length};
}

/// A matrix of elements of `bits` bits as it is in the model.
struct LineShape {
  LineShape(const Lines &lines, const std::vector<int64_t> &dims, unsigned bits)
      : bits(bits), areRows(lines.dim == 1), rows(dims[0]),
        lineBytes((lines.length * bits + 7) / 8) {
    for (size_t i = 1; i < dims.size(); ++i)
      fits &= !__builtin_mul_overflow(columns, dims[i], &columns);
  }
  int64_t count() const { return areRows ? rows : columns; }
  /// Bytes of the encoded form; nothing where they overflow.
  std::optional<int64_t> size() const {
    int64_t bytes;
    if (!fits || __builtin_mul_overflow(count(), lineBytes, &bytes))
      return std::nullopt;
    return bytes;
  }

  unsigned bits;
  bool areRows;
  int64_t rows, columns = 1, lineBytes;
  bool fits = true;
};

/// Calls move(row, column) for each element, some columns at a time, so that what is read
/// and written stays in the cache.
template <typename Move>
void forElements(const LineShape &shape, Move move) {
  constexpr int64_t width = 128;
  for (int64_t first = 0; first < shape.columns; first += width)
    for (int64_t row = 0; row < shape.rows; ++row)
      for (int64_t column = first; column < shape.columns && column < first + width; ++column)
        move(row, column);
}

/// Of elements of whole bytes.
template <size_t Bytes>
void packWhole(const LineShape &shape, const uint8_t *from, uint8_t *to) {
  int64_t ofRow = shape.areRows ? shape.lineBytes : int64_t(Bytes);
  int64_t ofColumn = shape.areRows ? int64_t(Bytes) : shape.lineBytes;
  forElements(shape, [&](int64_t row, int64_t column) {
    std::memcpy(to + row * ofRow + column * ofColumn,
                from + (row * shape.columns + column) * int64_t(Bytes), Bytes);
  });
}

/// Of elements that share a byte.
inline void packParts(const LineShape &shape, const uint8_t *from, uint8_t *to) {
  unsigned bits = shape.bits, perByte = 8 / bits;
  forElements(shape, [&](int64_t row, int64_t column) {
    int64_t source = row * shape.columns + column;
    int64_t line = shape.areRows ? row : column, at = shape.areRows ? column : row;
    unsigned code = from[source / perByte] >> (source % perByte * bits);
    to[line * shape.lineBytes + at / perByte] |=
        uint8_t((code & ((1u << bits) - 1)) << (at % perByte * bits));
  });
}

/// Row-major elements -> lines; `to` has shape.size() bytes.
inline void packLines(const LineShape &shape, const uint8_t *from, uint8_t *to) {
  std::memset(to, 0, size_t(*shape.size()));
  switch (shape.bits) {
  case 8: return packWhole<1>(shape, from, to);
  case 16: return packWhole<2>(shape, from, to);
  case 32: return packWhole<4>(shape, from, to);
  case 64: return packWhole<8>(shape, from, to);
  case 128: return packWhole<16>(shape, from, to);
  default: return packParts(shape, from, to);
  }
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_LINES_H
