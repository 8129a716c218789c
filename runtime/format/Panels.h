// The encoding "panels:WIDTH:DIM" of weights: of the last two dimensions, DIM holds
// columns and the other one rows. Element (row, column) lies at
// (column / WIDTH, row, column % WIDTH); the last panel is filled up with zeros.
#ifndef TENON_RUNTIME_FORMAT_PANELS_H
#define TENON_RUNTIME_FORMAT_PANELS_H

#include "runtime/format/Numbers.h"

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

namespace tenon::format {

struct Panels {
  int64_t width = 0, columns = 0; // columns: the dimension
};

/// The panels of an encoding of a weight of that many dimensions.
inline std::optional<Panels> parsePanels(std::string_view encoding, size_t rank) {
  auto numbers = parseTwoNumbers(encoding, "panels");
  if (rank < 2 || !numbers)
    return std::nullopt;
  auto [width, columns] = *numbers;
  int64_t last = int64_t(rank) - 1;
  if (width == 0 || (columns != last && columns != last - 1))
    return std::nullopt;
  return Panels{width, columns};
}

inline int64_t countPanels(int64_t columns, int64_t width) {
  return columns / width + (columns % width != 0);
}

/// A stack of matrices as it is in the model; the product of `dims` fits 64 bits.
struct PanelShape {
  PanelShape(const Panels &panels, const std::vector<int64_t> &dims)
      : width(panels.width), columnsAreLast(panels.columns + 1 == int64_t(dims.size())) {
    size_t rank = dims.size();
    for (size_t i = 0; i + 2 < rank; ++i)
      matrices *= dims[i];
    columns = dims[panels.columns];
    rows = dims[2 * rank - 3 - panels.columns];
  }
  /// Elements of the packed form.
  int64_t size() const { return matrices * countPanels(columns, width) * rows * width; }

  int64_t matrices = 1, rows, columns, width;
  bool columnsAreLast;
};

/// Row-major bytes -> panels; `to` has shape.size() elements of `bytes` bytes.
inline void packPanels(const PanelShape &shape, size_t bytes, const uint8_t *from,
                       uint8_t *to) {
  int64_t rows = shape.rows, columns = shape.columns, width = shape.width;
  int64_t rowStride = shape.columnsAreLast ? columns : 1;
  int64_t columnStride = shape.columnsAreLast ? 1 : rows;
  for (int64_t matrix = 0; matrix < shape.matrices; ++matrix)
    for (int64_t first = 0; first < columns; first += width)
      for (int64_t row = 0; row < rows; ++row) {
        const uint8_t *source =
            from + (matrix * rows * columns + row * rowStride + first * columnStride) * bytes;
        int64_t count = columns - first < width ? columns - first : width;
        if (columnStride == 1)
          std::memcpy(to, source, count * bytes);
        else
          for (int64_t i = 0; i < count; ++i)
            std::memcpy(to + i * bytes, source + i * columnStride * bytes, bytes);
        std::memset(to + count * bytes, 0, (width - count) * bytes);
        to += width * bytes;
      }
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_PANELS_H
