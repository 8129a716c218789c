#ifndef TENON_TRANSFORMS_EXPAND_PASSES_TD
#define TENON_TRANSFORMS_EXPAND_PASSES_TD

include "mlir/Pass/PassBase.td"

def ExpandQuantizedPass : Pass<"onnx-expand-quantized", "mlir::func::FuncOp"> {
  let summary = "Writes composed quantized operators as their steps";
  let description = [{
    Operators that dequantize, compute and quantize in one become these three steps,
    those that multiply quantized matrices become the integer product, its scale and its
    quantization. Convolutions of integers become those of floats that have the same
    values, which code generation knows better. What the steps have in common with other
    operators is then lowered and fused once, for all of them.

    ```mlir
    %0 = onnx.ms.QLinearSigmoid(%x, %xs, %xz, %ys, %yz) : ...
    // becomes
    %1 = onnx.DequantizeLinear(%x, %xs, %xz) : ...
    %2 = onnx.Sigmoid(%1) : ...
    %0 = onnx.QuantizeLinear(%2, %ys, %yz) : ...
    ```

    Before: any function of `onnx` operations.
    After:  no QLinearConv, QLinearMatMul, nor any of com.microsoft's QLinearAdd,
            QLinearMul, QLinearSigmoid, QLinearLeakyRelu, QLinearSoftmax,
            QLinearConcat, QLinearAveragePool, QLinearGlobalAveragePool, QGemm,
            MatMulIntegerToFloat, DynamicQuantizeMatMul, QuantizeLinear and
            DequantizeLinear, and no ConvInteger whose result is made f32.
    Numerics: approximate; products are exact, sums of convolutions up to 2^24 too, and
            the scale is applied in two roundings instead of one, so that a quantized
            element may differ by one.
  }];
}

def ExpandFusedPass : Pass<"onnx-expand-fused", "mlir::func::FuncOp"> {
  let summary = "Writes what ONNX Runtime's optimizer fused as its parts";
  let description = [{
    Models that ONNX Runtime saved after its optimizations have operators of
    com.microsoft that stand for a few of the default domain's. They become these
    again, and are fused as those of other models are.

    ```mlir
    %0 = onnx.ms.FusedMatMul(%a, %b) {alpha = 0.125 : f32, transB = 1 : i64} : ...
    // becomes
    %1 = onnx.Transpose(%b) {perm = array<i64: 1, 0>} : ...
    %2 = onnx.MatMul(%a, %1) : ...
    %0 = onnx.Mul(%2, %alpha) : ...
    ```

    Attention with packed weights, quantized or not, becomes its projection and a
    MultiHeadAttention, embeddings become gathers and a LayerNormalization, and an LSTM
    of quantized weights one of what they stand for.

    Before: any function of `onnx` operations.
    After:  no FusedMatMul, FusedConv, FusedGemm, Gelu, BiasGelu, FastGelu, QuickGelu,
            Attention, QAttention, EmbedLayerNormalization, QEmbedLayerNormalization
            or DynamicQuantizeLSTM of com.microsoft whose operands have known ranks,
            but for products whose batches are turned, activations that are not known,
            and attention that rotates, keeps its cache in a buffer, or whose mask has
            four axes.
    Numerics: approximate; a product's factor is applied to its sums, and what a
            DynamicQuantizeLSTM multiplies by its weights is not rounded to 8 bits.
  }];
}

#endif // TENON_TRANSFORMS_EXPAND_PASSES_TD
