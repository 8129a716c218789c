// Memory of outputs that callers take from a session: once they are done with it, outputs
// of later runs have it. Fresh pages cost more than the bytes that are written to them.
#ifndef TENON_RUNTIME_CORE_OUTPUTPOOL_H
#define TENON_RUNTIME_CORE_OUTPUTPOOL_H

#include "runtime/core/Memory.h"

#include <mutex>
#include <vector>

namespace tenon::rt {

/// Of the host's memory. All may be called from any thread. Spare blocks come to no more
/// than what was lent in one of the last two runs.
class OutputPool {
public:
  /// A block of at least `bytes`: a spare one that is not much larger or not much smaller
  /// (that one grows), else a fresh one. Its contents are any.
  Memory take(int64_t bytes);
  /// Says that the caller has a block of this size from now on.
  void lend(int64_t bytes);
  /// Ends what lend began.
  void giveBack(Memory block) noexcept;
  void beginRun();
  /// Of spare and of lent blocks.
  int64_t bytes() const;

private:
  void takeSpare(int64_t bytes, Memory &found);
  void trim(int64_t most);

  mutable std::mutex mutex;
  std::vector<Memory> spares; // in the order in which they came back
  int64_t spareBytes = 0, lentBytes = 0;
  int64_t lentInRun = 0, lentBefore = 0; // in the last run, and in the one before it
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_OUTPUTPOOL_H
