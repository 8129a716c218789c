#ifndef TENON_TRANSFORMS_RAISE_PASSES_H
#define TENON_TRANSFORMS_RAISE_PASSES_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Transforms/Raise/Passes.h.inc"

} // namespace tenon

#endif // TENON_TRANSFORMS_RAISE_PASSES_H
