// One caller's use of an artifact: inputs in, a run, outputs out. Not for several
// threads at once; several sessions share one Weights.
#ifndef TENON_RUNTIME_CORE_SESSION_H
#define TENON_RUNTIME_CORE_SESSION_H

#include "runtime/core/ProgramState.h"
#include "runtime/cpu/ThreadPool.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tenon::rt {

/// One launch as it happened, in nanoseconds of the steady clock.
struct LaunchEvent {
  std::string_view node, kernel;
  int64_t begin, end;
};

/// A result of a launch, while it is there.
struct LaunchResult {
  std::string_view node, kernel;
  size_t index; // among the results; `kernel` is empty for those of If and Loop
  ElementType type;
  std::vector<int64_t> dims;
  uint8_t *data;
};

/// Who watches the launches of a run; what is empty costs nothing.
struct Observers {
  std::function<void(const LaunchEvent &)> trace;
  std::function<void(const LaunchResult &)> dump;
};

class Session {
public:
  /// `threads` 0: the pool that sessions of this process share. `states`: those of
  /// another session, or null for new ones with room for `capacity` rows (0: as many as
  /// calls need).
  Session(std::shared_ptr<const Weights> weights, std::string_view entry, unsigned threads,
          std::shared_ptr<States> states = nullptr, int64_t capacity = 0);

  const std::shared_ptr<const Weights> weights;
  const Entry &entry;

  /// Names, types and (symbolic) dimensions: those of the first program.
  const Program &signature() const { return entry.programs.front(); }
  size_t findInput(std::string_view name) const;
  size_t findOutput(std::string_view name) const;

  /// The bytes must stay until the run ends, unless strides make a copy needed.
  void setInput(size_t index, const TensorView &tensor);
  /// Null: memory of the session's own again.
  void bindOutput(size_t index, void *data, int64_t bytes);

  void run();
  /// The output of the last run; its bytes are the session's until the next one.
  TensorView output(size_t index) const;
  /// Dimensions of an output for the inputs that are set; -1 where the data decide.
  std::vector<int64_t> outputDims(size_t index);

  /// What it keeps from call to call.
  States &states() { return *memory.states; }
  const std::shared_ptr<States> &sharedStates() const { return memory.states; }

  /// Stops the run at its next step. May be called from another thread.
  void cancel() { cancelled.store(true); }

  Observers observers;

  unsigned threads() const { return pool->size(); }
  struct Statistics {
    int64_t peakBytes = 0; // arena, outputs, scratch, copies of inputs, states
    int64_t launches = 0;  // of the last run
    std::string_view variant;
  };
  Statistics statistics() const;

private:
  ProgramState &bind();
  void requireInputs() const;

  SessionMemory memory;
  std::shared_ptr<ThreadPool> pool;
  std::vector<std::unique_ptr<ProgramState>> programs; // in the entry's order
  std::vector<bool> inputIsSet;
  std::vector<Memory> inputCopies; // of inputs that were not contiguous
  Memory workspace;
  ProgramState *last = nullptr;
  int64_t launches = 0;
  std::atomic<bool> cancelled{false};
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_SESSION_H
