// Walks a program's steps. It knows no kernel and no operator: what it does is
// launch, fill, copy, read a symbol, branch and loop.
#ifndef TENON_RUNTIME_CORE_EXECUTOR_H
#define TENON_RUNTIME_CORE_EXECUTOR_H

#include "runtime/core/Session.h"

namespace tenon::rt {

class Executor {
public:
  Executor(ProgramState &state, const Artifact &artifact, ThreadPool &pool,
           Memory &workspace, const std::atomic<bool> &cancelled,
           const Observers &observers)
      : state(state), program(state.program), artifact(artifact), pool(pool),
        workspace(workspace), cancelled(cancelled), observers(observers) {}

  void run();
  int64_t launches = 0;

private:
  void runSteps(const std::vector<Step> &steps);
  void runStep(const Step &step);
  void launch(uint32_t index);
  void measure(const Launch &launch, ProgramState::LaunchSize &size);
  void checkArgument(const Launch &launch, size_t index,
                     const std::vector<Evaluated> &exprs);
  void showResults(const Launch &launch);
  void showResults(const NodeResults &results);
  uint8_t *scratch(int64_t bytes);
  void fill(const HostTensor &step);
  void copy(const Copy &step);
  void insert(const Insert &step);
  void check(const Check &step);
  void readSymbol(const ReadSymbol &step);
  void runLoop(const Loop &loop);
  bool readBool(uint32_t value);

  ProgramState &state;
  const Program &program;
  const Artifact &artifact;
  ThreadPool &pool;
  Memory &workspace;
  const std::atomic<bool> &cancelled;
  const Observers &observers;

  std::vector<void *> buffers;
  std::vector<int64_t> symbols;
  int64_t scratchStride = 0;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_EXECUTOR_H
