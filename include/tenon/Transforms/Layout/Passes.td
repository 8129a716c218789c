#ifndef TENON_TRANSFORMS_LAYOUT_PASSES_TD
#define TENON_TRANSFORMS_LAYOUT_PASSES_TD

include "mlir/Pass/PassBase.td"

def AssignLayoutsPass
    : InterfacePass<"assign-layouts", "mlir::FunctionOpInterface"> {
  let summary = "Keeps images with channels last between convolutions";
  let description = [{
    Convolutions on GPUs read and write images with channels last, between launches that
    turn them (marked `kernel.turns_channels`). What such a launch reads or writes gets
    channels last itself where its maker and its readers can follow: their index maps, reads
    of single elements, pads and slices are turned. So does what lies beside it in launches
    that make no sums of products: elementwise ones, pools, resizes. A launch that then only
    copies is dropped; one that turns back is added where something cannot follow, as a
    result of the function.

    ```mlir
    %a = kernel.launch(%0) ... {kernel.turns_channels = false} { generic that moves channels to dimension 1 }
    %b = kernel.launch(%a) ... { generic of a relu }
    %c = kernel.launch(%b) ... {kernel.turns_channels = true} { generic that moves channels last }
    // becomes
    %c = kernel.launch(%0) ... { generic of a relu }
    ```

    Before: functions at kernel level, launches not yet fused.
    After:  launches that turn channels are where channels must be first on one side.
    Numerics: bit-exact, but for sums whose order is unspecified.
  }];
  let dependentDialects = [
    "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect"
  ];
}

def PackWeightsPass
    : InterfacePass<"pack-weights", "mlir::FunctionOpInterface"> {
  let summary = "Lays weights out in the panels that contractions read";
  let description = [{
    A weight that contractions multiply with, k by n, becomes panels of 128 bytes
    times k: element (k, n) moves to (n / p, k, n % p), where p columns are 128 bytes
    of the sums' type. Its other readers (contractions with the same k and n, reads
    of single elements as in Gather) follow, so it is stored once. The bytes are
    packed when the artifact is written. What panels add at the last one's end is at
    most 1/25 of all weights' bytes.

    ```mlir
    %w = kernel.weight "w" #onnx.stored<...> : tensor<576x1000xf32>
    %y = kernel.launch(%x, %w) ... { generic with w at (k, n) }
    // becomes
    %w = kernel.weight "w" #onnx.stored<...> encoding "panels:32:1" : tensor<32x576x32xf32>
    %y = kernel.launch(%x, %w) ... { generic with w at (n floordiv 32, k, n mod 32) }
    ```

    Before: functions at kernel level.
    After:  weights of contractions are in panels where every reader can follow.
    Numerics: bit-exact.
  }];
  let dependentDialects = ["mlir::arith::ArithDialect"];
}

def TransposeWeightsPass
    : InterfacePass<"transpose-weights", "mlir::FunctionOpInterface"> {
  let summary = "Lays weights out with what is summed last";
  let description = [{
    A weight that contractions multiply with, k by n, becomes n by k: a column of the
    result is one run of memory, which a warp reads whole for few rows, and which tensor
    maps copy for many. Its other readers (contractions with the same k and n, reads of
    single elements as in Gather) follow, so it is stored once. The bytes are moved when
    the artifact is written. For targets that do not pack panels.

    ```mlir
    %w = kernel.weight "w" #onnx.stored<...> : tensor<576x1000xf32>
    %y = kernel.launch(%x, %w) ... { generic with w at (k, n) }
    // becomes
    %w = kernel.weight "w" #onnx.stored<...> encoding "lines:0:576" : tensor<1000x576xf32>
    %y = kernel.launch(%x, %w) ... { generic with w at (n, k) }
    ```

    Before: functions at kernel level.
    After:  weights of contractions have k last where every reader can follow.
    Numerics: bit-exact.
  }];
}

#endif // TENON_TRANSFORMS_LAYOUT_PASSES_TD
