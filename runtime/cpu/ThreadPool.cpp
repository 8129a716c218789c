// See the header: tickets that are taken by compare-and-swap, spinning, a futex.
#include "runtime/cpu/ThreadPool.h"

#include "runtime/cpu/Features.h"

#include <algorithm>
#include <climits>
#include <immintrin.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace tenon::rt {

// Roughly 50 us: longer than the gap between two launches of one run.
static constexpr int spinRounds = 1500;

static void futexWait(std::atomic<uint32_t> &word, uint32_t expected) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAIT_PRIVATE, expected,
          nullptr, nullptr, 0);
}

static void futexWake(std::atomic<uint32_t> &word, int howMany) {
  syscall(SYS_futex, reinterpret_cast<uint32_t *>(&word), FUTEX_WAKE_PRIVATE, howMany,
          nullptr, nullptr, 0);
}

static uint32_t chunksLeft(uint64_t ticket) { return uint32_t(ticket); }

ThreadPool::ThreadPool(unsigned threads) {
  if (threads == 0)
    threads = physicalCores();
  shares.resize(threads);
  try {
    for (unsigned i = 1; i < threads; ++i) {
      Worker &own = workers.emplace_back();
      own.thread = std::thread([this, i, &own] {
        own.id = gettid();
        work(i, own);
      });
    }
  } catch (const std::system_error &) {
    // The system gives no more threads: go on with those that it gave.
    workers.pop_back();
  }
}

ThreadPool::~ThreadPool() {
  stopping = true;
  wakeups.fetch_add(1);
  futexWake(wakeups, INT_MAX);
  for (Worker &worker : workers)
    worker.thread.join();
}

std::shared_ptr<ThreadPool> ThreadPool::shared() {
  static std::mutex mutex;
  static std::weak_ptr<ThreadPool> current;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<ThreadPool> pool = current.lock();
  if (!pool)
    current = pool = std::make_shared<ThreadPool>(0);
  return pool;
}

int64_t ThreadPool::firstChunk(size_t share) const {
  return chunks * int64_t(share) / int64_t(shares.size());
}

bool ThreadPool::takeChunk(size_t share, int64_t &index) {
  std::atomic<uint64_t> &ticket = shares[share].ticket;
  uint64_t seen = ticket.load(std::memory_order_acquire);
  do {
    if (chunksLeft(seen) == 0)
      return false;
  } while (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire));
  index = firstChunk(share + 1) - chunksLeft(seen);
  return true;
}

bool ThreadPool::runOneChunk(unsigned thread) {
  int64_t index;
  size_t tried = 0;
  while (!takeChunk((thread + tried) % shares.size(), index))
    if (++tried == shares.size())
      return false;
  // Chunks differ by at most one item; no product, which could overflow.
  int64_t size = count / chunks, larger = count % chunks;
  int64_t begin = index * size + std::min(index, larger);
  piece(context, thread, begin, begin + size + (index < larger));
  done.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

void ThreadPool::waitForLaunchAfter(uint64_t seen, Worker &own) {
  for (int round = 0; round < spinRounds; ++round) {
    if (launch.load(std::memory_order_acquire) != seen || stopping.load())
      return;
    _mm_pause();
  }
  uint32_t before = wakeups.load();
  sleepers.fetch_add(1);
  // Whoever posts after this load sees the sleeper or changes `wakeups` first.
  if (launch.load() == seen && !stopping.load())
    sleep(own, before);
  sleepers.fetch_sub(1);
}

void ThreadPool::sleep(Worker &own, uint32_t before) {
  own.state = Worker::asleep;
  futexWait(wakeups, before);
  for (auto state = Worker::asleep; !own.state.compare_exchange_weak(state, Worker::awake);
       state = Worker::asleep)
    _mm_pause(); // it is held
  if (own.isSentAway)
    sched_setaffinity(0, sizeof(own.allowed), &own.allowed);
  own.isSentAway = false;
}

/// Linux likes to wake a thread on the processor of who wakes it, though others are idle,
/// and both share it until a tick of the clock: for milliseconds, hundreds of launches. So
/// sleepers may wake anywhere but here; awake, they may be where they were allowed before.
void ThreadPool::sendSleepersAway() {
  int here = sched_getcpu();
  if (here < 0 || here >= CPU_SETSIZE)
    return;
  for (Worker &worker : workers) {
    auto state = Worker::asleep;
    if (!worker.state.compare_exchange_strong(state, Worker::held))
      continue;
    pid_t id = worker.id;
    bool isKnown = worker.isSentAway ||
                   !sched_getaffinity(id, sizeof(worker.allowed), &worker.allowed);
    cpu_set_t others = worker.allowed;
    CPU_CLR(here, &others);
    if (isKnown && CPU_COUNT(&others))
      worker.isSentAway = !sched_setaffinity(id, sizeof(others), &others);
    worker.state = Worker::asleep;
  }
}

void ThreadPool::work(unsigned thread, Worker &own) {
  while (!stopping.load(std::memory_order_relaxed)) {
    uint64_t seen = launch.load(std::memory_order_acquire);
    while (runOneChunk(thread))
      ;
    waitForLaunchAfter(seen, own);
  }
}

void ThreadPool::parallelFor(int64_t items, Piece work, void *workContext) {
  if (items <= 0)
    return;
  if (items == 1 || workers.empty()) {
    work(workContext, 0, 0, items);
    return;
  }
  std::lock_guard<std::mutex> lock(turn);
  piece = work;
  context = workContext;
  count = items;
  chunks = std::min<int64_t>(items, chunksPerThread * size());
  done.store(0, std::memory_order_relaxed);
  uint64_t number = launch.load(std::memory_order_relaxed) + 1;
  for (size_t share = 0; share < shares.size(); ++share) { // publishes the fields above
    uint64_t own = firstChunk(share + 1) - firstChunk(share);
    shares[share].ticket.store(number << 32 | own, std::memory_order_release);
  }
  launch.store(number);
  wakeups.fetch_add(1);
  if (uint32_t sleeping = sleepers.load()) {
    sendSleepersAway();
    futexWake(wakeups, int(std::min<int64_t>(sleeping, chunks - 1)));
  }
  while (runOneChunk(0))
    ;
  for (int round = 0; done.load(std::memory_order_acquire) != uint32_t(chunks); ++round) {
    if (round < spinRounds)
      _mm_pause();
    else
      std::this_thread::yield(); // more threads than cores: let them finish
  }
}

} // namespace tenon::rt
