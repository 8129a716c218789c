// The runs of one program as a CUDA graph: one launch in place of hundreds.
#ifndef TENON_RUNTIME_CUDA_REPLAY_H
#define TENON_RUNTIME_CUDA_REPLAY_H

#include "runtime/cuda/Commands.h"

#include <memory>
#include <vector>

namespace tenon::rt::cuda {

/// The graph is made when two runs of the same form have followed each other; later runs
/// change the nodes whose parameters differ. There are two instances: while one runs, the
/// other gets the parameters that the next run will have if they go on as they did, so
/// that a step of a decoder finds them there.
class Replay {
public:
  explicit Replay(std::shared_ptr<Gpu> gpu) : gpu(std::move(gpu)) {}
  ~Replay();
  Replay(const Replay &) = delete;
  Replay &operator=(const Replay &) = delete;

  /// Launches the run as a graph; false where it has to be issued command by command. Takes
  /// the commands, which `asked` has from then on.
  bool launch(CommandList &given, CUstream stream);
  /// What the last run asked for.
  const CommandList &asked() const { return last; }
  /// Makes ready for the next run, while this one goes on.
  void prepareNext();

private:
  /// With a graph of its own: the nodes of one that was made earlier name memory that may
  /// be gone, and drivers look at it when they make an instance.
  struct Instance {
    CUgraph graph = nullptr;
    std::vector<CUgraphNode> nodes;
    CUgraphExec exec = nullptr;
    CommandList holds; // the parameters of its nodes
  };

  void build(Instance &instance, const CommandList &now);
  bool overlaps(const CommandList &list, size_t index) const;
  void addNode(Instance &instance, const CommandList &list, size_t index);
  CUgraphNode addLaunch(CUgraph graph, const CommandList &list, const Command &command,
                        const CUgraphNode *before, size_t numBefore);
  void update(Instance &instance, const CommandList &to);
  void destroy(Instance &instance) noexcept;

  const std::shared_ptr<Gpu> gpu;
  CommandList before, last; // what the last two runs asked for
  CommandList predicted;
  Instance instances[2];
  int next = 0; // the instance that the next run takes
  bool hasMissed = false;
  std::vector<void *> pointers;
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_REPLAY_H
