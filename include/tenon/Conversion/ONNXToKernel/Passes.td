#ifndef TENON_CONVERSION_ONNXTOKERNEL_PASSES_TD
#define TENON_CONVERSION_ONNXTOKERNEL_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertONNXToKernelPass : Pass<"convert-onnx-to-kernel", "mlir::func::FuncOp"> {
  let summary = "Turns each ONNX operation into kernel launches";
  let description = [{
    Rewrites every operation of a function from the `onnx` dialect into
    `kernel.launch`, `kernel.view`, `kernel.host_tensor` or `kernel.weight`.
    Shapes come from lib/Analysis/Shapes; integer tensors whose elements the
    analysis knows never become kernels.

    ```mlir
    %y = "onnx.Exp"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    // becomes
    %y = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)>
        dims [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>]
        : (tensor<?x4xf32>) -> tensor<?x4xf32> {
    ^bb0(%a: tensor<?x4xf32>, %d: tensor<?x4xf32>):
      %r = linalg.generic ... { math.exp ... }
      kernel.yield %r : tensor<?x4xf32>
    }
    ```

    `If`, `Loop` and `Scan` become `plan.if` and `plan.loop`, which are the host's
    steps at the kernel level too. A size that is known only when data is there is a
    symbol that a `plan.read_symbol` sets.

    Before: functions after `onnx-infer-shapes`: every tensor is ranked.
    After:  no operation of the `onnx` dialect; unsigned integers are signless
            and marked `tenon.unsigned` on arguments and results.
    Numerics: approximate; each operation as ONNX defines it, sums in an
            unspecified order.
  }];
  let options = [
    Option<"keepGoing", "keep-going", "bool", "false",
           "Report every operation that cannot be lowered, not only the first">,
    Option<"splitAttention", "split-attention", "bool", "true",
           "Split the keys of attention where few queries meet many, and merge the parts "
           "in a launch of their own; else that is left to the kernel">,
    Option<"forThreads", "for-threads", "bool", "false",
           "Write searches for the first elements, running totals and what follows from them "
           "as operations that a device divides among its threads; else as loops of one">,
    Option<"channelsLast", "channels-last", "bool", "false",
           "Compute convolutions on images with channels last, between launches that "
           "turn them; windows are padded within the launch that reads them">,
    Option<"padWithin", "pad-within", "bool", "false",
           "Pad windows within the launch that reads them, where images have 16 channels or more: "
           "pools, convolutions of single channels, and others of 32 and 64 bit floats">,
  ];
  let dependentDialects = [
    "mlir::arith::ArithDialect", "mlir::linalg::LinalgDialect",
    "mlir::math::MathDialect", "mlir::scf::SCFDialect",
    "mlir::tensor::TensorDialect", "tenon::kernel::KernelDialect",
    "tenon::plan::PlanDialect"
  ];
}

#endif // TENON_CONVERSION_ONNXTOKERNEL_PASSES_TD
