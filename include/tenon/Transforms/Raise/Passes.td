#ifndef TENON_TRANSFORMS_RAISE_PASSES_TD
#define TENON_TRANSFORMS_RAISE_PASSES_TD

include "mlir/Pass/PassBase.td"

def RaiseAttentionPass : Pass<"onnx-raise-attention", "mlir::func::FuncOp"> {
  let summary = "Turns every form of attention into one operation";
  let description = [{
    Rewrites `Attention`, `GroupQueryAttention` and `MultiHeadAttention` into
    `onnx.tenon.CacheAppend` for what enters a cache, `onnx.RotaryEmbedding` where the
    operator rotates, and one `onnx.tenon.Attention`. Operands keep their ranks:
    [batch, tokens, heads * size] and [batch, heads, tokens, size] may be mixed, so
    nothing is transposed. So does attention in primitives: MatMul, scale, mask, Softmax,
    MatMul, also in the forms that torch.onnx writes, and what of Q, K and V is one part
    of [batch, tokens, parts, heads, size] is read there (`q_part`, `k_part`, `v_part`).

    ```mlir
    %y, %pk, %pv = onnx.Attention(%q, %k, %v, , %k0, %v0) {is_causal = 1 : i64}
        : (tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>, tensor<1x2x1x8xf32>, none,
           tensor<1x2x4x8xf32>, tensor<1x2x4x8xf32>)
        -> (tensor<1x2x1x8xf32>, tensor<1x2x5x8xf32>, tensor<1x2x5x8xf32>)
    // becomes
    %pk = onnx.tenon.CacheAppend(%k0, %k)
    %pv = onnx.tenon.CacheAppend(%v0, %v)
    %p = onnx.Shape(%k0) {start = 2 : i64, end = 3 : i64}
    %y = onnx.tenon.Attention(%q, %pk, %pv, , , %p) {is_causal = 1 : i64}
    ```

    An `Attention` or `GroupQueryAttention` whose scores are an output stays as it is.

    Before: functions after `onnx-infer-shapes`.
    After:  none of the three operators, but for those whose scores are read.
    Numerics: reassociates; sums of 16-bit floats are f32. Where weights that are not
              numbers were made zero, a row that sees no key is zero, and one with a
              score that is not a number stays so.
  }];
}

def RaiseNormalizationPass
    : Pass<"onnx-raise-normalization", "mlir::func::FuncOp"> {
  let summary = "Finds normalizations that are written out in primitives";
  let description = [{
    A product of a scale and x / sqrt(mean(x * x) + epsilon) becomes
    `onnx.RMSNormalization`; where x is a value less its mean, and perhaps a bias is
    added, `onnx.LayerNormalization`. The mean is a `ReduceMean` over trailing axes;
    the square is `Pow` or `Mul`, the quotient `Div`, or `Mul` by a `Reciprocal`, by
    1 divided, or by `Pow` of -0.5. Casts of the input to a wider float type and
    back are left out, also where only the mean and the root are of the wider type.

    ```mlir
    %0 = onnx.Pow(%x, %two)
    %1 = onnx.ReduceMean(%0, %last) {keepdims = 1 : i64}
    %2 = onnx.Add(%1, %epsilon)
    %3 = onnx.Sqrt(%2)
    %4 = onnx.Div(%x, %3)
    %5 = onnx.Mul(%w, %4)
    // becomes
    %5 = onnx.RMSNormalization(%x, %w) {axis = 2 : i64, epsilon = 1.0e-5 : f32}
    ```

    Before: functions after `onnx-infer-shapes`.
    After:  no such product.
    Numerics: reassociates; what casts rounded between is not rounded.
  }];
}

def RaiseRotaryPass : Pass<"onnx-raise-rotary", "mlir::func::FuncOp"> {
  let summary = "Finds rotary embeddings that are written out in primitives";
  let description = [{
    x * cos + rotate_half(x) * sin, where rotate_half(x) is Concat(-x2, x1) of the
    halves of the last axis, becomes `onnx.RotaryEmbedding` without positions, on
    the first halves of cos and sin. Their second halves have to be equal to the
    first: they come from a Concat of one value with itself, perhaps through
    elementwise operations. Where x is transposed from [batch, tokens, heads, size],
    the rotation is done before that.

    ```mlir
    %y1 = onnx.Mul(%x, %cos)
    %y2 = onnx.Mul(%half, %sin)
    %y = onnx.Add(%y1, %y2)
    // becomes
    %y = onnx.RotaryEmbedding(%x, %cos1, %sin1)
    ```

    Before: functions after `onnx-infer-shapes`.
    After:  no such sum.
    Numerics: reassociates.
  }];
}

def FoldAppendsPass : Pass<"onnx-fold-appends", "mlir::func::FuncOp"> {
  let summary = "Turns rows, and takes them from packed columns, as they enter a cache";
  let description = [{
    A `onnx.RotaryEmbedding` that only a `onnx.tenon.CacheAppend` reads becomes part
    of it, and so does the `onnx.Split` of columns before it.

    ```mlir
    %0:3 = onnx.Split(%x, %sizes) {axis = 2 : i64}
    %1 = onnx.RotaryEmbedding(%0#1, %cos, %sin, %positions) {num_heads = 3 : i64}
    %2 = onnx.tenon.CacheAppend(%past, %1) {num_heads = 3 : i64}
    // becomes
    %2 = onnx.tenon.CacheAppend(%past, %x, none, %cos, %sin, %positions)
        {num_heads = 3 : i64, head_size = 64 : i64, first_column = 576 : i64}
    ```

    Before: functions after `onnx-raise-attention` and `onnx-infer-shapes`.
    After:  no append reads a rotation or a split alone.
    Numerics: bit-exact.
  }];
}

#endif // TENON_TRANSFORMS_RAISE_PASSES_TD
