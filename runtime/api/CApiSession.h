// What a tenon_session is.
#ifndef TENON_RUNTIME_API_CAPISESSION_H
#define TENON_RUNTIME_API_CAPISESSION_H

#include "runtime/api/CApi.h"

#include <memory>
#include <string>
#include <vector>

struct tenon_session {
  /// One input or output in C's terms.
  struct Described {
    std::string name;
    DLDataType dtype;
    std::vector<int64_t> dims;
    std::vector<std::string> dimNames;
    std::vector<const char *> dimNamePointers;
  };

  std::unique_ptr<tenon::rt::Session> session;
  tenon::rt::SessionOptions options; // without entry and states
  std::string device;
  std::vector<Described> inputs, outputs;
  std::vector<std::vector<int64_t>> outputShapes;
  std::string traceNode, traceKernel;
  mutable std::string variant, cacheName;
};

namespace tenon::rt {
/// Fills in what the C API says of the session's signature.
void describeSession(tenon_session &session);
} // namespace tenon::rt

#endif // TENON_RUNTIME_API_CAPISESSION_H
