// Claims about outputs that callers take, and about the pool that their memory goes back to.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"

#include <numeric>
#include <thread>

using namespace tenon;
using namespace tenon::test;

constexpr int64_t kilo = 1024;

static rt::Memory lend(rt::OutputPool &pool, int64_t bytes) {
  rt::Memory block = pool.take(bytes);
  EXPECT_GE(block.size(), bytes);
  pool.lend(block.size());
  return block;
}

// A block that came back is taken again where it fits; one that is far too large is not.
TEST(OutputPool, TakesASpareBlockThatFits) {
  rt::OutputPool pool;
  rt::Memory large = lend(pool, 1000 * kilo), small = lend(pool, 100 * kilo);
  uint8_t *largeAt = large.data(), *smallAt = small.data();
  pool.giveBack(std::move(large));
  pool.giveBack(std::move(small));
  rt::Memory first = pool.take(90 * kilo), second = pool.take(90 * kilo);
  EXPECT_EQ(first.data(), smallAt);
  EXPECT_NE(second.data(), largeAt);
  EXPECT_EQ(pool.take(800 * kilo).data(), largeAt);
}

// Of the blocks that fit the smallest is taken; where none fits, the largest one grows, and
// no new memory is asked for.
TEST(OutputPool, TakesTheBestFit) {
  rt::OutputPool pool;
  std::vector<rt::Memory> blocks;
  for (int64_t size : {300, 200, 260})
    blocks.push_back(lend(pool, size * kilo));
  uint8_t *middle = blocks[2].data();
  for (rt::Memory &block : blocks)
    pool.giveBack(std::move(block));
  EXPECT_EQ(pool.take(250 * kilo).data(), middle);
  int64_t before = pool.bytes();
  rt::Memory grown = pool.take(500 * kilo);
  EXPECT_GE(grown.size(), 500 * kilo);
  EXPECT_LT(pool.bytes(), before);
}

// Spare memory beyond what one of the last two runs lent is given up, the oldest first.
TEST(OutputPool, KeepsWhatARunNeeds) {
  rt::OutputPool pool;
  pool.beginRun();
  rt::Memory logits = lend(pool, 100000 * kilo);
  pool.giveBack(std::move(logits));
  EXPECT_GE(pool.bytes(), 100000 * kilo);
  for (int run = 0; run < 3; ++run) {
    pool.beginRun();
    pool.giveBack(lend(pool, 100 * kilo));
  }
  EXPECT_LT(pool.bytes(), 1000 * kilo);
  pool.beginRun();
  pool.beginRun();
  pool.beginRun();
  EXPECT_EQ(pool.bytes(), 0);
}

// A decoder holds the caches of two steps, whose rows grow: memory stays within what three
// steps need.
TEST(OutputPool, StaysWithinBoundsOverALongDecode) {
  constexpr int caches = 8;
  rt::OutputPool pool;
  std::vector<rt::Memory> past, present;
  for (int64_t rows = 512; rows < 4096; ++rows) {
    pool.beginRun();
    for (int i = 0; i < caches; ++i)
      present.push_back(lend(pool, rows * 256));
    for (rt::Memory &block : past)
      pool.giveBack(std::move(block));
    past = std::exchange(present, {});
    ASSERT_LE(pool.bytes(), 3 * caches * (rows * 256 * 5 / 4));
  }
}

// Blocks come back from any thread.
TEST(OutputPool, IsForManyThreads) {
  rt::OutputPool pool;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        rt::Memory block = lend(pool, (100 + (i + t) % 50) * kilo);
        block.data()[0] = t;
        std::this_thread::yield();
        EXPECT_EQ(block.data()[0], t);
        pool.giveBack(std::move(block));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

// Memory all of whose bytes are kept grows without losing one; what is new is zero.
TEST(Memory, GrowsByMovingPages) {
  rt::Memory memory;
  memory.grow(10000, 0, "a test");
  std::iota(memory.data(), memory.data() + memory.size(), uint8_t(1));
  int64_t before = memory.size();
  memory.grow(1 << 20, before, "a test");
  for (int64_t i = 0; i < before; ++i)
    ASSERT_EQ(memory.data()[i], uint8_t(1 + i));
  for (int64_t i = before; i < memory.size(); ++i)
    ASSERT_EQ(memory.data()[i], 0);
}

// A taken output is the caller's: a later run does not touch it, and the session has it no
// more until then.
TEST(Session, GivesOutputsAway) {
  auto s = session(makeTwiceModel().write());
  std::vector<float> ones(1 << 16, 1), twos(1 << 16, 2);
  s->setInput(0, floats(ones));
  s->run();
  const uint8_t *written = s->output(0).data;
  rt::TakenOutput taken = s->takeOutput(0);
  EXPECT_EQ(taken.memory.data(), written);
  EXPECT_EQ(taken.bytes, 4 << 16);
  expectFailure(rt::Status::usage, {"'y'", "taken"}, [&] { s->output(0); });
  expectFailure(rt::Status::usage, {"'y'", "taken"}, [&] { s->takeOutput(0); });
  int64_t held = s->statistics().peakBytes;
  s->setInput(0, floats(twos));
  s->run();
  EXPECT_EQ(std::memcmp(written, twos.data(), taken.bytes), 0);
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>(1 << 16, 4));
  EXPECT_GE(s->statistics().peakBytes, held + taken.bytes);
  taken.pool->giveBack(std::move(taken.memory));
  s->takeOutput(0);
  s->run();
  EXPECT_EQ(s->output(0).data, written);
}

// Memory that the caller has bound is his already.
TEST(Session, GivesNoBoundOutputAway) {
  auto s = session(makeTwiceModel().write());
  std::vector<float> x = {1, 2}, y(2);
  s->setInput(0, floats(x));
  s->bindOutput(0, floats(y), 8);
  s->run();
  expectFailure(rt::Status::usage, {"'y'", "bound"}, [&] { s->takeOutput(0); });
}
