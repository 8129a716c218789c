#ifndef TENON_DIALECTS_ONNX_ONNXOPS_TD
#define TENON_DIALECTS_ONNX_ONNXOPS_TD

include "dialects/ONNX/ONNXDialect.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

// Written by generate_ods.py at build time.
include "dialects/ONNX/GeneratedOps.td"

def ONNX_ConstantOp : ONNX_Op<"Constant", [Pure, ConstantLike]> {
  let summary = "Is a tensor known at compile time";
  let description = [{
    `value` is a dense attribute where the tensor is small, else `#onnx.stored`.
    The result's type may be less precise than the value's.

    Constraints:
    - (constant-C1) the value's type and the result's have one element type and
      compatible shapes.

    ```mlir
    %w = onnx.Constant {value = dense<1.0> : tensor<4xf32>} : tensor<4xf32>
    ```
  }];
  let arguments = (ins TypedAttrInterface:$value);
  let results = (outs AnyTensor:$output);
  let builders = [OpBuilder<(ins "::mlir::TypedAttr":$value), [{
    build($_builder, $_state, value.getType(), value);
  }]>];
  let assemblyFormat = "attr-dict `:` type($output)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def ONNX_YieldOp : ONNX_Op<"Yield", [Pure, Terminator, ReturnLike]> {
  let summary = "Ends a branch or a loop's body with its outputs";
  let description = [{
    The operands are the ONNX graph's outputs, in order.

    ```mlir
    onnx.Yield %a : tensor<4xf32>
    ```
  }];
  let arguments = (ins Variadic<ONNX_Value>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, {}); }]>];
}

#endif // TENON_DIALECTS_ONNX_ONNXOPS_TD
