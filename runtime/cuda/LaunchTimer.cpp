#include "runtime/cuda/LaunchTimer.h"

namespace tenon::rt::cuda {

LaunchTimer::LaunchTimer(std::shared_ptr<Gpu> givenGpu,
                         const std::shared_ptr<PinnedSpace> &pinned)
    : gpu(std::move(givenGpu)), gate(pinned) {
  gate.grow(sizeof(uint32_t), 0, "a profile");
}

LaunchTimer::~LaunchTimer() {
  for (CUevent event : events)
    gpu->destroyEvent(event);
}

void LaunchTimer::hold(CUstream stream) {
  constexpr unsigned untilAtLeast = 0; // CU_STREAM_WAIT_VALUE_GEQ
  ++turn;
  gpu->check(gpu->driver.cuStreamWaitValue32(stream, address(gate.data()), turn, untilAtLeast),
             "cuStreamWaitValue32");
}

void LaunchTimer::release() {
  auto *word = reinterpret_cast<uint32_t *>(gate.data());
  __atomic_store_n(word, turn, __ATOMIC_RELEASE);
}

void LaunchTimer::mark(CUstream stream) {
  constexpr unsigned withTiming = 0;
  if (numMarks == events.size()) {
    CUevent event = nullptr;
    gpu->check(gpu->driver.cuEventCreate(&event, withTiming), "cuEventCreate");
    events.push_back(event);
  }
  gpu->check(gpu->driver.cuEventRecord(events[numMarks++], stream), "cuEventRecord");
}

std::vector<std::pair<int64_t, int64_t>> LaunchTimer::read() {
  auto since = [&](size_t mark) {
    float milliseconds = 0;
    gpu->check(gpu->driver.cuEventElapsedTime(&milliseconds, events[0], events[mark]),
               "cuEventElapsedTime");
    return int64_t(double(milliseconds) * 1e6 + 0.5);
  };
  std::vector<std::pair<int64_t, int64_t>> result;
  for (size_t i = 0; i + 1 < numMarks; i += 2)
    result.emplace_back(since(i), since(i + 1));
  return result;
}

} // namespace tenon::rt::cuda
