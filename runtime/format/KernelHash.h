// The hash of a kernel's signature. The compiler makes it part of the function's symbol,
// the loader compares: a signature that was changed finds no code.
#ifndef TENON_RUNTIME_FORMAT_KERNELHASH_H
#define TENON_RUNTIME_FORMAT_KERNELHASH_H

#include "runtime/format/Hash.h"
#include "runtime/format/artifact_generated.h"

#include <vector>

namespace tenon::format {

/// Everything in the table but its names and uses.
inline std::vector<uint64_t> signatureWords(const Kernel &kernel) {
  std::vector<uint64_t> words = {kernel.num_symbols(), kernel.results(), kernel.grid(),
                                 kernel.workspace()};
  if (kernel.exprs())
    for (const Expr *expr : *kernel.exprs())
      words.insert(words.end(), {uint64_t(expr->op()), expr->a(), expr->b(),
                                 uint64_t(expr->value())});
  if (kernel.arguments())
    for (const KernelArgument *argument : *kernel.arguments()) {
      words.push_back(uint64_t(argument->type()));
      words.push_back(argument->dims() ? argument->dims()->size() : 0);
      if (argument->dims())
        words.insert(words.end(), argument->dims()->begin(), argument->dims()->end());
    }
  if (kernel.bounds() && kernel.bounds()->size())
    words.insert(words.end(), kernel.bounds()->begin(), kernel.bounds()->end());
  if (kernel.step_symbols() && kernel.step_symbols()->size()) {
    words.push_back(UINT64_MAX); // no bound
    words.insert(words.end(), kernel.step_symbols()->begin(), kernel.step_symbols()->end());
  }
  return words;
}

inline uint64_t hashKernel(const Kernel &kernel) {
  std::vector<uint64_t> words = signatureWords(kernel);
  return hashBytes(words.data(), words.size() * sizeof(uint64_t));
}

inline void addWords(std::vector<uint64_t> &words,
                     const flatbuffers::Vector<uint32_t> *numbers) {
  words.push_back(numbers ? numbers->size() : 0);
  if (numbers)
    words.insert(words.end(), numbers->begin(), numbers->end());
}

/// The signature of a kernel for cuda and everything in its stages but names.
inline uint64_t hashStages(const Kernel &kernel, const StagedKernel &code) {
  std::vector<uint64_t> words = signatureWords(kernel);
  words.push_back(code.workspace());
  if (code.stages())
    for (const Stage *stage : *code.stages()) {
      words.insert(words.end(), {stage->image(), stage->grid(), stage->threads(),
                                 stage->shared(), stage->cluster()});
      words.push_back((stage->maps() ? stage->maps()->size() : 0) |
                      uint64_t(stage->waits_itself()) << 32);
      if (stage->maps())
        for (const TensorMap *map : *stage->maps()) {
          words.insert(words.end(), {map->buffer(), uint64_t(map->type()), map->swizzle()});
          addWords(words, map->dims());
          addWords(words, map->strides());
          addWords(words, map->box());
          if (!map->lower())
            continue;
          addWords(words, map->lower());
          addWords(words, map->upper());
          addWords(words, map->steps());
        }
    }
  return hashBytes(words.data(), words.size() * sizeof(uint64_t));
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_KERNELHASH_H
