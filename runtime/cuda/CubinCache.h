// Machine code that the driver made of PTX, kept in files between processes.
#ifndef TENON_RUNTIME_CUDA_CUBINCACHE_H
#define TENON_RUNTIME_CUDA_CUBINCACHE_H

#include "runtime/cuda/Gpu.h"

#include <optional>
#include <string>

namespace tenon::rt::cuda {

/// Files in TENON_CUDA_CACHE, else XDG_CACHE_HOME/tenon, else HOME/.cache/tenon; none where
/// TENON_CUDA_CACHE is "off". What cannot be read or written is as if it were not there.
class CubinCache {
public:
  explicit CubinCache(const GpuFacts &facts);

  std::optional<std::string> find(const std::string &ptx) const;
  void store(const std::string &ptx, const std::string &cubin) const;

private:
  std::string pathOf(const std::string &ptx) const;

  std::string folder; // empty: there is none
  std::string suffix;
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_CUBINCACHE_H
