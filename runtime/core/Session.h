// One caller's use of an artifact: inputs in, a run, outputs out. Not for several
// threads at once; several sessions share one Weights.
#ifndef TENON_RUNTIME_CORE_SESSION_H
#define TENON_RUNTIME_CORE_SESSION_H

#include "runtime/core/ProgramState.h"
#include "runtime/core/Weights.h"

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

struct SessionOptions {
  std::string_view entry;
  /// Those of another session on the same device, or null for new ones with room for
  /// `capacity` rows (0: as many as calls need).
  std::shared_ptr<States> states;
  int64_t capacity = 0;
  /// Outputs that the caller has bound to no memory stay in the device's.
  bool keepsOutputs = false;
  /// A run that makes the host wait for bytes of the device, before its outputs, fails.
  bool refusesHostReads = false;
};

/// An output that the caller has taken. The bytes of a small one are still the session's,
/// to be copied; else `memory` holds them, which goes back to `pool` in the end.
struct TakenOutput {
  TensorView view;
  Memory memory;
  std::shared_ptr<OutputPool> pool; // null: of a small one
  int64_t bytes = 0;
};

class Session {
public:
  Session(std::shared_ptr<const Weights> weights, std::shared_ptr<Device> device,
          const SessionOptions &options = {});

  const std::shared_ptr<const Weights> weights;
  const std::shared_ptr<Device> device;
  const Entry &entry;

  /// Names, types and (symbolic) dimensions: those of the device's first program.
  const Program &signature() const { return programs.front()->program; }
  size_t findInput(std::string_view name) const;
  size_t findOutput(std::string_view name) const;

  /// The bytes must stay until the run ends, unless strides make a copy needed. What is
  /// the host's is copied to the device by each run.
  void setInput(size_t index, const TensorView &tensor);
  /// Null: memory of the session's own again.
  void bindOutput(size_t index, const TensorView &memory, int64_t bytes);

  /// Unless it `waits`, it returns when the device has been asked for everything, whose
  /// memory all outputs must be in; the next run comes after this one.
  void run(bool waits = true);
  /// Waits for runs that did not.
  void wait() { device->wait(); }
  /// The output of the last run; its bytes are the session's until the next one, and
  /// the host's unless the session keeps outputs on the device.
  TensorView output(size_t index) const;
  /// The same, given away; on the CPU, of outputs that are not bound. It has no output()
  /// until the next run.
  TakenOutput takeOutput(size_t index);
  /// Dimensions of an output for the inputs that are set; -1 where the data decide.
  std::vector<int64_t> outputDims(size_t index);

  /// What it keeps from call to call.
  States &states() { return *memory.states; }
  const std::shared_ptr<States> &sharedStates() const { return memory.states; }

  /// Stops the run at its next step. May be called from another thread.
  void cancel() { cancelled.store(true); }

  Observers observers;

  struct Statistics {
    int64_t peakBytes = 0; // arena, outputs, scratch, copies of inputs, states
    int64_t launches = 0;  // of the last run
    Transfers transfers;   // of the last run
    bool isReplay = false; // the device had the last run prepared as a whole
    std::string_view variant;
  };
  Statistics statistics() const;

private:
  /// What the caller handed over: the bytes to copy to the device, if any.
  struct Input {
    const uint8_t *onHost = nullptr;
    Memory copy; // of an input that is not contiguous, or of none, in the host's memory
    Memory onDevice;
  };

  ProgramState &bind();
  void requireInputs() const;
  void requireOutputsOnDevice() const;
  void requireReachable(const TensorView &tensor, const char *kind,
                        std::string_view name) const;
  bool usesCallersMemory() const;
  void uploadInputs();
  void execute(ProgramState &state);
  void downloadOutputs(ProgramState &state);

  SessionMemory memory;
  const bool keepsOutputs, refusesHostReads;
  std::vector<std::unique_ptr<ProgramState>> programs; // in the entry's order
  std::vector<bool> inputIsSet;
  std::vector<Input> inputs;
  std::vector<Memory> results; // outputs in the host's memory, where kernels do not write
  ProgramState *last = nullptr;
  int64_t launches = 0;
  std::atomic<bool> cancelled{false};
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_SESSION_H
