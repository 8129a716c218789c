// Numbers in the text of encodings.
#ifndef TENON_RUNTIME_FORMAT_NUMBERS_H
#define TENON_RUNTIME_FORMAT_NUMBERS_H

#include <cstdint>
#include <optional>
#include <string_view>

namespace tenon::format {

/// Reads a whole non-negative number off the front of `text`.
inline std::optional<int64_t> takeNumber(std::string_view &text) {
  int64_t number = 0;
  size_t digits = 0;
  for (; digits < text.size() && digits < 9; ++digits) {
    if (text[digits] < '0' || text[digits] > '9')
      break;
    number = number * 10 + (text[digits] - '0');
  }
  text.remove_prefix(digits);
  return digits ? std::optional(number) : std::nullopt;
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_NUMBERS_H
