// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,onnx-raise-rotary,onnx-simplify))' | FileCheck %s

// Angles that are concatenated with themselves; the rotation moves before the
// transpose.
// CHECK-LABEL: func @half_split
// CHECK:         %[[FLAT:.*]] = onnx.Reshape(%arg0, %{{.*}}) {{.*}} -> tensor<1x?x16xf32>
// CHECK:         %[[Y:.*]] = onnx.RotaryEmbedding(%[[FLAT]], %{{.*}}, %{{.*}}) {interleaved = 0 : i64, num_heads = 2 : i64
// CHECK-SAME:      (tensor<1x?x16xf32>, tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<1x?x16xf32>
// CHECK:         onnx.Transpose
// CHECK-NOT:     onnx.Neg
func.func @half_split(%x: tensor<1x?x2x8xf32> {onnx.dims = ["", "s", "", ""]}, %a: tensor<1x?x4xf32> {onnx.dims = ["", "s", ""]}) -> tensor<1x2x?x8xf32> {
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %three = onnx.Constant {value = dense<3> : tensor<1xi64>} : tensor<1xi64>
  %four = onnx.Constant {value = dense<4> : tensor<1xi64>} : tensor<1xi64>
  %end = onnx.Constant {value = dense<9223372036854775807> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Transpose(%x) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x?x2x8xf32>) -> tensor<1x2x?x8xf32>
  %1 = onnx.Concat(%a, %a) {axis = -1 : i64} : (tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<1x?x8xf32>
  %2 = onnx.Cos(%1) : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %3 = onnx.Unsqueeze(%2, %one) : (tensor<1x?x8xf32>, tensor<1xi64>) -> tensor<1x1x?x8xf32>
  %4 = onnx.Sin(%1) : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %5 = onnx.Unsqueeze(%4, %one) : (tensor<1x?x8xf32>, tensor<1xi64>) -> tensor<1x1x?x8xf32>
  %6 = onnx.Slice(%0, %zero, %four, %three, %one) : (tensor<1x2x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x2x?x4xf32>
  %7 = onnx.Slice(%0, %four, %end, %three, %one) : (tensor<1x2x?x8xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x2x?x4xf32>
  %8 = onnx.Neg(%7) : (tensor<1x2x?x4xf32>) -> tensor<1x2x?x4xf32>
  %9 = onnx.Concat(%8, %6) {axis = -1 : i64} : (tensor<1x2x?x4xf32>, tensor<1x2x?x4xf32>) -> tensor<1x2x?x8xf32>
  %10 = onnx.Mul(%0, %3) : (tensor<1x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x2x?x8xf32>
  %11 = onnx.Mul(%9, %5) : (tensor<1x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<1x2x?x8xf32>
  %12 = onnx.Add(%10, %11) : (tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>) -> tensor<1x2x?x8xf32>
  return %12 : tensor<1x2x?x8xf32>
}

// -----

// Halves that may differ are no rotation's angles.
// CHECK-LABEL: func @other_halves
// CHECK-NOT:     onnx.RotaryEmbedding
func.func @other_halves(%x: tensor<1x2x3x8xf32>, %cos: tensor<1x1x3x8xf32>, %sin: tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32> {
  %sizes = onnx.Constant {value = dense<4> : tensor<2xi64>} : tensor<2xi64>
  %0:2 = onnx.Split(%x, %sizes) {axis = 3 : i64} : (tensor<1x2x3x8xf32>, tensor<2xi64>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>)
  %1 = onnx.Neg(%0#1) : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %2 = onnx.Concat(%1, %0#0) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x8xf32>
  %3 = onnx.Mul(%x, %cos) : (tensor<1x2x3x8xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32>
  %4 = onnx.Mul(%2, %sin) : (tensor<1x2x3x8xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32>
  %5 = onnx.Add(%3, %4) : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  return %5 : tensor<1x2x3x8xf32>
}

// -----

// Without the sign, or with the halves in their order, it is another function.
// CHECK-LABEL: func @other_functions
// CHECK-NOT:     onnx.RotaryEmbedding
func.func @other_functions(%x: tensor<1x2x3x8xf32>, %a: tensor<1x1x3x4xf32>) -> (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) {
  %sizes = onnx.Constant {value = dense<4> : tensor<2xi64>} : tensor<2xi64>
  %angles = onnx.Concat(%a, %a) {axis = 3 : i64} : (tensor<1x1x3x4xf32>, tensor<1x1x3x4xf32>) -> tensor<1x1x3x8xf32>
  %cos = onnx.Cos(%angles) : (tensor<1x1x3x8xf32>) -> tensor<1x1x3x8xf32>
  %sin = onnx.Sin(%angles) : (tensor<1x1x3x8xf32>) -> tensor<1x1x3x8xf32>
  %0:2 = onnx.Split(%x, %sizes) {axis = 3 : i64} : (tensor<1x2x3x8xf32>, tensor<2xi64>) -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>)
  %1 = onnx.Concat(%0#1, %0#0) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x8xf32>
  %2 = onnx.Mul(%x, %cos) : (tensor<1x2x3x8xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32>
  %3 = onnx.Mul(%1, %sin) : (tensor<1x2x3x8xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32>
  %4 = onnx.Add(%2, %3) : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  %5 = onnx.Neg(%0#0) : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %6 = onnx.Concat(%5, %0#1) {axis = 3 : i64} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x8xf32>
  %7 = onnx.Mul(%6, %sin) : (tensor<1x2x3x8xf32>, tensor<1x1x3x8xf32>) -> tensor<1x2x3x8xf32>
  %8 = onnx.Add(%2, %7) : (tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>) -> tensor<1x2x3x8xf32>
  return %4, %8 : tensor<1x2x3x8xf32>, tensor<1x2x3x8xf32>
}
