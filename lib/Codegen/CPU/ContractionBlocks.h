// Which contractions are worth panels, and how they are cut into items.

#ifndef TENON_LIB_CODEGEN_CPU_CONTRACTIONBLOCKS_H
#define TENON_LIB_CODEGEN_CPU_CONTRACTIONBLOCKS_H

#include "tenon/Codegen/Program/Contraction.h"

namespace tenon {

/// The contraction of a program, with its blocks chosen; nothing where packing
/// panels would cost more than it saves. The program's loops may be merged
/// either way.
std::optional<Contraction> findBlockedContraction(KernelProgram &program);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_CONTRACTIONBLOCKS_H
