// How the runtime reports: one exception type inside, turned into a status code
// and an error object at the C API; nothing is thrown across it.
#ifndef TENON_RUNTIME_SUPPORT_FAILURE_H
#define TENON_RUNTIME_SUPPORT_FAILURE_H

#include <exception>
#include <sstream>
#include <string>
#include <utility>

namespace tenon::rt {

/// The numbers are those of tenon_status in tenon_rt.h.
enum class Status {
  ok = 0,
  usage = 1,       // the caller broke the API's rules
  file = 2,        // a file cannot be read
  corrupt = 3,     // the artifact's bytes are not what they should be
  unsupported = 4, // this machine or this runtime cannot run the artifact
  input = 5,       // an input does not fit the entry's signature
  memory = 6,
  cancelled = 7,
  execution = 8, // the program cannot go on with these data
  device = 9     // a GPU failed
};

class Failure : public std::exception {
public:
  Failure(Status status, std::string message, std::string node = {})
      : status(status), message(std::move(message)), node(std::move(node)) {}
  const char *what() const noexcept override { return message.c_str(); }

  Status status;
  std::string message;
  std::string node; // the ONNX node, where one is to blame
};

/// The pieces, printed one after the other.
template <typename... Pieces>
std::string concat(const Pieces &...pieces) {
  std::ostringstream out;
  (out << ... << pieces);
  return out.str();
}

/// Fails with the message that the pieces make.
template <typename... Pieces>
[[noreturn]] void fail(Status status, const Pieces &...pieces) {
  throw Failure(status, concat(pieces...));
}

} // namespace tenon::rt

#endif // TENON_RUNTIME_SUPPORT_FAILURE_H
