// What the executor needs of a device: memory, copies and launches. The CPU's device
// and each GPU's implement it; nothing else in the core knows which one it has.
#ifndef TENON_RUNTIME_CORE_DEVICE_H
#define TENON_RUNTIME_CORE_DEVICE_H

#include "runtime/core/Expressions.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tenon::rt {

class Artifact;
class Weights;

/// Memory of a device that the host cannot address. Each call has happened when it
/// returns, after everything that was given to the device before.
class Space {
public:
  virtual ~Space() = default;
  /// Zeroed, aligned to 256 bytes; `what` names the block in the failure.
  virtual uint8_t *allocate(int64_t bytes, const char *what) = 0;
  virtual void release(uint8_t *address) noexcept = 0;
  virtual void clear(uint8_t *to, int64_t bytes) = 0;
  virtual void copy(uint8_t *to, const uint8_t *from, int64_t bytes) = 0;
  virtual void upload(uint8_t *to, const void *from, int64_t bytes) = 0;
  virtual void download(void *to, const uint8_t *from, int64_t bytes) = 0;
};

/// What a launch came to when its arguments were last measured.
struct LaunchSize {
  uint64_t generation = 0; // of the program's expressions, when buffers were last checked
  int64_t grid = 0, workspace = 0;
  std::vector<int64_t> more; // what else the device has taken from the expressions
  // What all of this depends on, and the bytes that each argument needs.
  bool isMeasured = false;
  std::vector<int64_t> symbols, needed;
};

/// A launch whose buffers were resolved and checked.
struct LaunchCall {
  uint32_t kernel;
  void *const *buffers;
  const int64_t *symbols;
  size_t numSymbols;
  const LaunchSize &size; // of this launch, at one address for the session's life
};

/// Bytes between the host and the device in one run.
struct Transfers {
  int64_t toDevice = 0, toHost = 0;
  int64_t hostReads = 0; // how often the host waited for bytes that its plan reads
};

/// What one session does on one device, in order. Not for several threads at once.
class Device {
public:
  virtual ~Device() = default;
  /// "cpu", "cuda:0", ...
  virtual std::string name() const = 0;
  virtual format::Device kind() const = 0;
  virtual int ordinal() const { return 0; }
  virtual unsigned threads() const { return 1; }
  /// Another one of the same kind, with the same code.
  virtual std::shared_ptr<Device> another() const = 0;

  /// Where values live; null: in the host's memory.
  virtual std::shared_ptr<Space> space() const { return nullptr; }
  /// Memory of the host that copies to and from the device are fast with; null: any.
  virtual std::shared_ptr<Space> hostSpace() const { return nullptr; }
  /// Addresses of all weights; null for those that the device's programs do not use.
  virtual const std::vector<const uint8_t *> &weights(const Weights &weights) = 0;
  /// The caller's own queue of work on the device; null: the session's.
  virtual void useStream(void *) {}
  /// What the run does next comes after what the caller has asked the device for, as far
  /// as that is in the device's default queue.
  virtual void followCaller() {}

  /// A run of `program` begins. Nobody looks at its values on the way, unless it `isShown`:
  /// they may come to be at the next `synchronize`. If it `isTimed`, so are its launches.
  virtual void begin(const Program &, bool /*isShown*/, bool /*isTimed*/) {}
  /// Begin and end of each launch of a timed run, in nanoseconds since the first began.
  virtual std::vector<std::pair<int64_t, int64_t>> launchTimes() { return {}; }
  /// Memory is about to go away that something asked for may use: does it first.
  virtual void flush() {}
  /// The run has failed: forgets what has not begun, waits for the rest.
  virtual void abandon() noexcept {}
  /// Takes grid, workspace and the like from the kernel's expressions.
  virtual void measure(uint32_t kernel, const std::vector<Evaluated> &exprs,
                       LaunchSize &size) = 0;
  virtual void launch(const LaunchCall &call) = 0;
  /// Within the device; the ranges may overlap.
  virtual void copy(uint8_t *to, const uint8_t *from, int64_t bytes) = 0;
  /// From the host's memory, which may change after the call.
  virtual void write(uint8_t *to, const void *from, int64_t bytes) = 0;
  /// The same, from memory that stays as it is until `synchronize`.
  virtual void upload(uint8_t *to, const void *from, int64_t bytes) = 0;
  /// To the host's memory, which has the bytes after `synchronize`.
  virtual void download(void *to, const uint8_t *from, int64_t bytes) = 0;
  /// Waits until all that was asked for is done.
  virtual void synchronize() = 0;
  /// The run has been asked for as a whole, and nobody waits for it now. What the caller
  /// asks the device's default queue for from here on comes after it.
  virtual void leave() { synchronize(); }
  /// Waits for the runs that were left.
  virtual void wait() {}

  /// Whether the last run was one that the device had prepared, as a whole.
  virtual bool hasReplayed() const { return false; }
  /// Bytes that launches use beside their buffers.
  virtual int64_t scratchBytes() const = 0;
  Transfers transfers; // of the current run
};

/// The value of a kernel's expression; fails with `what` where it has none.
int64_t valueOf(const std::vector<Evaluated> &exprs, uint32_t index, const char *what);

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_DEVICE_H
