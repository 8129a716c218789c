// Loops within a step that choose one of many elements, such as the largest:
// all threads of a block take a part of one.

#ifndef TENON_LIB_CODEGEN_GPU_SHAREDLOOP_H
#define TENON_LIB_CODEGEN_GPU_SHAREDLOOP_H

#include "ThreadBuilder.h"

#include "tenon/Codegen/Program/KernelProgram.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

namespace tenon {

/// The only loop of a step, if each of its rounds either keeps all carried
/// values or takes those of its own element, as values so far and element alone
/// decide, and if it is worth sharing; else null.
mlir::scf::ForOp findChoosingLoop(const Step &step);

/// Gives the rounds of such a loop to `threads` threads in turn, with many loads
/// on their way at a time, and joins what they chose by the order of the rounds
/// they chose from: the results are those of the whole loop if the choice is of
/// the first or of the last of the best.
void shareLoop(ThreadBuilder &b, mlir::scf::ForOp loop, unsigned threads);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_SHAREDLOOP_H
