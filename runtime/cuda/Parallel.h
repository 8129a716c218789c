// Work on several threads, with failures.
#ifndef TENON_RUNTIME_CUDA_PARALLEL_H
#define TENON_RUNTIME_CUDA_PARALLEL_H

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace tenon::rt::cuda {

/// Does `body(i)` for i below `count` on as many threads as the machine has, at most
/// `mostThreads`. After a failure no further one begins; the first is thrown.
template <typename Body>
void inParallel(size_t count, size_t mostThreads, Body body) {
  size_t wanted = std::min({count, mostThreads, size_t(std::thread::hardware_concurrency())});
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        std::lock_guard<std::mutex> lock(mutex);
        if (!failure)
          failure = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  try {
    while (threads.size() + 1 < wanted)
      threads.emplace_back(work);
  } catch (const std::system_error &) {
    // The system gives no more threads: go on with those that it gave.
  }
  work();
  for (std::thread &thread : threads)
    thread.join();
  if (failure)
    std::rethrow_exception(failure);
}

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_PARALLEL_H
