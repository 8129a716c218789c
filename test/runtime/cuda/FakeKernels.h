// The kernels that the fake driver knows, as functions of the host. They take the values
// of their parameters: buffers, workspace, symbols, tensor maps (their first 8 bytes).
#ifndef TENON_TEST_RUNTIME_CUDA_FAKEKERNELS_H
#define TENON_TEST_RUNTIME_CUDA_FAKEKERNELS_H

#include <cstdint>
#include <string>

namespace tenon::test {

struct FakeKernel {
  unsigned parameters = 0;
  void (*run)(const uint64_t *values, unsigned grid) = nullptr;
  explicit operator bool() const { return run; }
};

/// By name, of stage 0, and of the others with "_1", ... behind it.
FakeKernel findFakeKernel(const std::string &name);

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_CUDA_FAKEKERNELS_H
