// Sessions on the fake driver's GPU.
#ifndef TENON_TEST_RUNTIME_CUDA_CUDAFIXTURE_H
#define TENON_TEST_RUNTIME_CUDA_CUDAFIXTURE_H

#include "test/runtime/SessionHelpers.h"
#include "test/runtime/cuda/CudaModels.h"
#include "test/runtime/cuda/FakeDriver.h"

#include "runtime/api/Devices.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <unistd.h>

namespace tenon::test {

/// The fake driver is the process's; each test sees a fresh log and an empty cache.
class Cuda : public ::testing::Test {
protected:
  void SetUp() override {
    setenv("TENON_CUDA_DRIVER", TENON_TEST_CUDA_DRIVER, 1);
    cache = std::filesystem::temp_directory_path() /
            ("tenon-cubins-" + std::to_string(getpid()));
    setenv("TENON_CUDA_CACHE", cache.c_str(), 1);
    void *library = dlopen(TENON_TEST_CUDA_DRIVER, RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
    fake = reinterpret_cast<FakeDriver *(*)()>(dlsym(library, "fakeDriver"))();
    fake->log.clear();
    fake->launches.clear();
    fake->linked = fake->graphs = fake->updates = 0;
    fake->freeBytes = 1 << 20;
  }
  void TearDown() override { std::filesystem::remove_all(cache); }

  std::unique_ptr<rt::Session> open(const std::string &path,
                                    const rt::SessionOptions &options = {}) {
    auto artifact = std::make_shared<rt::Artifact>(path, rt::ArtifactOptions{});
    auto weights = std::make_shared<rt::Weights>(artifact);
    return std::make_unique<rt::Session>(weights, rt::openDevice("cuda", artifact, 0),
                                         options);
  }

  FakeDriver *fake = nullptr;
  std::filesystem::path cache;
};

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_CUDA_CUDAFIXTURE_H
