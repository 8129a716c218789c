// Walks a program's steps. It knows no kernel and no operator: what it does is
// launch, fill, copy, read a symbol, branch and loop.
#ifndef TENON_RUNTIME_CORE_EXECUTOR_H
#define TENON_RUNTIME_CORE_EXECUTOR_H

#include "runtime/core/Session.h"

namespace tenon::rt {

class Executor {
public:
  Executor(ProgramState &state, const Artifact &artifact, Device &device,
           const std::atomic<bool> &cancelled, const Observers &observers,
           bool refusesHostReads)
      : state(state), program(state.program), artifact(artifact), device(device),
        isRemote(device.space() != nullptr), refusesHostReads(refusesHostReads),
        cancelled(cancelled), observers(observers) {}

  void run();
  int64_t launches = 0;

private:
  void runSteps(const std::vector<Step> &steps);
  void runStep(const Step &step);
  void launch(uint32_t index);
  void measure(const Launch &launch, LaunchSize &size);
  void checkBounds(const Kernel &kernel);
  void measureKernel(uint32_t index, LaunchSize &size);
  void showResults(const Launch &launch);
  void showResults(const NodeResults &results);
  void showTimes(int64_t begin);
  uint8_t *show(uint32_t value);
  void fill(const HostTensor &step);
  void copy(const Copy &step);
  void insert(const Insert &step);
  void check(const Check &step);
  void readSymbol(const ReadSymbol &step);
  void runLoop(const Loop &loop);
  bool readBool(uint32_t value);
  void readHere(uint32_t value, int64_t at, int64_t bytes, void *to, const char *what);

  ProgramState &state;
  const Program &program;
  const Artifact &artifact;
  Device &device;
  const bool isRemote; // values are not in the host's memory
  const bool refusesHostReads;
  const std::atomic<bool> &cancelled;
  const Observers &observers;

  std::vector<void *> buffers;
  std::vector<int64_t> symbols;
  std::vector<Evaluated> ownSymbols, ownExprs; // of the kernel at hand
  std::vector<uint8_t> filled, shown;
  std::vector<uint32_t> timed; // launches, where the device has their times
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_EXECUTOR_H
