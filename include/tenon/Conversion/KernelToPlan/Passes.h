#ifndef TENON_CONVERSION_KERNELTOPLAN_PASSES_H
#define TENON_CONVERSION_KERNELTOPLAN_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "tenon/Conversion/KernelToPlan/Passes.h.inc"

} // namespace tenon

#endif // TENON_CONVERSION_KERNELTOPLAN_PASSES_H
