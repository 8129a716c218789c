#include "runtime/cuda/Staging.h"

#include "runtime/core/Device.h"

#include <algorithm>
#include <cstring>

namespace tenon::rt::cuda {

void *Staging::keep(const void *from, int64_t bytes) {
  constexpr int64_t chunkBytes = 64 << 10, alignment = 16;
  while (chunk < chunks.size() && bytes > chunks[chunk].size() - used) {
    ++chunk;
    used = 0;
  }
  if (chunk == chunks.size()) {
    chunks.emplace_back(space);
    chunks.back().grow(std::max(bytes, chunkBytes), 0, "small copies to the GPU");
  }
  uint8_t *place = chunks[chunk].data() + used;
  used += (bytes + alignment - 1) / alignment * alignment;
  std::memcpy(place, from, bytes);
  return place;
}

} // namespace tenon::rt::cuda
