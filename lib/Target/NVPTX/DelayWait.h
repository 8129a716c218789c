// Where a kernel waits for the launch before.

#ifndef TENON_LIB_TARGET_NVPTX_DELAYWAIT_H
#define TENON_LIB_TARGET_NVPTX_DELAYWAIT_H

#include "llvm/IR/IRBuilder.h"

namespace tenon {

/// Adds `griddepcontrol.wait`.
void emitWait(llvm::IRBuilder<> &builder);

/// Moves the wait at a kernel's entry behind all that needs no memory: a launch
/// computes its indices while the one before still runs. Every thread waits
/// before it ends: else the launch could be over before the one before is.
void delayWait(llvm::Function &kernel);

} // namespace tenon

#endif // TENON_LIB_TARGET_NVPTX_DELAYWAIT_H
