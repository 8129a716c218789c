// Numbers in the text of encodings.
#ifndef TENON_RUNTIME_FORMAT_NUMBERS_H
#define TENON_RUNTIME_FORMAT_NUMBERS_H

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

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

/// A and B of the encoding "NAME:A:B".
inline std::optional<std::pair<int64_t, int64_t>> parseTwoNumbers(std::string_view encoding,
                                                                  std::string_view name) {
  if (encoding.substr(0, name.size()) != name)
    return std::nullopt;
  encoding.remove_prefix(name.size());
  std::optional<int64_t> numbers[2];
  for (std::optional<int64_t> &number : numbers) {
    if (encoding.empty() || encoding[0] != ':')
      return std::nullopt;
    encoding.remove_prefix(1);
    number = takeNumber(encoding);
    if (!number)
      return std::nullopt;
  }
  if (!encoding.empty())
    return std::nullopt;
  return std::pair(*numbers[0], *numbers[1]);
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_NUMBERS_H
