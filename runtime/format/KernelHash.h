// The hash of a kernel's signature. The compiler makes it part of the function's symbol,
// the loader compares: a signature that was changed finds no code.
#ifndef TENON_RUNTIME_FORMAT_KERNELHASH_H
#define TENON_RUNTIME_FORMAT_KERNELHASH_H

#include "runtime/format/Hash.h"
#include "runtime/format/artifact_generated.h"

#include <vector>

namespace tenon::format {

/// Of everything in the table but its names and uses.
inline uint64_t hashKernel(const Kernel &kernel) {
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
  return hashBytes(words.data(), words.size() * sizeof(uint64_t));
}

} // namespace tenon::format

#endif // TENON_RUNTIME_FORMAT_KERNELHASH_H
