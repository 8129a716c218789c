// Page-locked memory in which small values wait until the GPU has fetched them.
#ifndef TENON_RUNTIME_CUDA_STAGING_H
#define TENON_RUNTIME_CUDA_STAGING_H

#include "runtime/core/Memory.h"

#include <memory>
#include <vector>

namespace tenon::rt::cuda {

class Staging {
public:
  explicit Staging(std::shared_ptr<Space> space) : space(std::move(space)) {}
  /// A copy that stays until `reuse`. The same calls after `reuse` give the same places.
  void *keep(const void *from, int64_t bytes);
  /// The GPU has fetched everything.
  void reuse() {
    chunk = 0;
    used = 0;
  }

private:
  const std::shared_ptr<Space> space;
  std::vector<Memory> chunks;
  size_t chunk = 0; // the one in use
  int64_t used = 0; // bytes of it
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_STAGING_H
