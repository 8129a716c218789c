// What a run asks of a GPU, as data: to be issued at once, compared with the run before,
// or made into a graph.
#ifndef TENON_RUNTIME_CUDA_COMMANDS_H
#define TENON_RUNTIME_CUDA_COMMANDS_H

#include "runtime/core/Program.h"
#include "runtime/cuda/Gpu.h"

#include <cstdint>
#include <vector>

namespace tenon::rt::cuda {

enum class CommandKind : uint8_t { launch, copy, upload, download };

struct Command {
  CommandKind kind;
  // Of a launch; its parameters are `numWords` words of 64 bits, then the tensor maps.
  CUfunction function = nullptr;
  const Stage *stage = nullptr;
  unsigned grid = 0;
  uint32_t firstWord = 0, numWords = 0;
  // Of the others.
  uint64_t target = 0, source = 0, bytes = 0;
};

/// Commands in order, with the words of their parameters.
class CommandList {
public:
  void clear() {
    commands.clear();
    words.clear();
  }
  size_t size() const { return commands.size(); }

  void addCopy(CommandKind kind, const void *target, const void *source, int64_t bytes);
  /// A copy that comes before all others.
  void addFirstCopy(CommandKind kind, const void *target, const void *source,
                    int64_t bytes);
  /// A launch without parameters, to which the following are given.
  void addLaunch(CUfunction function, const Stage &stage, unsigned grid);
  void addWord(uint64_t word) {
    words.push_back(word);
    ++commands.back().numWords;
  }
  void addMap(const CUtensorMap &map) {
    words.insert(words.end(), map.opaque, map.opaque + wordsOfMap);
  }

  /// Whether the same functions and kinds of copies follow each other in both.
  bool hasSameForm(const CommandList &other) const;
  /// Whether command i is the same in both, which have the same form.
  bool isSame(size_t i, const CommandList &other) const;
  /// Makes command i what it is in `other`, which has the same form.
  void take(size_t i, const CommandList &other);
  /// Continues what the parameters of launches did from `before` to `now`: those of the
  /// next run, where they grow by as much as they did. Copies are as in `now`.
  void extrapolate(const CommandList &before, const CommandList &now);

  /// Addresses of a launch's parameters, for the driver.
  void pointers(const Command &launch, std::vector<void *> &result) const;

  std::vector<Command> commands;
  std::vector<uint64_t> words;

private:
  static constexpr size_t wordsOfMap = sizeof(CUtensorMap) / sizeof(uint64_t);
  static size_t numWords(const Command &launch) {
    return launch.numWords + launch.stage->maps.size() * wordsOfMap;
  }
};

/// Gives one command to the driver.
void issue(Gpu &gpu, const CommandList &list, size_t index, CUstream stream,
           std::vector<void *> &pointers);

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_COMMANDS_H
