#ifndef TENON_TRANSFORMS_VERIFY_PASSES_TD
#define TENON_TRANSFORMS_VERIFY_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyONNXPass : Pass<"verify-onnx", "mlir::func::FuncOp"> {
  let summary = "Checks that a function is of the onnx level";
  let description = [{
    Every operation is a node of the `onnx` dialect, a constant or the end of a
    region, and no constant above 1 KB is an attribute: it is in the weight store.

    ```mlir
    %0 = math.exp %x : tensor<4xf32>
    // becomes
    // error: expected an operation of the onnx level, but got math.exp
    ```

    Before: any function.
    After:  the same function; an error where it is not of the level.
    Numerics: bit-exact.
  }];
}

def VerifyKernelPass : Pass<"verify-kernel", "mlir::func::FuncOp"> {
  let summary = "Checks that a function is of the kernel level";
  let description = [{
    Operations of the function are of the `kernel` dialect or the host's steps of
    the `plan` dialect; those in launches are of neither, and no constant tensor
    above 1 KB is among them. Integers are signless. No kernel computes a size that
    the host could: a `plan.read_symbol` never reads what a launch makes of host
    tensors alone. A pipeline turns that last check off with `allow-sizes`, as such a
    model is slow and not wrong; then it is a remark.

    ```mlir
    %0 = kernel.host_tensor affine_map<()[s0] -> (s0)> : tensor<1xi64>
    %1 = kernel.launch(%0) ... : (tensor<1xi64>) -> tensor<1xi64> { ... }
    plan.read_symbol 1 from %1[0] : tensor<1xi64>
    // becomes
    // error: expected a size that the host computes, but got one of a kernel
    ```

    Before: any function.
    After:  the same function; an error where it is not of the level.
    Numerics: bit-exact.
  }];
  let options = [
    Option<"allowSizes", "allow-sizes", "bool", "false",
           "Let kernels compute sizes that the host could">,
  ];
}

def VerifyPlanPass : Pass<"verify-plan", "mlir::func::FuncOp"> {
  let summary = "Checks that a function is a plan that the runtime can execute";
  let description = [{
    Every operation is of the `plan` dialect, everything that has bytes of its own
    has `storage`, the function has its arena's size, and no step uses a symbol that
    data sets before a `plan.read_symbol` has set it.

    ```mlir
    %0 = plan.copy %x : tensor<4xf32>
    // becomes
    // error: expected planned memory, but got no 'storage'
    ```

    Before: any function.
    After:  the same function; an error where it is not of the level.
    Numerics: bit-exact.
  }];
}

#endif // TENON_TRANSFORMS_VERIFY_PASSES_TD
