#ifndef TENON_TRANSFORMS_LAYOUT_PASSES_H
#define TENON_TRANSFORMS_LAYOUT_PASSES_H

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Transforms/Layout/Passes.h.inc"

} // namespace tenon

#endif // TENON_TRANSFORMS_LAYOUT_PASSES_H
