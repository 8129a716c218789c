// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,onnx-raise-attention,onnx-simplify))' | FileCheck %s

// A cache within the operator: the positions begin after the past.
// CHECK-LABEL: func @past
// CHECK:         %[[K:.*]] = onnx.tenon.CacheAppend(%arg3, %arg1)
// CHECK:         %[[V:.*]] = onnx.tenon.CacheAppend(%arg4, %arg2)
// CHECK:         %[[P:.*]] = onnx.Shape(%arg3) {end = 3 : i64, start = 2 : i64}
// CHECK:         onnx.tenon.Attention(%arg0, %[[K]], %[[V]], none, none, %[[P]]) {{.*}}is_causal = 1
func.func @past(%q: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "s", ""]}, %k: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "s", ""]},
    %v: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "s", ""]}, %pk: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "p", ""]},
    %pv: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "p", ""]}) -> (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) {
  %0:3 = onnx.Attention(%q, %k, %v, none, %pk, %pv) {is_causal = 1 : i64}
      : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>)
      -> (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>)
  return %0#0, %0#1, %0#2 : tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>
}

// -----

// An operator whose scores are read stays.
// CHECK-LABEL: func @scores
// CHECK:         onnx.Attention(
// CHECK-NOT:     onnx.tenon.Attention
func.func @scores(%q: tensor<1x2x3x8xf32>) -> (tensor<1x2x3x8xf32>, tensor<1x2x3x3xf32>) {
  %0:2 = onnx.Attention(%q, %q, %q) : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>)
      -> (tensor<1x2x3x8xf32>, none, none, tensor<1x2x3x3xf32>)
  return %0#0, %0#1 : tensor<1x2x3x8xf32>, tensor<1x2x3x3xf32>
}

// -----

// Primitives: scale by the root on both sides, heads repeated by Expand, a mask.
// Operands and result keep their order, tokens first.
// CHECK-LABEL: func @primitives
// CHECK-NOT:     onnx.Softmax
// CHECK:         %[[Q:.*]] = onnx.Reshape(%arg0
// CHECK:         %[[Y:.*]] = onnx.tenon.Attention(%[[Q]], %arg1, %arg2, %arg3)
// CHECK-SAME:      empty_row_is_nan = 1 : i64
// CHECK-SAME:      q_num_heads = 4 : i64
// CHECK-SAME:      scale = 2.500000e-01 : f32
// CHECK-SAME:      (tensor<1x?x64xf32>, tensor<1x2x?x16xf32>, tensor<1x2x?x16xf32>, tensor<1x1x?x?xf32>) -> tensor<1x?x64xf32>
func.func @primitives(%q: tensor<1x?x4x16xf32> {onnx.dims = ["", "s", "", ""]}, %k: tensor<1x2x?x16xf32> {onnx.dims = ["", "", "t", ""]},
    %v: tensor<1x2x?x16xf32> {onnx.dims = ["", "", "t", ""]}, %mask: tensor<1x1x?x?xf32> {onnx.dims = ["", "", "s", "t"]}) -> tensor<1x?x4x16xf32> {
  %root = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %wide = onnx.Constant {value = dense<[1, 1, 2, 1, 1]> : tensor<5xi64>} : tensor<5xi64>
  %merged = onnx.Constant {value = dense<[0, 4, -1, 16]> : tensor<4xi64>} : tensor<4xi64>
  %0 = onnx.Transpose(%q) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x?x4x16xf32>) -> tensor<1x4x?x16xf32>
  %1 = onnx.Mul(%0, %root) : (tensor<1x4x?x16xf32>, tensor<f32>) -> tensor<1x4x?x16xf32>
  %2 = onnx.Unsqueeze(%k, %two) : (tensor<1x2x?x16xf32>, tensor<1xi64>) -> tensor<1x2x1x?x16xf32>
  %3 = onnx.Expand(%2, %wide) : (tensor<1x2x1x?x16xf32>, tensor<5xi64>) -> tensor<1x2x2x?x16xf32>
  %4 = onnx.Reshape(%3, %merged) : (tensor<1x2x2x?x16xf32>, tensor<4xi64>) -> tensor<1x4x?x16xf32>
  %5 = onnx.Unsqueeze(%v, %two) : (tensor<1x2x?x16xf32>, tensor<1xi64>) -> tensor<1x2x1x?x16xf32>
  %6 = onnx.Expand(%5, %wide) : (tensor<1x2x1x?x16xf32>, tensor<5xi64>) -> tensor<1x2x2x?x16xf32>
  %7 = onnx.Reshape(%6, %merged) : (tensor<1x2x2x?x16xf32>, tensor<4xi64>) -> tensor<1x4x?x16xf32>
  %8 = onnx.Transpose(%4) {perm = array<i64: 0, 1, 3, 2>} : (tensor<1x4x?x16xf32>) -> tensor<1x4x16x?xf32>
  %9 = onnx.Mul(%8, %root) : (tensor<1x4x16x?xf32>, tensor<f32>) -> tensor<1x4x16x?xf32>
  %10 = onnx.MatMul(%1, %9) : (tensor<1x4x?x16xf32>, tensor<1x4x16x?xf32>) -> tensor<1x4x?x?xf32>
  %11 = onnx.Add(%10, %mask) : (tensor<1x4x?x?xf32>, tensor<1x1x?x?xf32>) -> tensor<1x4x?x?xf32>
  %12 = onnx.Softmax(%11) {axis = -1 : i64} : (tensor<1x4x?x?xf32>) -> tensor<1x4x?x?xf32>
  %13 = onnx.MatMul(%12, %7) : (tensor<1x4x?x?xf32>, tensor<1x4x?x16xf32>) -> tensor<1x4x?x16xf32>
  %14 = onnx.Transpose(%13) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x?x16xf32>) -> tensor<1x?x4x16xf32>
  return %14 : tensor<1x?x4x16xf32>
}

// -----

// Scores divided and capped, then hidden by Where.
// CHECK-LABEL: func @capped
// CHECK:         onnx.tenon.Attention(%arg0, %arg1, %arg1, %arg2)
// CHECK-SAME:      scale = 1.250000e-01 : f32, softcap = 5.000000e+00 : f32
func.func @capped(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x6x8xf32>, %seen: tensor<4x6xi1>) -> tensor<2x3x4x8xf32> {
  %eight = onnx.Constant {value = dense<8.0> : tensor<f32>} : tensor<f32>
  %cap = onnx.Constant {value = dense<5.0> : tensor<f32>} : tensor<f32>
  %hidden = onnx.Constant {value = dense<0xFF800000> : tensor<f32>} : tensor<f32>
  %0 = onnx.Transpose(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<2x3x6x8xf32>) -> tensor<2x3x8x6xf32>
  %1 = onnx.MatMul(%q, %0) : (tensor<2x3x4x8xf32>, tensor<2x3x8x6xf32>) -> tensor<2x3x4x6xf32>
  %2 = onnx.Div(%1, %eight) : (tensor<2x3x4x6xf32>, tensor<f32>) -> tensor<2x3x4x6xf32>
  %3 = onnx.Div(%2, %cap) : (tensor<2x3x4x6xf32>, tensor<f32>) -> tensor<2x3x4x6xf32>
  %4 = onnx.Tanh(%3) : (tensor<2x3x4x6xf32>) -> tensor<2x3x4x6xf32>
  %5 = onnx.Mul(%4, %cap) : (tensor<2x3x4x6xf32>, tensor<f32>) -> tensor<2x3x4x6xf32>
  %6 = onnx.Where(%seen, %5, %hidden) : (tensor<4x6xi1>, tensor<2x3x4x6xf32>, tensor<f32>) -> tensor<2x3x4x6xf32>
  %7 = onnx.Softmax(%6) {axis = 3 : i64} : (tensor<2x3x4x6xf32>) -> tensor<2x3x4x6xf32>
  %8 = onnx.MatMul(%7, %k) : (tensor<2x3x4x6xf32>, tensor<2x3x6x8xf32>) -> tensor<2x3x4x8xf32>
  return %8 : tensor<2x3x4x8xf32>
}

// -----

// As torch.onnx writes scaled_dot_product_attention: the key is turned with batch and heads
// as one, and weights of rows that see no key, which are not numbers, become zero.
// CHECK-LABEL: func @scaled_dot_product
// CHECK:         onnx.tenon.Attention(%arg0, %arg1, %arg2, %arg3)
// CHECK-SAME:      empty_row_is_nan = 0 : i64
// CHECK-SAME:      scale = 2.500000e-01 : f32
func.func @scaled_dot_product(%q: tensor<2x3x5x16xf32>, %k: tensor<2x3x7x16xf32>, %v: tensor<2x3x7x16xf32>,
    %mask: tensor<2x1x5x7xf32>) -> tensor<2x3x5x16xf32> {
  %root = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %zero = onnx.Constant {value = dense<0.0> : tensor<f32>} : tensor<f32>
  %flat = onnx.Constant {value = dense<[6, 7, 16]> : tensor<3xi64>} : tensor<3xi64>
  %wide = onnx.Constant {value = dense<[2, 3, 16, 7]> : tensor<4xi64>} : tensor<4xi64>
  %0 = onnx.Reshape(%k, %flat) : (tensor<2x3x7x16xf32>, tensor<3xi64>) -> tensor<6x7x16xf32>
  %1 = onnx.Transpose(%0) {perm = array<i64: 0, 2, 1>} : (tensor<6x7x16xf32>) -> tensor<6x16x7xf32>
  %2 = onnx.Reshape(%1, %wide) : (tensor<6x16x7xf32>, tensor<4xi64>) -> tensor<2x3x16x7xf32>
  %3 = onnx.Mul(%q, %root) : (tensor<2x3x5x16xf32>, tensor<f32>) -> tensor<2x3x5x16xf32>
  %4 = onnx.Mul(%2, %root) : (tensor<2x3x16x7xf32>, tensor<f32>) -> tensor<2x3x16x7xf32>
  %5 = onnx.MatMul(%3, %4) : (tensor<2x3x5x16xf32>, tensor<2x3x16x7xf32>) -> tensor<2x3x5x7xf32>
  %6 = onnx.Add(%5, %mask) : (tensor<2x3x5x7xf32>, tensor<2x1x5x7xf32>) -> tensor<2x3x5x7xf32>
  %7 = onnx.Softmax(%6) {axis = -1 : i64} : (tensor<2x3x5x7xf32>) -> tensor<2x3x5x7xf32>
  %8 = onnx.IsNaN(%7) : (tensor<2x3x5x7xf32>) -> tensor<2x3x5x7xi1>
  %9 = onnx.Where(%8, %zero, %7) : (tensor<2x3x5x7xi1>, tensor<f32>, tensor<2x3x5x7xf32>) -> tensor<2x3x5x7xf32>
  %10 = onnx.MatMul(%9, %v) : (tensor<2x3x5x7xf32>, tensor<2x3x7x16xf32>) -> tensor<2x3x5x16xf32>
  return %10 : tensor<2x3x5x16xf32>
}

// -----

// Weights that become one where they are not numbers are no softmax's; nor is a transpose
// between reshapes that takes apart other dimensions than it joined one of the last two.
// CHECK-LABEL: func @not_scaled_dot_product
// CHECK-NOT:     onnx.tenon.Attention
func.func @not_scaled_dot_product(%q: tensor<2x3x7x16xf32>, %k: tensor<3x2x7x16xf32>) -> (tensor<2x3x7x16xf32>, tensor<2x3x7x16xf32>) {
  %one = onnx.Constant {value = dense<1.0> : tensor<f32>} : tensor<f32>
  %flat = onnx.Constant {value = dense<[6, 7, 16]> : tensor<3xi64>} : tensor<3xi64>
  %wide = onnx.Constant {value = dense<[2, 3, 16, 7]> : tensor<4xi64>} : tensor<4xi64>
  %0 = onnx.Reshape(%k, %flat) : (tensor<3x2x7x16xf32>, tensor<3xi64>) -> tensor<6x7x16xf32>
  %1 = onnx.Transpose(%0) {perm = array<i64: 0, 2, 1>} : (tensor<6x7x16xf32>) -> tensor<6x16x7xf32>
  %2 = onnx.Reshape(%1, %wide) : (tensor<6x16x7xf32>, tensor<4xi64>) -> tensor<2x3x16x7xf32>
  %3 = onnx.MatMul(%q, %2) : (tensor<2x3x7x16xf32>, tensor<2x3x16x7xf32>) -> tensor<2x3x7x7xf32>
  %4 = onnx.Softmax(%3) {axis = -1 : i64} : (tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32>
  %5 = onnx.MatMul(%4, %q) : (tensor<2x3x7x7xf32>, tensor<2x3x7x16xf32>) -> tensor<2x3x7x16xf32>
  %6 = onnx.Transpose(%q) {perm = array<i64: 0, 1, 3, 2>} : (tensor<2x3x7x16xf32>) -> tensor<2x3x16x7xf32>
  %7 = onnx.MatMul(%q, %6) : (tensor<2x3x7x16xf32>, tensor<2x3x16x7xf32>) -> tensor<2x3x7x7xf32>
  %8 = onnx.Softmax(%7) {axis = -1 : i64} : (tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32>
  %9 = onnx.IsNaN(%8) : (tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xi1>
  %10 = onnx.Where(%9, %one, %8) : (tensor<2x3x7x7xi1>, tensor<f32>, tensor<2x3x7x7xf32>) -> tensor<2x3x7x7xf32>
  %11 = onnx.MatMul(%10, %q) : (tensor<2x3x7x7xf32>, tensor<2x3x7x16xf32>) -> tensor<2x3x7x16xf32>
  return %5, %11 : tensor<2x3x7x16xf32>, tensor<2x3x7x16xf32>
}

// -----

// Q, K and V of one projection are read where they lie, whether slices or Gather take them.
// CHECK-LABEL: func @parts
// CHECK-NOT:     onnx.Transpose
// CHECK-NOT:     onnx.Slice
// CHECK:         onnx.tenon.Attention(%arg0, %arg0, %arg0)
// CHECK-SAME:      k_part = 1 : i64
// CHECK-SAME:      q_part = 0 : i64
// CHECK-SAME:      v_part = 2 : i64
// CHECK-SAME:      (tensor<?x9x3x4x16xf32>, tensor<?x9x3x4x16xf32>, tensor<?x9x3x4x16xf32>) -> tensor<?x9x64xf32>
func.func @parts(%qkv: tensor<?x9x3x4x16xf32> {onnx.dims = ["b", "", "", "", ""]}) -> tensor<?x9x4x16xf32> {
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %two = onnx.Constant {value = dense<2> : tensor<1xi64>} : tensor<1xi64>
  %last = onnx.Constant {value = dense<2> : tensor<i64>} : tensor<i64>
  %0 = onnx.Transpose(%qkv) {perm = array<i64: 2, 0, 3, 1, 4>} : (tensor<?x9x3x4x16xf32>) -> tensor<3x?x4x9x16xf32>
  %1 = onnx.Slice(%0, %zero, %one, %zero) : (tensor<3x?x4x9x16xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x?x4x9x16xf32>
  %2 = onnx.Squeeze(%1, %zero) : (tensor<1x?x4x9x16xf32>, tensor<1xi64>) -> tensor<?x4x9x16xf32>
  %3 = onnx.Slice(%0, %one, %two, %zero) : (tensor<3x?x4x9x16xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x?x4x9x16xf32>
  %4 = onnx.Squeeze(%3, %zero) : (tensor<1x?x4x9x16xf32>, tensor<1xi64>) -> tensor<?x4x9x16xf32>
  %5 = onnx.Gather(%0, %last) {axis = 0 : i64} : (tensor<3x?x4x9x16xf32>, tensor<i64>) -> tensor<?x4x9x16xf32>
  %6 = onnx.Transpose(%4) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x4x9x16xf32>) -> tensor<?x4x16x9xf32>
  %7 = onnx.MatMul(%2, %6) : (tensor<?x4x9x16xf32>, tensor<?x4x16x9xf32>) -> tensor<?x4x9x9xf32>
  %8 = onnx.Softmax(%7) {axis = -1 : i64} : (tensor<?x4x9x9xf32>) -> tensor<?x4x9x9xf32>
  %9 = onnx.MatMul(%8, %5) : (tensor<?x4x9x9xf32>, tensor<?x4x9x16xf32>) -> tensor<?x4x9x16xf32>
  %10 = onnx.Transpose(%9) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x4x9x16xf32>) -> tensor<?x9x4x16xf32>
  return %10 : tensor<?x9x4x16xf32>
}

// -----

// What hides a score must be low enough that the score does not matter; a softmax
// that others read, or over another axis, is not streamed; nor keys not transposed.
// CHECK-LABEL: func @not_attention
// CHECK-NOT:     onnx.tenon.Attention
func.func @not_attention(%q: tensor<2x3x6x6xf32>, %seen: tensor<6x6xi1>) -> (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) {
  %some = onnx.Constant {value = dense<-100.0> : tensor<f32>} : tensor<f32>
  %0 = onnx.Transpose(%q) {perm = array<i64: 0, 1, 3, 2>} : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %1 = onnx.MatMul(%q, %0) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %2 = onnx.Where(%seen, %1, %some) : (tensor<6x6xi1>, tensor<2x3x6x6xf32>, tensor<f32>) -> tensor<2x3x6x6xf32>
  %3 = onnx.Softmax(%2) {axis = -1 : i64} : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %4 = onnx.MatMul(%3, %q) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %5 = onnx.Neg(%0) : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %6 = onnx.MatMul(%q, %5) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %7 = onnx.Softmax(%6) {axis = -1 : i64} : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %8 = onnx.MatMul(%7, %q) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %9 = onnx.Exp(%q) : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %10 = onnx.MatMul(%9, %0) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %11 = onnx.Softmax(%10) {axis = 2 : i64} : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %12 = onnx.MatMul(%11, %q) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %13 = onnx.Sin(%q) : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %14 = onnx.MatMul(%13, %0) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %15 = onnx.Softmax(%14) {axis = -1 : i64} : (tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  %16 = onnx.MatMul(%15, %q) : (tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>) -> tensor<2x3x6x6xf32>
  return %4, %8, %12, %15, %16 : tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>, tensor<2x3x6x6xf32>
}

// -----

// Packed heads are split; without earlier tokens rows begin at 0, else at the end.
// CHECK-LABEL: func @group_query
// CHECK:         %[[PARTS:.*]]:3 = onnx.Split(%arg0
// CHECK:         %[[LENGTHS:.*]] = onnx.Add(
// CHECK:         %[[FIRST:.*]] = onnx.Where(
// CHECK:         %[[Q:.*]] = onnx.RotaryEmbedding(%[[PARTS]]#0, %arg5, %arg6, %{{.*}}) {{.*}}num_heads = 2
// CHECK:         %[[KR:.*]] = onnx.RotaryEmbedding(%[[PARTS]]#1
// CHECK:         %[[K:.*]] = onnx.tenon.CacheAppend(%arg1, %[[KR]], %[[FIRST]])
// CHECK:         %[[V:.*]] = onnx.tenon.CacheAppend(%arg2, %[[PARTS]]#2, %[[FIRST]])
// CHECK:         onnx.tenon.Attention(%[[Q]], %[[K]], %[[V]], none, %[[LENGTHS]], %[[FIRST]]) {{.*}}left_window_size = 3
func.func @group_query(%qkv: tensor<?x?x32xf32> {onnx.dims = ["b", "s", ""]}, %pk: tensor<?x1x?x8xf32> {onnx.dims = ["b", "", "p", ""]},
    %pv: tensor<?x1x?x8xf32> {onnx.dims = ["b", "", "p", ""]}, %lengths: tensor<?xi32> {onnx.dims = ["b"]}, %total: tensor<i32>,
    %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>) -> (tensor<?x?x16xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>) {
  %0:3 = onnx.ms.GroupQueryAttention(%qkv, none, none, %pk, %pv, %lengths, %total, %cos, %sin)
      {num_heads = 2 : i64, kv_num_heads = 1 : i64, do_rotary = 1 : i64, local_window_size = 4 : i64}
      : (tensor<?x?x32xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>, tensor<?xi32>, tensor<i32>, tensor<16x4xf32>, tensor<16x4xf32>)
      -> (tensor<?x?x16xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>)
  return %0#0, %0#1, %0#2 : tensor<?x?x16xf32>, tensor<?x1x?x8xf32>, tensor<?x1x?x8xf32>
}

// -----

// A cache that grows by Concat takes what is new before it is transposed.
// CHECK-LABEL: func @concat
// CHECK:         %[[NEW:.*]] = onnx.Reshape(%arg1
// CHECK:         onnx.tenon.CacheAppend(%arg0, %[[NEW]]) {{.*}}num_heads = 2
func.func @concat(%past: tensor<1x2x?x8xf32> {onnx.dims = ["", "", "p", ""]}, %new: tensor<1x?x2x8xf32> {onnx.dims = ["", "s", "", ""]}) -> tensor<1x2x?x8xf32> {
  %0 = onnx.Transpose(%new) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x?x2x8xf32>) -> tensor<1x2x?x8xf32>
  %1 = onnx.Concat(%past, %0) {axis = -2 : i64} : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %1 : tensor<1x2x?x8xf32>
}
