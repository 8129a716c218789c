#include "runtime/cuda/Commands.h"

#include "runtime/support/Failure.h"

#include <algorithm>
#include <cstring>

namespace tenon::rt::cuda {

void CommandList::addCopy(CommandKind kind, const void *target, const void *source,
                          int64_t bytes) {
  Command command;
  command.kind = kind;
  command.target = address(target);
  command.source = address(source);
  command.bytes = bytes;
  commands.push_back(command);
}

void CommandList::addFirstCopy(CommandKind kind, const void *target,
                               const void *source, int64_t bytes) {
  addCopy(kind, target, source, bytes);
  std::rotate(commands.begin(), commands.end() - 1, commands.end());
}

void CommandList::addLaunch(CUfunction function, const Stage &stage, unsigned grid) {
  Command command;
  command.kind = CommandKind::launch;
  command.function = function;
  command.stage = &stage;
  command.grid = grid;
  command.firstWord = words.size();
  commands.push_back(command);
}

bool CommandList::hasSameForm(const CommandList &other) const {
  return std::equal(commands.begin(), commands.end(), other.commands.begin(),
                    other.commands.end(), [](const Command &a, const Command &b) {
                      return a.kind == b.kind && a.function == b.function &&
                             a.stage == b.stage && a.numWords == b.numWords;
                    });
}

bool CommandList::isSame(size_t i, const CommandList &other) const {
  const Command &a = commands[i], &b = other.commands[i];
  if (a.kind != CommandKind::launch)
    return a.target == b.target && a.source == b.source && a.bytes == b.bytes;
  return a.grid == b.grid && std::memcmp(&words[a.firstWord], &other.words[b.firstWord],
                                         numWords(a) * sizeof(uint64_t)) == 0;
}

void CommandList::take(size_t i, const CommandList &other) {
  // The same form has the same words at the same places.
  commands[i] = other.commands[i];
  if (commands[i].kind == CommandKind::launch)
    std::copy_n(&other.words[other.commands[i].firstWord], numWords(commands[i]),
                &words[commands[i].firstWord]);
}

void CommandList::extrapolate(const CommandList &before, const CommandList &now) {
  *this = now;
  for (size_t i = 0; i < words.size(); ++i)
    words[i] += now.words[i] - before.words[i];
}

void CommandList::pointers(const Command &launch, std::vector<void *> &result) const {
  result.clear();
  uint64_t *word = const_cast<uint64_t *>(&words[launch.firstWord]);
  for (uint32_t i = 0; i < launch.numWords; ++i)
    result.push_back(word++);
  for (size_t i = 0; i < launch.stage->maps.size(); ++i, word += wordsOfMap)
    result.push_back(word);
}

static void issueLaunch(Gpu &gpu, const CommandList &list, const Command &command,
                        CUstream stream, std::vector<void *> &pointers) {
  const Stage &stage = *command.stage;
  list.pointers(command, pointers);
  CUlaunchAttribute attributes[2] = {};
  unsigned numAttributes = 0;
  if (stage.cluster > 1) {
    CUlaunchAttribute &cluster = attributes[numAttributes++];
    cluster.id = launchAttributeCluster;
    cluster.cluster = {stage.cluster, 1, 1};
  }
  if (stage.waitsItself && gpu.overlapsLaunches()) {
    CUlaunchAttribute &serialization = attributes[numAttributes++];
    serialization.id = launchAttributeSerialization;
    serialization.isProgrammatic = 1;
  }
  CUlaunchConfig config{command.grid, 1, 1, stage.threads, 1, 1, stage.shared, stream,
                        attributes, numAttributes};
  gpu.check(gpu.driver.cuLaunchKernelEx(&config, command.function, pointers.data(), nullptr),
            "launch of '", stage.symbol, "'");
}

void issue(Gpu &gpu, const CommandList &list, size_t index, CUstream stream,
           std::vector<void *> &pointers) {
  const Command &command = list.commands[index];
  void *onHost = reinterpret_cast<void *>(
      command.kind == CommandKind::upload ? command.source : command.target);
  switch (command.kind) {
  case CommandKind::launch:
    return issueLaunch(gpu, list, command, stream, pointers);
  case CommandKind::copy:
    return gpu.check(gpu.driver.cuMemcpyDtoDAsync(command.target, command.source,
                                                  command.bytes, stream),
                     "cuMemcpyDtoDAsync");
  case CommandKind::upload:
    return gpu.check(
        gpu.driver.cuMemcpyHtoDAsync(command.target, onHost, command.bytes, stream),
        "cuMemcpyHtoDAsync");
  case CommandKind::download:
    return gpu.check(
        gpu.driver.cuMemcpyDtoHAsync(onHost, command.source, command.bytes, stream),
        "cuMemcpyDtoHAsync");
  }
}

} // namespace tenon::rt::cuda
