#ifndef TENON_TRANSFORMS_NUMERICS_PASSES_TD
#define TENON_TRANSFORMS_NUMERICS_PASSES_TD

include "mlir/Pass/PassBase.td"

def RoundProductsPass : Pass<"round-products", "mlir::ModuleOp"> {
  let summary = "Lets products of f32 run on tensor cores";
  let description = [{
    Marks the kernels that sum products of two factors of f32 with how they may round
    them: an entry of their schedule, which code generation for GPUs obeys. `ieee` marks none. What is
    multiplied by tiles (matrices of more than eight rows and columns, convolutions)
    takes the form; products of fewer rows, and attention of f32, stay IEEE.

    ```mlir
    kernel.func @matmul inputs 2 dims [...] { ... }
    // becomes, with to=tf32
    kernel.func @matmul inputs 2 dims [...] schedule {f32_products = "tf32"} { ... }
    ```

    Before: a module at the plan level.
    After:  the schedules of kernels with such products say it, unless `to` is ieee.
    Numerics: approximate. tf32: a factor is rounded to the nearest of 11 binary digits,
            a relative error of 2^-11 at most. bf16x3: a factor is the sum of two bf16, each
            rounded to the nearest, a relative error of 2^-16 at most, and what the two
            lower parts make, 2^-16 of a product at most, is left out; a product with an
            infinity may be NaN. Sums are f32 in another order. ieee: bit-exact.
  }];
  let options = [
    Option<"to", "to", "std::string", "\"ieee\"", "How to multiply: ieee, tf32 or bf16x3.">,
  ];
}

#endif // TENON_TRANSFORMS_NUMERICS_PASSES_TD
