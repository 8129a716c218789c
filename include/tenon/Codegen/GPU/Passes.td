#ifndef TENON_CODEGEN_GPU_PASSES_TD
#define TENON_CODEGEN_GPU_PASSES_TD

include "mlir/Pass/PassBase.td"

def ChooseSchedulesPass : Pass<"choose-schedules", "mlir::ModuleOp"> {
  let summary = "Chooses the forms of kernels on GPUs, and for which sizes each runs";
  let description = [{
    Each kernel gets a list of forms for each architecture into its schedule, and code
    generation obeys. Models of the device choose:

    - a product of matrices or a convolution: warps that sum columns for few rows, tiles,
      Hopper's tiles turned for few rows with the depth in parts, or by tensor maps. Where
      the product's sizes are in a table of measured schedules, the table says how many
      parts and how large;
    - attention: threads of a query row, tiles, or Hopper's by tensor maps; for which rows,
      and into how many parts blocks share the keys;
    - other steps: for each stage whether elements or rows are blocks', how many threads a
      block has, what is held in registers, and how many neighbours a thread takes.

    A kernel of pieces has the schedules of its parts and of what makes their rows. A list
    that is there already stays. What is none of these, a sort or a loop, has an empty one.

    ```mlir
    kernel.func @matmul inputs 2 dims [...] { ... }
    // becomes
    kernel.func @matmul inputs 2 dims [...] schedule {sm_80 = [
      {first = 1 : i64, form = "warps", last = 1 : i64},
      {first = 2 : i64, form = "warps", last = 8 : i64},
      {columns = 128 : i64, first = 9 : i64, form = "tiles"} ]} { ... }
    ```

    Before: a module at the plan level.
    After:  every kernel has a list for each of the architectures.
    Numerics: reassociates: which form runs decides the order of a sum.
  }];
  let options = [
    ListOption<"architectures", "architectures", "std::string",
               "What to choose for, as targets are called.">,
    Option<"table", "table", "std::string", "\"\"",
           "A file of measured schedules in place of the compiler's own.">,
  ];
}

#endif // TENON_CODEGEN_GPU_PASSES_TD
