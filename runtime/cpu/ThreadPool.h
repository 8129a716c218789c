// Threads that run the pieces of one launch. Workers spin for a short while after
// each launch, because the next one follows within microseconds, and then sleep.
#ifndef TENON_RUNTIME_CPU_THREADPOOL_H
#define TENON_RUNTIME_CPU_THREADPOOL_H

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <sched.h>
#include <sys/types.h>
#include <thread>

namespace tenon::rt {

class ThreadPool {
public:
  /// `threads` counts the caller of parallelFor; 0: one for each physical core.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  unsigned size() const { return workers.size() + 1; }

  /// A piece of work: items [begin, end), done by thread `thread` < size().
  using Piece = void (*)(void *context, unsigned thread, int64_t begin, int64_t end);

  /// Runs `piece` over [0, count) and waits. Callers on several threads take
  /// turns. `piece` must not throw.
  void parallelFor(int64_t count, Piece piece, void *context);

  /// The pool that sessions share unless they bring their own.
  static std::shared_ptr<ThreadPool> shared();

private:
  // A launch is cut into this many chunks a thread. Each takes its own first, so that it
  // has the same part of launches that follow each other, and then those of others, so
  // that a thread that is held up does not hold up the launch.
  static constexpr int64_t chunksPerThread = 4;

  // Of a thread's chunks: the launch's number (upper half) and how many nobody has taken
  // yet (lower half). Who takes one by compare-and-swap knows that the launch cannot end
  // before it is done, so the fields of the launch are stable for it.
  struct alignas(64) Share {
    std::atomic<uint64_t> ticket{0};
  };

  /// A thread of the pool, and what who wakes it changes while it sleeps.
  struct Worker {
    enum State { awake, asleep, held };
    std::thread thread;
    std::atomic<pid_t> id{0};
    std::atomic<State> state{awake};
    bool isSentAway = false;
    cpu_set_t allowed; // the processors, before it was sent away
  };

  void work(unsigned thread, Worker &own);
  bool runOneChunk(unsigned thread);
  bool takeChunk(size_t share, int64_t &index);
  int64_t firstChunk(size_t share) const;
  void waitForLaunchAfter(uint64_t seen, Worker &own);
  void sleep(Worker &own, uint32_t before);
  void sendSleepersAway();

  std::deque<Share> shares;
  alignas(64) std::atomic<uint64_t> launch{0}; // the number of the last one
  alignas(64) std::atomic<uint32_t> done{0};
  alignas(64) std::atomic<uint32_t> wakeups{0};
  std::atomic<uint32_t> sleepers{0};
  std::atomic<bool> stopping{false};

  Piece piece = nullptr;
  void *context = nullptr;
  int64_t count = 0;
  int64_t chunks = 0;

  std::mutex turn;
  std::deque<Worker> workers;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CPU_THREADPOOL_H
