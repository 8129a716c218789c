// Makes one loop of several.

#ifndef TENON_CODEGEN_PROGRAM_MERGELOOPS_H
#define TENON_CODEGEN_PROGRAM_MERGELOOPS_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// Makes one loop of neighbouring loops of `step` that run over neighbouring
/// whole dimensions, in all steps of the program. Parallel loops merge where
/// all steps can; a dimension that is read otherwise becomes a quotient and a
/// remainder in the first two reads of `step`, and nowhere else. Without
/// `mergesSums`, loops that `step` sums over stay apart.
void mergeLoops(KernelProgram &program, Step &step, bool mergesSums = true);

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_MERGELOOPS_H
