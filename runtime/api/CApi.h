// What the two files of the C API share: handles, the barrier for exceptions,
// and the way between DLPack and our tensors.
#ifndef TENON_RUNTIME_API_CAPI_H
#define TENON_RUNTIME_API_CAPI_H

#include "runtime/support/Failure.h"
#include "runtime/support/Log.h"
#include "runtime/core/Session.h"
#include "runtime/include/tenon_rt.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

struct tenon_artifact {
  std::shared_ptr<const tenon::rt::Artifact> artifact;
  std::vector<std::string> entryNames;
};

struct tenon_weights {
  std::shared_ptr<tenon::rt::Weights> weights;
};

namespace tenon::rt {

DLDataType toDLPack(ElementType type);
/// `kind` ("input", ...) and `name` are for failures.
TensorView fromDLPack(const DLTensor *tensor, const char *kind, std::string_view name);

void reportError(tenon_error **error, Status code, const char *message, const char *node);

template <typename T>
void requirePointer(const T *pointer, const char *name) {
  if (!pointer)
    fail(Status::usage, "expected a pointer for '", name, "', but got null");
}

/// Options as this library knows them: zero where the caller's are older.
template <typename Options>
Options readOptions(const Options *given) {
  Options result{};
  if (!given)
    return result;
  if (given->size < sizeof(size_t))
    fail(Status::usage, "expected an options struct that begins with its size, but got size ",
         given->size);
  std::memcpy(&result, given, std::min(given->size, sizeof(Options)));
  return result;
}

/// Runs `body`; turns whatever it throws into a status and an error object.
template <typename Body>
tenon_status guarded(tenon_error **error, Body body) noexcept {
  if (error)
    *error = nullptr;
  Status status = Status::ok;
  try {
    body();
    return TENON_OK;
  } catch (const Failure &failure) {
    status = failure.status;
    reportError(error, status, failure.what(), failure.node.c_str());
  } catch (const std::bad_alloc &) {
    status = Status::memory;
    reportError(error, status, "out of memory", "");
  } catch (const std::exception &unexpected) {
    status = Status::execution;
    reportError(error, status, unexpected.what(), "");
  }
  return static_cast<tenon_status>(status);
}

} // namespace tenon::rt

#endif // TENON_RUNTIME_API_CAPI_H
