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

def ConvertFloatPass : Pass<"convert-float", "mlir::ModuleOp"> {
  let summary = "Stores and calculates in floats of 16 bits what a model has in f32";
  let description = [{
    Operators whose ONNX schema allows it take and give f16 or bf16 instead of f32;
    constants that they read are rounded, one by one, from the mapped model to the spill
    file. The graph's inputs and outputs keep their types, with a Cast behind the ones
    and before the others, unless `interface` is set. What stays f32:

    - what is calculated from integers of 32 bits and more, from truth values, and from
      small constants alone: positions and their angles, masks. It is cast where it meets
      what is converted; where a constant in it is beyond the range (the lowest float, of
      masks), behind a Clip;
    - powers, exponentials, squares and sums (Pow, Exp, x * x, ReduceMean, CumSum, Range
      and the like), and what is calculated from them and small constants alone: the
      statistics of a norm or a softmax that is written out. Norms, Softmax and
      Attention themselves are converted, since they accumulate in f32;
    - operators whose element types do not allow it, of other domains, with graphs of
      their own (their bodies are converted within), and those that `keep` names; a
      remark says which and why. QuantizeLinear keeps its scale.

    ```mlir
    %w = onnx.Constant #onnx.stored<"w", ...> : tensor<576x192xf32>
    %y = onnx.MatMul(%x, %w) : (tensor<3x576xf32>, tensor<576x192xf32>) -> tensor<3x192xf32>
    // becomes, with to=bf16
    %w = onnx.Constant #onnx.stored<"w", ...> : tensor<576x192xbf16>
    %x16 = onnx.Cast(%x) {to = 16 : i64} : (tensor<3x576xf32>) -> tensor<3x576xbf16>
    %y16 = onnx.MatMul(%x16, %w) : ... -> tensor<3x192xbf16>
    %y = onnx.Cast(%y16) {to = 1 : i64} : (tensor<3x192xbf16>) -> tensor<3x192xf32>
    ```

    Before: a module at the onnx level.
    After:  no operator has an operand of f32 that could be of 16 bits, but for those
            above. The model's opset is one that has all of them in 16 bits.
    Numerics: lossy. A constant and each result is rounded to the nearest of 8 (bf16) or
            11 (f16) binary digits, a relative error of 2^-8 or 2^-11 at most; f16 less
            exact below 6.1e-5. A finite constant beyond the range (65504 for f16)
            becomes its end, with a warning that names it; what is calculated beyond the
            range becomes infinite. Infinities and NaN stay.
            docs/benchmarks/quantize.md has what that costs a real model.
  }];
  let options = [
    Option<"to", "to", "std::string", "\"bf16\"", "The floats to convert to: f16 or bf16.">,
    Option<"interface", "interface", "bool", "false",
           "Whether the graph's inputs and outputs of f32 are converted too.">,
    ListOption<"keep", "keep", "std::string",
               "Operators that stay f32, by their ONNX names.">,
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
