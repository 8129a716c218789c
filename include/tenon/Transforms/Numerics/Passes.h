#ifndef TENON_TRANSFORMS_NUMERICS_PASSES_H
#define TENON_TRANSFORMS_NUMERICS_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Transforms/Numerics/Passes.h.inc"

} // namespace tenon

#endif // TENON_TRANSFORMS_NUMERICS_PASSES_H
