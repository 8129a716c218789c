#ifndef TENON_TRANSFORMS_QUANTIZE_PASSES_TD
#define TENON_TRANSFORMS_QUANTIZE_PASSES_TD

include "mlir/Pass/PassBase.td"

def QuantizeWeightsPass : Pass<"quantize-weights", "mlir::ModuleOp"> {
  let summary = "Stores the weights of products in 4 or 8 bits";
  let description = [{
    The constant matrix that a MatMul or a Gemm multiplies by becomes blocks of small
    integers along the summed dimension, each with a scale, and a DequantizeLinear that
    says what they are: standard ONNX, which any runtime of opset 21 loads. A group of
    -1, or of all that is summed, is one block for each column: DequantizeLinear along
    the other axis. A matrix that products read transposed stays as it lies. Weights go
    one by one from the mapped model to the spill file.

    A tensor that Gathers read too (tied embeddings) is quantized once for all of them,
    where a group lies within a row. One that any other operator reads, that has few
    elements, or an element that is not finite, stays as it is; a remark says which.

    ```mlir
    %w = onnx.Constant #onnx.stored<"w", ...> : tensor<576x192xf32>
    %y = onnx.MatMul(%x, %w) : ...
    // becomes, with bits=4 group=32
    %q = onnx.Constant #onnx.stored<"w_quantized", ...> : tensor<576x192xi4>
    %s = onnx.Constant #onnx.stored<"w_scale", ...> : tensor<18x192xf32>
    %w = onnx.DequantizeLinear(%q, %s) {axis = 0, block_size = 32} : ...
    %y = onnx.MatMul(%x, %w) : ...
    ```

    Before: a module at the onnx level.
    After:  no product multiplies by a large constant of floats, but for those that a
            remark names. The model's opset is 21 and its IR version 10, at least.
    Numerics: lossy. Symmetric: an element differs by at most half a scale, or by one
            scale where it is as large as the block's extreme and of the other sign.
            Else: by at most half a scale. (Scales that are rounded to 16 bits add their
            rounding.) docs/benchmarks/quantize.md has what that costs a real model.
  }];
  let options = [
    Option<"bits", "bits", "int64_t", "4", "Bits of a weight: 4 or 8.">,
    Option<"group", "group", "int64_t", "32",
           "Weights that share a scale, along the summed dimension: a power of two, 16 "
           "at least, or -1 for all of a column.">,
    Option<"rounding", "rounding", "std::string", "\"rtn\"",
           "How a weight becomes an integer: rtn, to the nearest, ties to even.">,
    Option<"symmetric", "symmetric", "bool", "true",
           "Whether zero is the middle of the integers (int4, int8), or each group has "
           "a zero point of its own (uint4, uint8).">,
    Option<"minElements", "min-elements", "int64_t", "4096",
           "Weights of fewer elements stay as they are.">,
  ];
}

def FoldQuantizedWeightsPass
    : Pass<"fold-quantized-weights", "mlir::func::FuncOp"> {
  let summary = "Quantizes constants that a model quantizes at run time";
  let description = [{
    A QuantizeLinear of a constant of f32, with constant scales and zero points, to
    integers of 2, 4 or 8 bits becomes the integers: models that were trained with
    quantization keep their weights in floats. What reads them is a DequantizeLinear of
    a stored weight, like any other.

    ```mlir
    %q = onnx.QuantizeLinear(%w, %s, %z) {axis = 1 : i64} : ...
    // becomes, where all three are constants
    %q = onnx.Constant #onnx.stored<"q", ...> : tensor<576x192xi8>
    ```

    Before: any function of `onnx` operations.
    After:  no such QuantizeLinear.
    Numerics: bit-exact.
  }];
}

#endif // TENON_TRANSFORMS_QUANTIZE_PASSES_TD
