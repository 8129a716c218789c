// One GPU of the process: its primary context, which other libraries share, and its
// memory as a space.
#ifndef TENON_RUNTIME_CUDA_GPU_H
#define TENON_RUNTIME_CUDA_GPU_H

#include "runtime/core/Device.h"
#include "runtime/cuda/Driver.h"
#include "runtime/support/Failure.h"

#include <atomic>
#include <map>
#include <memory>
#include <string>

namespace tenon::rt::cuda {

/// What the choice of code depends on.
struct GpuFacts {
  std::string name;
  int capability = 0; // 90: of compute capability 9.0
  int driver = 0;     // 12040: CUDA 12.4
};

/// Of GPU `ordinal`, without using it.
GpuFacts readFacts(const Driver &driver, int ordinal);

class Gpu final : public Space, public std::enable_shared_from_this<Gpu> {
public:
  /// The GPU; sessions share it as long as it works. Fails where there is none.
  static std::shared_ptr<Gpu> open(int ordinal);

  Gpu(const Driver &driver, int ordinal);
  ~Gpu() override;

  const Driver &driver;
  const int ordinal;
  GpuFacts facts;
  int maxShared = 0; // bytes of shared memory that a block may have

  CUcontext handle() const { return context; }
  /// Whether a launch can begin while the one before it runs.
  bool overlapsLaunches() const { return facts.capability >= 90; }
  /// Of this one, different after it was lost and opened again.
  std::string key() const;

  /// Fails unless `result` is success; remembers that the GPU was lost. The pieces are what
  /// was asked for; nothing is made of them while all goes well.
  template <typename... Pieces>
  void check(CUresult result, const Pieces &...what) {
    if (result != success)
      refuse(result, concat(what...));
  }
  bool isLost() const { return lost.load(); }
  /// Fails where it was lost before.
  void requireWorking() const;

  uint8_t *allocate(int64_t bytes, const char *what) override;
  void release(uint8_t *address) noexcept override;
  void releaseOnHost(uint8_t *address) noexcept;
  void destroyEvent(CUevent event) noexcept;
  void destroyStream(CUstream stream) noexcept;
  void unload(CUmodule module) noexcept;
  void destroyGraph(CUgraph graph, CUgraphExec exec) noexcept;
  void clear(uint8_t *to, int64_t bytes) override;
  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override;
  void upload(uint8_t *to, const void *from, int64_t bytes) override;
  void download(void *to, const uint8_t *from, int64_t bytes) override;

private:
  void refuse(CUresult result, const std::string &what);
  template <typename Call>
  void giveBack(Call call) noexcept;

  CUdevice device = 0;
  CUcontext context = nullptr;
  const uint64_t number; // counts all that were opened
  std::atomic<bool> lost{false};

  friend class Current;
};

/// Makes the GPU's context the thread's current one, and the former one again.
class Current {
public:
  explicit Current(const Gpu &gpu);
  ~Current();
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;

private:
  const Driver &driver;
  CUcontext before = nullptr;
  bool changed = false;
};

/// Memory of the host that the GPU copies from and to without the driver's staging. Each
/// session has one.
class PinnedSpace final : public Space {
public:
  explicit PinnedSpace(std::shared_ptr<Gpu> gpu) : gpu(std::move(gpu)) {}
  uint8_t *allocate(int64_t bytes, const char *what) override;
  void release(uint8_t *address) noexcept override;
  void clear(uint8_t *to, int64_t bytes) override;
  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override;
  void upload(uint8_t *to, const void *from, int64_t bytes) override;
  void download(void *to, const uint8_t *from, int64_t bytes) override;

  /// Whether the bytes are in a block of this space.
  bool contains(const void *address, int64_t bytes) const;

private:
  const std::shared_ptr<Gpu> gpu;
  std::map<const uint8_t *, int64_t> blocks;
};

inline CUdeviceptr address(const void *pointer) {
  return reinterpret_cast<CUdeviceptr>(pointer);
}

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_GPU_H
