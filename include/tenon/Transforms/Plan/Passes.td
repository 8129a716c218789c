#ifndef TENON_TRANSFORMS_PLAN_PASSES_TD
#define TENON_TRANSFORMS_PLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanMemoryPass : Pass<"plan-memory", "mlir::func::FuncOp"> {
  let summary = "Gives each value of a plan a place for its bytes";
  let description = [{
    Values that the function returns are put into the caller's outputs; an output
    that cannot be (an argument, a weight, the same value twice) gets a `plan.copy`.
    All others get a place in the arena: a value takes over the place of a dead one
    when the sizes compare for all values of the symbols (within their ranges). A place
    begins at a multiple of 64 bytes. A value whose size depends on data gets a block
    of the heap, which grows while the plan runs, and shares it in the same way.

    Places whose size a decoder's next call changes (`mark-steps`) come last, and their
    sizes are rounded up, so that for most calls no place is another.

    A branch leaves its value in the place of the result, and a loop's body what it
    returns in the place of what is carried: it is made there or copied. What a loop's
    body reads from outside keeps its place until the loop ends.

    ```mlir
    %0 = plan.launch @k(%x) ... : (tensor<?xf32>) -> tensor<?xf32>
    %1 = plan.launch @k(%0) ... : (tensor<?xf32>) -> tensor<?xf32>
    plan.return %1 : tensor<?xf32>
    // becomes
    %0 = plan.launch @k(%x) ... storage [#plan.arena<()[s0] -> (0)>] : ...
    %1 = plan.launch @k(%0) ... storage [#plan.output<0>] : ...
    plan.return %1 : tensor<?xf32>
    ```

    Before: a function of plan-level operations.
    After:  each launch, host tensor, copy, insert, branch and loop has `storage`; the
            function has `plan.arena_size`, the arena's bytes over its symbols.
    Numerics: bit-exact.
  }];
  let dependentDialects = ["tenon::plan::PlanDialect"];
}

def MarkStepsPass : Pass<"mark-steps", "mlir::ModuleOp"> {
  let summary = "Finds the kernels' symbols that change from call to call";
  let description = [{
    The number of rows that a session's caches have when a call begins grows with every
    call of a decoder, and with it the keys that a mask is for and what is defined over
    either. The function lists these symbols, and a kernel those of its own for which a
    launch gives a size over them. Code for GPUs reads them from memory, and memory is
    planned so that few places depend on them: two steps of a decoder are the same
    launches with the same parameters.

    ```mlir
    func.func @main(%rows: tensor<1x2x?x64xf32> {tenon.dims = affine_map<()[s0] -> (1, 2, s0, 64)>,
                                                 tenon.state_rows = "cache"}, ...) {
      plan.launch @attend(...) symbols affine_map<()[s0, s1] -> (s1, s0 + s1)> ...
    kernel.func @attend ... { ... }
    // becomes
    kernel.func @attend ... step_symbols [1] { ... }
    ```

    Before: a module at the plan level.
    After:  a function with such symbols has `tenon.step_symbols`, a kernel `step_symbols`.
    Numerics: bit-exact.
  }];
}

#endif // TENON_TRANSFORMS_PLAN_PASSES_TD
