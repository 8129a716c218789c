// Claims about the thread pool: every item once, whatever the sizes.
#include "runtime/cpu/ThreadPool.h"

#include <gtest/gtest.h>
#include <numeric>
#include <sched.h>
#include <thread>

using namespace tenon::rt;

namespace {
struct Visits {
  explicit Visits(size_t count) : items(count) {}
  std::vector<std::atomic<int>> items;
  std::atomic<unsigned> highestThread{0};
};
} // namespace

static void visit(void *context, unsigned thread, int64_t begin, int64_t end) {
  Visits &visits = *static_cast<Visits *>(context);
  for (int64_t i = begin; i < end; ++i)
    visits.items[i].fetch_add(1);
  unsigned highest = visits.highestThread.load();
  while (thread > highest && !visits.highestThread.compare_exchange_weak(highest, thread))
    ;
}

// Each item is visited exactly once, for more and fewer threads than items.
TEST(ThreadPool, VisitsEachItemOnce) {
  for (unsigned threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t count : {0, 1, 2, 3, 7, 8, 31, 32, 33, 1000}) {
      Visits visits(count);
      pool.parallelFor(count, visit, &visits);
      for (auto &item : visits.items)
        ASSERT_EQ(item.load(), 1);
      EXPECT_LT(visits.highestThread.load(), threads);
    }
  }
}

namespace {
/// Where the two threads of a launch are, and where the second one may be.
struct Places {
  std::atomic<int> here[2] = {-1, -1};
  cpu_set_t allowed;
};
} // namespace

/// Waits until both threads have a piece.
static void notePlace(void *context, unsigned thread, int64_t, int64_t) {
  Places &places = *static_cast<Places *>(context);
  if (thread == 1)
    sched_getaffinity(0, sizeof(places.allowed), &places.allowed);
  places.here[thread] = sched_getcpu();
  while (places.here[1 - thread] < 0)
    std::this_thread::yield();
}

// A worker that slept wakes on another processor than that of who wakes it, and then may
// be on any that it was allowed to be on.
TEST(ThreadPool, WakesWorkersElsewhere) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
  if (CPU_COUNT(&allowed) < 2)
    GTEST_SKIP() << "one processor";
  ThreadPool pool(2);
  ASSERT_EQ(pool.size(), 2u);
  int apart = 0;
  constexpr int rounds = 50;
  for (int round = 0; round < rounds; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    Places places;
    pool.parallelFor(2, notePlace, &places);
    apart += places.here[0] != places.here[1];
    EXPECT_TRUE(CPU_EQUAL(&places.allowed, &allowed));
  }
  EXPECT_GE(apart, rounds / 2); // the system may move either of them at any time
}

// A grid near the limit of 64 bits is cut without overflow.
TEST(ThreadPool, CutsHugeGrids) {
  ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  pool.parallelFor(INT64_MAX,
                   [](void *context, unsigned, int64_t begin, int64_t end) {
                     static_cast<std::atomic<int64_t> *>(context)->fetch_add(end - begin);
                   },
                   &sum);
  EXPECT_EQ(sum.load(), INT64_MAX);
}

// Launches follow each other so fast that late workers meet the next one, and
// after pauses so long that workers sleep.
TEST(ThreadPool, SurvivesManyLaunches) {
  ThreadPool pool(4);
  for (int round = 0; round < 20000; ++round) {
    Visits visits(9);
    pool.parallelFor(9, visit, &visits);
    for (auto &item : visits.items)
      ASSERT_EQ(item.load(), 1) << round;
    if (round % 1000 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// Callers on several threads take turns.
TEST(ThreadPool, ServesSeveralCallers) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int c = 0; c < 3; ++c)
    callers.emplace_back([&] {
      for (int round = 0; round < 1000; ++round) {
        Visits visits(17);
        pool.parallelFor(17, visit, &visits);
        for (auto &item : visits.items)
          wrong += item.load() != 1;
      }
    });
  for (std::thread &caller : callers)
    caller.join();
  EXPECT_EQ(wrong.load(), 0);
}
