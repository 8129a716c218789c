// What a test may ask of the fake driver, which is loaded in place of libcuda.so.1. Memory
// of its GPU is the host's; what is asynchronous happens when somebody waits for it, so
// that who reads too early, or reuses memory too early, sees it.
#ifndef TENON_TEST_RUNTIME_CUDA_FAKEDRIVER_H
#define TENON_TEST_RUNTIME_CUDA_FAKEDRIVER_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tenon::test {

/// One launch as the driver was asked for it.
struct FakeLaunch {
  std::string function;
  unsigned grid, threads, shared, cluster;
  bool isEarly; // it may begin before the one before it has ended
  void *stream;
};

struct FakeDriver {
  uint64_t freeBytes = 1 << 20;
  int failing = 0;           // the result of the next call that waits
  int linked = 0;            // texts that were compiled
  int wholes = 0;            // texts that were loaded as they are
  int pending = 0;           // operations that nobody waited for yet
  std::vector<std::string> log; // "HtoD 12", "DtoH 8", "DtoD 4", "launch add_f32", "wait"
  std::vector<FakeLaunch> launches;
  std::map<std::string, int> dynamicShared; // by function
  int graphs = 0, updates = 0; // instances made, nodes changed
  int earlyNodes = 0;          // that may begin before the one before has ended
  uint64_t allocated = 0;                   // bytes of the GPU in use now
  int mapsEncoded = 0;
  std::vector<uint64_t> mapDims, mapStrides; // of the last tensor map
  std::vector<unsigned> mapBox, mapSteps;
  std::vector<int> mapLower, mapUpper;
  int mapType = -1, mapSwizzle = -1;
};

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_CUDA_FAKEDRIVER_H
