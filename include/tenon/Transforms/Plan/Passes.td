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
    begins at a multiple of 64 bytes.

    ```mlir
    %0 = plan.launch @k(%x) ... : (tensor<?xf32>) -> tensor<?xf32>
    %1 = plan.launch @k(%0) ... : (tensor<?xf32>) -> tensor<?xf32>
    plan.return %1 : tensor<?xf32>
    // becomes
    %0 = plan.launch @k(%x) ... storage [#plan.arena<()[s0] -> (0)>] : ...
    %1 = plan.launch @k(%0) ... storage [#plan.output<0>] : ...
    plan.return %1 : tensor<?xf32>
    ```

    Before: a straight-line function of plan-level operations.
    After:  each result of a launch, host tensor or copy has `storage`; the function
            has `plan.arena_size`, the arena's bytes over its symbols.
    Numerics: bit-exact.
  }];
  let dependentDialects = ["tenon::plan::PlanDialect"];
}

#endif // TENON_TRANSFORMS_PLAN_PASSES_TD
