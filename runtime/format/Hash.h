// The one content hash of the format: XXH64 with seed 0.
#ifndef TENON_RUNTIME_FORMAT_HASH_H
#define TENON_RUNTIME_FORMAT_HASH_H

#include <cstddef>
#include <cstdint>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon::format {

inline uint64_t hashBytes(const void *data, size_t size) {
  return XXH64(data, size, 0);
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_HASH_H
