// Short forms for running an artifact in a test.
#ifndef TENON_TEST_RUNTIME_SESSIONHELPERS_H
#define TENON_TEST_RUNTIME_SESSIONHELPERS_H

#include "runtime/support/Failure.h"
#include "runtime/core/Session.h"
#include "runtime/cpu/CpuDevice.h"

#include <cstring>
#include <gtest/gtest.h>

namespace tenon::test {

/// With its code for the CPU.
inline std::shared_ptr<const rt::Artifact> open(const std::string &path) {
  auto artifact = std::make_shared<rt::Artifact>(path, rt::ArtifactOptions{});
  rt::loadCpuCode(*artifact);
  return artifact;
}

inline std::unique_ptr<rt::Session> session(std::shared_ptr<const rt::Weights> weights,
                                            unsigned threads = 1,
                                            const rt::SessionOptions &options = {}) {
  return std::make_unique<rt::Session>(weights, rt::openCpu(weights->artifact, threads),
                                       options);
}

inline std::unique_ptr<rt::Session> session(const std::string &path, unsigned threads = 1) {
  return session(std::make_shared<rt::Weights>(open(path)), threads);
}

template <typename T>
rt::TensorView tensor(rt::ElementType type, const std::vector<T> &values,
                      std::vector<int64_t> dims) {
  return {type, std::move(dims), {}, reinterpret_cast<const uint8_t *>(values.data())};
}

inline rt::TensorView floats(const std::vector<float> &values) {
  return tensor(rt::ElementType::f32, values, {int64_t(values.size())});
}

template <typename T>
std::vector<T> read(const rt::Session &session, size_t output) {
  rt::TensorView view = session.output(output);
  int64_t count = 1;
  for (int64_t dim : view.dims)
    count *= dim;
  std::vector<T> values(count);
  if (count)
    std::memcpy(values.data(), view.data, count * sizeof(T));
  return values;
}

/// Expects `body` to fail with `status` and a message that contains each of `parts`.
template <typename Body>
void expectFailure(rt::Status status, const std::vector<std::string> &parts, Body body) {
  try {
    body();
    ADD_FAILURE() << "expected a failure";
  } catch (const rt::Failure &failure) {
    EXPECT_EQ(int(failure.status), int(status)) << failure.message;
    for (const std::string &part : parts)
      EXPECT_NE(failure.message.find(part), std::string::npos)
          << "expected '" << part << "' in: " << failure.message;
  }
}

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_SESSIONHELPERS_H
