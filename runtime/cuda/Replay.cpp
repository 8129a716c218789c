// The nodes are made one by one, each after the one before, and not captured from a
// stream: so each command knows its node when its parameters change.
#include "runtime/cuda/Replay.h"

#include "runtime/support/Failure.h"

namespace tenon::rt::cuda {

Replay::~Replay() {
  for (Instance &instance : instances)
    destroy(instance);
}

void Replay::destroy(Instance &instance) noexcept {
  gpu->destroyGraph(instance.graph, instance.exec);
  instance = {};
}

static CUkernelNodeParams kernelParams(const CommandList &list, const Command &command,
                                       std::vector<void *> &pointers) {
  list.pointers(command, pointers);
  CUkernelNodeParams params{};
  params.function = command.function;
  params.gridX = command.grid;
  params.blockX = command.stage->threads;
  params.gridY = params.gridZ = params.blockY = params.blockZ = 1;
  params.sharedBytes = command.stage->shared;
  params.parameters = pointers.data();
  return params;
}

static CUmemcpy3D copyParams(const Command &command) {
  CUmemcpy3D params{};
  bool fromHost = command.kind == CommandKind::upload;
  bool toHost = command.kind == CommandKind::download;
  params.source.memoryType = fromHost ? memoryOfHost : memoryOfDevice;
  params.target.memoryType = toHost ? memoryOfHost : memoryOfDevice;
  (fromHost ? params.source.host : params.source.device) = command.source;
  (toHost ? params.target.host : params.target.device) = command.target;
  params.source.pitch = params.target.pitch = command.bytes;
  params.source.height = params.target.height = 1;
  params.width = command.bytes;
  params.height = params.depth = 1;
  return params;
}

/// Whether the command may begin while the one before it, a launch too, still runs.
bool Replay::overlaps(const CommandList &list, size_t index) const {
  if (index == 0 || !gpu->overlapsLaunches() || !gpu->driver.cuGraphAddDependencies)
    return false;
  const Command &before = list.commands[index - 1], &command = list.commands[index];
  return before.kind == CommandKind::launch && command.kind == CommandKind::launch &&
         command.stage->waitsItself;
}

void Replay::addNode(Instance &instance, const CommandList &list, size_t index) {
  const Command &command = list.commands[index];
  CUgraph graph = instance.graph;
  CUgraphNode node = nullptr;
  const CUgraphNode *before = index ? &instance.nodes.back() : nullptr;
  bool isEarly = overlaps(list, index);
  size_t numBefore = index && !isEarly ? 1 : 0;
  if (command.kind == CommandKind::launch) {
    node = addLaunch(graph, list, command, before, numBefore);
  } else {
    CUmemcpy3D params = copyParams(command);
    gpu->check(gpu->driver.cuGraphAddMemcpyNode(&node, graph, before, numBefore, &params,
                                                gpu->handle()),
               "cuGraphAddMemcpyNode");
  }
  if (isEarly)
    gpu->check(gpu->driver.cuGraphAddDependencies(graph, before, &node, &programmaticEdge, 1),
               "cuGraphAddDependencies");
  instance.nodes.push_back(node);
}

CUgraphNode Replay::addLaunch(CUgraph graph, const CommandList &list, const Command &command,
                              const CUgraphNode *before, size_t numBefore) {
  CUgraphNode node = nullptr;
  CUkernelNodeParams params = kernelParams(list, command, pointers);
  std::string_view symbol = command.stage->symbol;
  gpu->check(gpu->driver.cuGraphAddKernelNode(&node, graph, before, numBefore, &params),
             "graph node of '", symbol, "'");
  if (command.stage->cluster > 1) {
    CUlaunchAttribute cluster{};
    cluster.cluster = {command.stage->cluster, 1, 1};
    gpu->check(gpu->driver.cuGraphKernelNodeSetAttribute(node, launchAttributeCluster,
                                                         cluster.bytes),
               "graph node of '", symbol, "'");
  }
  return node;
}

void Replay::build(Instance &instance, const CommandList &now) {
  destroy(instance);
  try {
    gpu->check(gpu->driver.cuGraphCreate(&instance.graph, 0), "cuGraphCreate");
    for (size_t i = 0; i < now.size(); ++i)
      addNode(instance, now, i);
    gpu->check(gpu->driver.cuGraphInstantiate(&instance.exec, instance.graph, 0),
               "cuGraphInstantiateWithFlags");
    instance.holds = now;
  } catch (...) {
    destroy(instance);
    throw;
  }
}

static size_t countChanges(const CommandList &from, const CommandList &to) {
  size_t changes = 0;
  for (size_t i = 0; i < to.size(); ++i)
    changes += !to.isSame(i, from);
  return changes;
}

/// Whether so many changed nodes cost more than the graph saves.
static bool isMuch(size_t changes, const CommandList &list) {
  return changes > list.size() / 2 + 8;
}

void Replay::update(Instance &instance, const CommandList &to) {
  for (size_t i = 0; i < to.size(); ++i) {
    if (to.isSame(i, instance.holds))
      continue;
    const Command &command = to.commands[i];
    if (command.kind == CommandKind::launch) {
      CUkernelNodeParams params = kernelParams(to, command, pointers);
      gpu->check(gpu->driver.cuGraphExecKernelNodeSetParams(instance.exec, instance.nodes[i],
                                                            &params),
                 "new parameters of '", command.stage->symbol, "'");
    } else {
      CUmemcpy3D params = copyParams(command);
      gpu->check(gpu->driver.cuGraphExecMemcpyNodeSetParams(instance.exec, instance.nodes[i],
                                                            &params, gpu->handle()),
                 "new parameters of a copy");
    }
    instance.holds.take(i, to);
  }
}

bool Replay::launch(CommandList &given, CUstream stream) {
  std::swap(before, last);
  std::swap(last, given); // whose memory serves the next run
  const CommandList &now = last;
  Instance *instance = &instances[next];
  bool fits = instance->exec && now.hasSameForm(instance->holds);
  if (!now.size() || (!fits && !now.hasSameForm(before)))
    return false;
  if (!fits) {
    destroy(instances[1 - next]); // it is of the form that was
    build(*instance, now);
  }
  // A single run that differs much from those before is as fast without the graph.
  bool misses = isMuch(countChanges(now, instance->holds), now) && !hasMissed;
  hasMissed = misses;
  if (misses)
    return false;
  update(*instance, now);
  gpu->check(gpu->driver.cuGraphLaunch(instance->exec, stream), "cuGraphLaunch");
  return true;
}

void Replay::prepareNext() {
  if (hasMissed || !last.hasSameForm(before))
    return;
  size_t changes = countChanges(last, before);
  if (changes == 0 || isMuch(changes, last))
    return;
  predicted.extrapolate(before, last);
  Instance &other = instances[1 - next];
  if (!other.exec)
    build(other, last);
  update(other, predicted);
  next = 1 - next;
}

} // namespace tenon::rt::cuda
