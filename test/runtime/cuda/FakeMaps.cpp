// The fake driver's tensor maps: it keeps what the last one was asked for with.
#include "test/runtime/cuda/FakeDriver.h"

#include <cstring>

using namespace tenon::test;

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT FakeDriver *fakeDriver();

/// What both kinds of tensor maps have.
static int noteMap(void *map, int type, unsigned rank, void *address, const uint64_t *dims,
                   const uint64_t *strides, int swizzle) {
  FakeDriver &driver = *fakeDriver();
  ++driver.mapsEncoded;
  std::memset(map, 0, 128);
  std::memcpy(map, &address, sizeof(address));
  driver.mapDims.assign(dims, dims + rank);
  driver.mapStrides.assign(strides, strides + rank - 1);
  driver.mapType = type;
  driver.mapSwizzle = swizzle;
  return reinterpret_cast<uint64_t>(map) % 64 ? /*invalid*/ 1 : 0;
}

EXPORT int cuTensorMapEncodeIm2col(void *map, int type, unsigned rank, void *address,
                                   const uint64_t *dims, const uint64_t *strides,
                                   const int *lower, const int *upper, unsigned channels,
                                   unsigned windows, const unsigned *steps, int, int swizzle,
                                   int, int) {
  fakeDriver()->mapBox = {channels, windows};
  fakeDriver()->mapLower.assign(lower, lower + rank - 2);
  fakeDriver()->mapUpper.assign(upper, upper + rank - 2);
  fakeDriver()->mapSteps.assign(steps, steps + rank);
  return noteMap(map, type, rank, address, dims, strides, swizzle);
}

EXPORT int cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *address,
                                  const uint64_t *dims, const uint64_t *strides,
                                  const unsigned *box, const unsigned *, int, int swizzle,
                                  int, int) {
  fakeDriver()->mapBox.assign(box, box + rank);
  return noteMap(map, type, rank, address, dims, strides, swizzle);
}
