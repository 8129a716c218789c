// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,onnx-raise-normalization,onnx-simplify))' | FileCheck %s

// The spelling of exporters before opset 23, with its epsilon.
// CHECK-LABEL: func @pow_reciprocal_by_div
// CHECK:         onnx.RMSNormalization(%arg0, %arg1) {axis = 2 : i64, epsilon = 9.99999997E-7 : f32
// CHECK-NOT:     onnx.Pow
func.func @pow_reciprocal_by_div(%x: tensor<2x?x8xf32> {onnx.dims = ["", "s", ""]}, %w: tensor<8xf32>) -> tensor<2x?x8xf32> {
  %two = onnx.Constant {value = dense<2.0> : tensor<f32>} : tensor<f32>
  %one = onnx.Constant {value = dense<1.0> : tensor<f32>} : tensor<f32>
  %epsilon = onnx.Constant {value = dense<1.0e-6> : tensor<f32>} : tensor<f32>
  %last = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Pow(%x, %two) : (tensor<2x?x8xf32>, tensor<f32>) -> tensor<2x?x8xf32>
  %1 = onnx.ReduceMean(%0, %last) {keepdims = 1 : i64} : (tensor<2x?x8xf32>, tensor<1xi64>) -> tensor<2x?x1xf32>
  %2 = onnx.Add(%epsilon, %1) : (tensor<f32>, tensor<2x?x1xf32>) -> tensor<2x?x1xf32>
  %3 = onnx.Sqrt(%2) : (tensor<2x?x1xf32>) -> tensor<2x?x1xf32>
  %4 = onnx.Div(%one, %3) : (tensor<f32>, tensor<2x?x1xf32>) -> tensor<2x?x1xf32>
  %5 = onnx.Mul(%x, %4) : (tensor<2x?x8xf32>, tensor<2x?x1xf32>) -> tensor<2x?x8xf32>
  %6 = onnx.Mul(%w, %5) : (tensor<8xf32>, tensor<2x?x8xf32>) -> tensor<2x?x8xf32>
  return %6 : tensor<2x?x8xf32>
}

// -----

// A square by Mul, a quotient by Reciprocal; f16 widened in between.
// CHECK-LABEL: func @widened
// CHECK:         onnx.RMSNormalization(%arg0, %arg1)
// CHECK-SAME:    (tensor<4x8xf16>, tensor<8xf16>) -> tensor<4x8xf16>
func.func @widened(%x: tensor<4x8xf16>, %w: tensor<8xf16>) -> tensor<4x8xf16> {
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %last = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Cast(%x) {to = 1 : i64} : (tensor<4x8xf16>) -> tensor<4x8xf32>
  %1 = onnx.Mul(%0, %0) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %2 = onnx.ReduceMean(%1, %last) {keepdims = 1 : i64} : (tensor<4x8xf32>, tensor<1xi64>) -> tensor<4x1xf32>
  %3 = onnx.Add(%2, %epsilon) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %4 = onnx.Sqrt(%3) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %5 = onnx.Reciprocal(%4) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %6 = onnx.Mul(%0, %5) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %7 = onnx.Cast(%6) {to = 10 : i64} : (tensor<4x8xf32>) -> tensor<4x8xf16>
  %8 = onnx.Mul(%7, %w) : (tensor<4x8xf16>, tensor<8xf16>) -> tensor<4x8xf16>
  return %8 : tensor<4x8xf16>
}

// -----

// With the mean subtracted and a bias it is LayerNormalization, over two axes here.
// CHECK-LABEL: func @centered
// CHECK:         onnx.LayerNormalization(%arg0, %arg1, %arg2) {axis = 1 : i64
func.func @centered(%x: tensor<4x3x8xf32>, %w: tensor<3x8xf32>, %b: tensor<8xf32>) -> tensor<4x3x8xf32> {
  %two = onnx.Constant {value = dense<2.0> : tensor<f32>} : tensor<f32>
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %axes = onnx.Constant {value = dense<[1, -1]> : tensor<2xi64>} : tensor<2xi64>
  %0 = onnx.ReduceMean(%x, %axes) {keepdims = 1 : i64} : (tensor<4x3x8xf32>, tensor<2xi64>) -> tensor<4x1x1xf32>
  %1 = onnx.Sub(%x, %0) : (tensor<4x3x8xf32>, tensor<4x1x1xf32>) -> tensor<4x3x8xf32>
  %2 = onnx.Pow(%1, %two) : (tensor<4x3x8xf32>, tensor<f32>) -> tensor<4x3x8xf32>
  %3 = onnx.ReduceMean(%2, %axes) {keepdims = 1 : i64} : (tensor<4x3x8xf32>, tensor<2xi64>) -> tensor<4x1x1xf32>
  %4 = onnx.Add(%3, %epsilon) : (tensor<4x1x1xf32>, tensor<f32>) -> tensor<4x1x1xf32>
  %5 = onnx.Sqrt(%4) : (tensor<4x1x1xf32>) -> tensor<4x1x1xf32>
  %6 = onnx.Div(%1, %5) : (tensor<4x3x8xf32>, tensor<4x1x1xf32>) -> tensor<4x3x8xf32>
  %7 = onnx.Mul(%6, %w) : (tensor<4x3x8xf32>, tensor<3x8xf32>) -> tensor<4x3x8xf32>
  %8 = onnx.Add(%7, %b) : (tensor<4x3x8xf32>, tensor<8xf32>) -> tensor<4x3x8xf32>
  return %8 : tensor<4x3x8xf32>
}

// -----

// A mean over leading axes is none of the operators'.
// CHECK-LABEL: func @leading_axis
// CHECK-NOT:     Normalization
func.func @leading_axis(%x: tensor<4x8xf32>, %w: tensor<8xf32>) -> tensor<4x8xf32> {
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %first = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Mul(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = onnx.ReduceMean(%0, %first) {keepdims = 1 : i64} : (tensor<4x8xf32>, tensor<1xi64>) -> tensor<1x8xf32>
  %2 = onnx.Add(%1, %epsilon) : (tensor<1x8xf32>, tensor<f32>) -> tensor<1x8xf32>
  %3 = onnx.Sqrt(%2) : (tensor<1x8xf32>) -> tensor<1x8xf32>
  %4 = onnx.Div(%x, %3) : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  %5 = onnx.Mul(%4, %w) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return %5 : tensor<4x8xf32>
}

// -----

// What is divided must be what is squared; a cube is no square; the scale must not
// vary along other axes.
// CHECK-LABEL: func @other_values
// CHECK-NOT:     Normalization
func.func @other_values(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8xf32>, %v: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %three = onnx.Constant {value = dense<3.0> : tensor<f32>} : tensor<f32>
  %last = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Mul(%x, %x) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = onnx.ReduceMean(%0, %last) {keepdims = 1 : i64} : (tensor<4x8xf32>, tensor<1xi64>) -> tensor<4x1xf32>
  %2 = onnx.Add(%1, %epsilon) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %3 = onnx.Sqrt(%2) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %4 = onnx.Div(%y, %3) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %5 = onnx.Mul(%4, %w) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  %6 = onnx.Pow(%x, %three) : (tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
  %7 = onnx.ReduceMean(%6, %last) {keepdims = 1 : i64} : (tensor<4x8xf32>, tensor<1xi64>) -> tensor<4x1xf32>
  %8 = onnx.Add(%7, %epsilon) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %9 = onnx.Sqrt(%8) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %10 = onnx.Div(%x, %9) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %11 = onnx.Mul(%10, %w) : (tensor<4x8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  %12 = onnx.Div(%x, %3) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %13 = onnx.Mul(%12, %v) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return %5, %11, %13 : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// The mean and the root of a wider type, as converting to 16 bits leaves them.
// CHECK-LABEL: func @wide_statistics
// CHECK:         onnx.RMSNormalization(%arg0, %arg1) {axis = 1 : i64
func.func @wide_statistics(%x: tensor<4x8xbf16>, %w: tensor<8xbf16>) -> tensor<4x8xbf16> {
  %one = onnx.Constant {value = dense<1.0> : tensor<f32>} : tensor<f32>
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %last = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %wide = onnx.Cast(%x) {to = 1 : i64} : (tensor<4x8xbf16>) -> tensor<4x8xf32>
  %0 = onnx.Mul(%wide, %wide) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = onnx.ReduceMean(%0, %last) {keepdims = 1 : i64} : (tensor<4x8xf32>, tensor<1xi64>) -> tensor<4x1xf32>
  %2 = onnx.Add(%1, %epsilon) : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %3 = onnx.Sqrt(%2) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %4 = onnx.Div(%one, %3) : (tensor<f32>, tensor<4x1xf32>) -> tensor<4x1xf32>
  %5 = onnx.Cast(%4) {to = 16 : i64} : (tensor<4x1xf32>) -> tensor<4x1xbf16>
  %6 = onnx.Mul(%x, %5) : (tensor<4x8xbf16>, tensor<4x1xbf16>) -> tensor<4x8xbf16>
  %7 = onnx.Mul(%6, %w) : (tensor<4x8xbf16>, tensor<8xbf16>) -> tensor<4x8xbf16>
  return %7 : tensor<4x8xbf16>
}
