// Of the spare blocks the best fit is taken, the oldest are given up.
#include "runtime/core/OutputPool.h"

#include <algorithm>

namespace tenon::rt {

/// Caches grow by a row a step: with this much room most steps find a block that fits.
/// Pages that nobody has written to take no memory.
static int64_t withRoom(int64_t bytes) { return bytes + bytes / 8; }

/// A block that is kept for long by an output should not be mostly unused.
static bool isTooLarge(int64_t block, int64_t bytes) { return block / 2 > bytes; }

/// Growing moves pages, whose remapping costs less than fresh ones if they are many.
static bool isTooSmall(int64_t block, int64_t bytes) { return block < bytes / 2; }

void OutputPool::takeSpare(int64_t bytes, Memory &found) {
  std::lock_guard<std::mutex> lock(mutex);
  auto best = spares.end();
  for (auto block = spares.begin(); block != spares.end(); ++block) {
    if (isTooLarge(block->size(), bytes) || isTooSmall(block->size(), bytes))
      continue;
    bool fits = block->size() >= bytes;
    if (best != spares.end() && (best->size() >= bytes
                                     ? !fits || block->size() > best->size()
                                     : !fits && block->size() < best->size()))
      continue;
    best = block; // of equal ones the last: what the caches are most likely to have
  }
  if (best == spares.end())
    return;
  spareBytes -= best->size();
  found = std::move(*best);
  spares.erase(best);
}

Memory OutputPool::take(int64_t bytes) {
  Memory block;
  takeSpare(bytes, block);
  int64_t before = block.size();
  if (before < bytes) {
    block.grow(withRoom(bytes), before, "an output");
    block.populate(before, bytes - before);
  }
  return block;
}

void OutputPool::lend(int64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex);
  lentBytes += bytes;
  lentInRun += bytes;
}

void OutputPool::giveBack(Memory block) noexcept {
  std::lock_guard<std::mutex> lock(mutex);
  lentBytes -= block.size();
  int64_t bytes = block.size();
  try {
    spares.push_back(std::move(block));
  } catch (...) {
    return; // then the block is given up
  }
  spareBytes += bytes;
  trim(std::max(lentInRun, lentBefore));
}

void OutputPool::beginRun() {
  std::lock_guard<std::mutex> lock(mutex);
  trim(std::max(lentInRun, lentBefore));
  lentBefore = lentInRun;
  lentInRun = 0;
}

int64_t OutputPool::bytes() const {
  std::lock_guard<std::mutex> lock(mutex);
  return spareBytes + lentBytes;
}

void OutputPool::trim(int64_t most) {
  auto kept = spares.begin();
  while (kept != spares.end() && spareBytes > most)
    spareBytes -= (kept++)->size();
  spares.erase(spares.begin(), kept);
}

} // namespace tenon::rt
