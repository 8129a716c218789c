#ifndef TENON_CONVERSION_KERNELTOPLAN_PASSES_TD
#define TENON_CONVERSION_KERNELTOPLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def OutlineKernelsPass : Pass<"outline-kernels", "mlir::ModuleOp"> {
  let summary = "Moves the regions of launches into kernels that they share";
  let description = [{
    Makes a `kernel.func` of each `kernel.launch`'s region and a `plan.launch` of the
    launch; two launches whose regions and `dims` read the same share one kernel.
    The other operations of the kernel level become those of the plan level.

    ```mlir
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = kernel.launch(%x) symbols affine_map<() -> ()>
          dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
          : (tensor<4xf32>) -> tensor<4xf32> {
      ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
        %r = linalg.exp ins(%a : tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
        kernel.yield %r : tensor<4xf32>
      }
      return %0 : tensor<4xf32>
    }
    // becomes
    kernel.func @exp_f32_0 inputs 1 dims [affine_map<() -> (4)>, affine_map<() -> (4)>] {...}
    func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = plan.launch @exp_f32_0(%x) symbols affine_map<() -> ()>
          dims [affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32>
      plan.return %0 : tensor<4xf32>
    }
    ```

    A kernel's name is

        name   ::= op ("_" op){0,3} "_" type "_" number
        op     ::= the name of an operation in the region, without its dialect and
                   the letter for its type; of a `linalg.generic`, its body's
        type   ::= the element type of the first result, or else of the first input
        number ::= how many kernels of the same ops and type came before

    Operations that only move or shape data inside (constants, casts, slices, fills)
    are left out as long as there is another; after three ops the rest is `more`.
    Kernels are numbered in the order of the launches, so names are the same on every
    machine.

    Before: functions of kernel-level operations; arguments of dynamic shape have
            `tenon.dims`.
    After:  functions of plan-level operations and one `kernel.func` for each
            different kernel.
    Numerics: bit-exact.
  }];
  let dependentDialects = ["tenon::plan::PlanDialect"];
}

#endif // TENON_CONVERSION_KERNELTOPLAN_PASSES_TD
