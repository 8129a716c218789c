#ifndef TENON_CODEGEN_GPU_PASSES_H
#define TENON_CODEGEN_GPU_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Codegen/GPU/Passes.h.inc"

} // namespace tenon

#endif // TENON_CODEGEN_GPU_PASSES_H
