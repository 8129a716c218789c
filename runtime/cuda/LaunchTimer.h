// Times of launches by the GPU's own clock, for profiles.
#ifndef TENON_RUNTIME_CUDA_LAUNCHTIMER_H
#define TENON_RUNTIME_CUDA_LAUNCHTIMER_H

#include "runtime/core/Memory.h"
#include "runtime/cuda/Gpu.h"

#include <memory>
#include <utility>
#include <vector>

namespace tenon::rt::cuda {

/// The host is slower than short kernels: the GPU would wait for it between two marks. So
/// the stream is held until a batch of launches is in it.
class LaunchTimer {
public:
  LaunchTimer(std::shared_ptr<Gpu> gpu, const std::shared_ptr<PinnedSpace> &pinned);
  ~LaunchTimer();
  LaunchTimer(const LaunchTimer &) = delete;
  LaunchTimer &operator=(const LaunchTimer &) = delete;

  /// Forgets all marks.
  void reset() { numMarks = 0; }
  /// What follows in the stream waits for `release`, which has to come before anyone waits
  /// for the stream.
  void hold(CUstream stream);
  void release();
  void mark(CUstream stream);
  /// Of each two marks that follow each other, the nanoseconds since the first of all;
  /// the stream is done.
  std::vector<std::pair<int64_t, int64_t>> read();

private:
  const std::shared_ptr<Gpu> gpu;
  std::vector<CUevent> events;
  size_t numMarks = 0;
  Memory gate;        // a number that the stream waits for
  uint32_t turn = 0;  // how often it was held
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_LAUNCHTIMER_H
