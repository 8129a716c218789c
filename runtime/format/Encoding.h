// How a weight's bytes in the artifact come from those of its ONNX tensor: as they
// are, in panels, in lines, or as taps.
#ifndef TENON_RUNTIME_FORMAT_ENCODING_H
#define TENON_RUNTIME_FORMAT_ENCODING_H

#include "runtime/format/Lines.h"
#include "runtime/format/Panels.h"
#include "runtime/format/Taps.h"

#include <variant>

namespace tenon::format {

using Encoding = std::variant<std::monostate, Panels, Lines, Taps>;

/// What the text of an encoding may be, for messages.
constexpr const char *knownEncodings =
    "panels:WIDTH:DIM, lines:DIM:LENGTH or taps:CHANNELS:ROW";

/// The encoding of a weight of elements of `bits` bits; nothing if `text` is none, or
/// none for such a weight.
inline std::optional<Encoding> parseEncoding(std::string_view text,
                                             const std::vector<int64_t> &dims, unsigned bits) {
  if (text.empty())
    return Encoding();
  if (auto lines = parseLines(text, dims))
    return Encoding(*lines);
  if (auto taps = bits >= 8 ? parseTaps(text, dims) : std::nullopt)
    return Encoding(*taps);
  auto panels = bits >= 8 ? parsePanels(text, dims.size()) : std::nullopt;
  return panels ? std::optional(Encoding(*panels)) : std::nullopt;
}

/// Bytes of the encoded weight; nothing where they overflow. `dims` are not negative.
inline std::optional<int64_t> encodedSize(const Encoding &encoding,
                                          const std::vector<int64_t> &dims, unsigned bits) {
  if (auto *lines = std::get_if<Lines>(&encoding))
    return LineShape(*lines, dims, bits).size();
  if (auto *taps = std::get_if<Taps>(&encoding)) {
    std::optional<int64_t> size = TapShape(*taps, dims).size();
    bool fits = size && !__builtin_mul_overflow(*size, bits / 8, &*size);
    return fits ? size : std::nullopt;
  }
  std::vector<int64_t> packed = dims;
  if (auto *panels = std::get_if<Panels>(&encoding)) {
    packed[panels->columns] = countPanels(packed[panels->columns], panels->width);
    packed.push_back(panels->width);
  }
  int64_t total = bits;
  bool empty = false, fits = true;
  for (int64_t dim : packed) {
    // A zero makes the tensor empty, however large the other dimensions are.
    empty |= dim == 0;
    fits &= dim == 0 || !__builtin_mul_overflow(total, dim, &total);
  }
  if (!fits || total > INT64_MAX - 7)
    return std::nullopt;
  return empty ? 0 : (total + 7) / 8;
}

/// Bytes as in ONNX -> the encoding's; `to` has encodedSize bytes.
inline void encode(const Encoding &encoding, const std::vector<int64_t> &dims, unsigned bits,
                   const uint8_t *from, uint8_t *to) {
  if (auto *lines = std::get_if<Lines>(&encoding))
    packLines(LineShape(*lines, dims, bits), from, to);
  else if (auto *taps = std::get_if<Taps>(&encoding))
    packTaps(TapShape(*taps, dims), bits / 8, from, to);
  else if (auto *panels = std::get_if<Panels>(&encoding))
    packPanels(PanelShape(*panels, dims), bits / 8, from, to);
  else
    std::memcpy(to, from, size_t(*encodedSize(encoding, dims, bits)));
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_ENCODING_H
