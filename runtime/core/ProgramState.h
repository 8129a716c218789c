// What a session knows of one program between runs: the symbols' values, the
// evaluated expressions, and where each value's bytes are.
#ifndef TENON_RUNTIME_CORE_PROGRAMSTATE_H
#define TENON_RUNTIME_CORE_PROGRAMSTATE_H

#include "runtime/core/Artifact.h"
#include "runtime/core/Device.h"
#include "runtime/core/Memory.h"
#include "runtime/core/OutputPool.h"
#include "runtime/core/States.h"
#include "runtime/support/Failure.h"

#include <string>
#include <vector>

namespace tenon::rt {

/// One input as a run sees it: contiguous bytes where the device's kernels read them,
/// checked against the signature.
struct BoundInput {
  const uint8_t *data = nullptr;
  int64_t bytes = 0;
  std::vector<int64_t> dims;
  const uint8_t *onHost = nullptr; // the same bytes where the host reads them, if anywhere
};

/// Memory of one output: the session's own, or the caller's. Kernels write to the own one
/// where they cannot reach the caller's.
struct OutputBuffer {
  Memory own;
  uint8_t *bound = nullptr;
  int64_t boundBytes = 0;
  bool isReachable = true; // bound memory is the device's
  bool isTaken = false;    // the caller has what the last run wrote to the own one

  bool isWrittenInPlace() const { return bound && isReachable; }
  uint8_t *data() const { return isWrittenInPlace() ? bound : own.data(); }
};

/// Memory that all programs of a session share.
struct SessionMemory {
  const std::vector<const uint8_t *> *weights = nullptr; // where kernels read them
  const std::vector<const uint8_t *> *weightsOnHost = nullptr;
  std::shared_ptr<Space> space;
  Device *device = nullptr;
  Memory arena;
  std::vector<Memory> heap; // blocks that grow while a program runs
  std::vector<BoundInput> inputs;
  std::vector<OutputBuffer> outputs;
  std::shared_ptr<OutputPool> outputPool; // where outputs in the host's memory get theirs
  std::shared_ptr<States> states;
};

class ProgramState {
public:
  ProgramState(const Program &program, const Artifact &artifact, SessionMemory &memory);

  const Program &program;

  /// Binds the symbols from the inputs' shapes and evaluates what depends on
  /// them. False, with a reason, where the shapes do not fit this program.
  bool bind(std::string &reason);
  /// Rows that the caches have after the call: the most of any.
  int64_t rowsAfter() const;
  /// Tells the session's states that the call has been.
  void finish();
  /// Makes the states, grows the arena and forgets addresses that may have changed.
  void prepare();

  /// The expression's value; fails with `what` where it has none.
  int64_t expr(uint32_t index, const char *what) const;
  /// Where the size comes from, in brackets, if it is a symbol; else nothing.
  std::string describeSize(uint32_t expr) const;
  /// False where the expression has no value yet.
  bool knows(uint32_t expr, int64_t &result) const;

  struct Location {
    uint8_t *data = nullptr;
    int64_t bytes = 0;
    bool resolved = false;
  };
  /// Where the value's bytes are: within its owner's, or a failure.
  const Location &resolve(uint32_t value);
  /// The same for a value that the host reads or writes `bytes` of.
  uint8_t *locate(uint32_t value, int64_t bytes);

  /// The value's first byte in the host's memory, where an input or a weight has it there
  /// too; else null.
  const uint8_t *onHost(uint32_t value) const;

  /// Gives a symbol a value read from data, checks its range, and evaluates
  /// what depends on it again.
  void setSymbol(uint32_t symbol, int64_t value);

  /// Changes whenever any expression may have changed.
  uint64_t generation = 1;
  /// What launches came to when their arguments were last checked.
  std::vector<LaunchSize> launchSizes;
  /// Of each kernel the launch that was measured last: layers of a model are alike.
  std::vector<const LaunchSize *> lastMeasured;
  std::vector<int64_t> dims(const std::vector<uint32_t> &exprs) const;

private:
  bool bindSymbols(std::string &reason);
  bool bindStates(std::string &reason);
  bool bindLength(const Cache &cache, std::string &reason);
  bool checkLengths(std::string &reason) const;
  bool isInRange(uint32_t symbol) const;
  std::string describeRange(uint32_t symbol) const;
  /// Whether the symbol is in its range; else the reason begins with the pieces.
  template <typename... Pieces>
  bool checkRange(uint32_t symbol, std::string &reason, const Pieces &...what) const {
    if (isInRange(symbol))
      return true;
    reason = concat(what..., describeRange(symbol));
    return false;
  }
  void placeStates();
  bool checkDims(std::string &reason) const;
  bool bindDim(size_t input, size_t dim, std::string &reason);
  void evaluateAll();
  void evaluateChanged();
  void evaluateDependents(uint32_t symbol);
  void forget(bool everything);
  std::string describe(uint32_t value) const;
  void place(uint32_t value, Location &location);
  uint8_t *placeOutput(uint32_t value, int64_t bytes);
  uint8_t *growKeeping(Memory &block, int64_t bytes, const char *what);

  const Artifact &artifact;
  SessionMemory &memory;
  std::vector<Evaluated> symbols, boundBefore, exprs;
  struct Binder {
    size_t input = 0, dim = 0;
    bool isInput = false; // else a state gave it
  };
  std::vector<const States::Tensor *> stateTensors; // of each state
  std::vector<Binder> binders; // which dimension gave a symbol its value
  std::vector<Location> locations;
  std::vector<int64_t> sizes; // of the value at hand
  std::vector<bool> movable; // rooted in memory that moves when it grows, or an input
  const uint8_t *arenaBefore = nullptr;
  bool evaluated = false;
  bool dataChanged = false; // a step has set a symbol since evaluateAll
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_PROGRAMSTATE_H
