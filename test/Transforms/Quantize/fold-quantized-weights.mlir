// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(fold-quantized-weights))' | FileCheck %s

// To the nearest, ties to even, plus the zero point, within the range.
// CHECK-LABEL: func @one_scale
// CHECK:         %[[Q:.*]] = onnx.Constant {value = dense<[3, 5, 0, 255]> : tensor<4xui8>} : tensor<4xui8>
// CHECK-NOT:     onnx.QuantizeLinear
// CHECK:         return %[[Q]]
func.func @one_scale() -> tensor<4xui8> {
  %w = onnx.Constant {value = dense<[0.25, 0.75, -100.0, 1000.0]> : tensor<4xf32>} : tensor<4xf32>
  %s = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %z = onnx.Constant {value = dense<3> : tensor<ui8>} : tensor<ui8>
  %q = onnx.QuantizeLinear(%w, %s, %z) : (tensor<4xf32>, tensor<f32>, tensor<ui8>) -> tensor<4xui8>
  return %q : tensor<4xui8>
}

// -----

// Each column has its scale.
// CHECK-LABEL: func @columns
// CHECK:         onnx.Constant {value = dense<{{\[\[}}1, 2], [-1, -2]]> : tensor<2x2xi8>}
func.func @columns() -> tensor<2x2xi8> {
  %w = onnx.Constant {value = dense<[[1.0, 1.0], [-1.0, -1.0]]> : tensor<2x2xf32>} : tensor<2x2xf32>
  %s = onnx.Constant {value = dense<[1.0, 0.5]> : tensor<2xf32>} : tensor<2xf32>
  %z = onnx.Constant {value = dense<0> : tensor<2xi8>} : tensor<2xi8>
  %q = onnx.QuantizeLinear(%w, %s, %z) {axis = 1 : i64} : (tensor<2x2xf32>, tensor<2xf32>, tensor<2xi8>) -> tensor<2x2xi8>
  return %q : tensor<2x2xi8>
}

// -----

// Each block of two rows has its scales; the last block is short.
// CHECK-LABEL: func @blocks
// CHECK:         onnx.Constant {value = dense<{{\[\[}}1, 2], [1, 2], [4, -8]]> : tensor<3x2xi4>}
func.func @blocks() -> tensor<3x2xi4> {
  %w = onnx.Constant {value = dense<[[1.0, 1.0], [1.0, 1.0], [1.0, -4.0]]> : tensor<3x2xf32>} : tensor<3x2xf32>
  %s = onnx.Constant {value = dense<[[1.0, 0.5], [0.25, 0.5]]> : tensor<2x2xf32>} : tensor<2x2xf32>
  %z = onnx.Constant {value = dense<0> : tensor<2x2xi4>} : tensor<2x2xi4>
  %q = onnx.QuantizeLinear(%w, %s, %z) {axis = 0 : i64, block_size = 2 : i64} : (tensor<3x2xf32>, tensor<2x2xf32>, tensor<2x2xi4>) -> tensor<3x2xi4>
  return %q : tensor<3x2xi4>
}

// -----

// A value of the run stays one.
// CHECK-LABEL: func @no_constant
// CHECK:         onnx.QuantizeLinear
func.func @no_constant(%w: tensor<4xf32>) -> tensor<4xui8> {
  %s = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %q = onnx.QuantizeLinear(%w, %s) : (tensor<4xf32>, tensor<f32>) -> tensor<4xui8>
  return %q : tensor<4xui8>
}

// -----

// Zero points of the run decide too.
// CHECK-LABEL: func @zero_of_the_run
// CHECK:         onnx.QuantizeLinear
func.func @zero_of_the_run(%z: tensor<ui8>) -> tensor<4xui8> {
  %w = onnx.Constant {value = dense<1.0> : tensor<4xf32>} : tensor<4xf32>
  %s = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %q = onnx.QuantizeLinear(%w, %s, %z) : (tensor<4xf32>, tensor<f32>, tensor<ui8>) -> tensor<4xui8>
  return %q : tensor<4xui8>
}

// -----

// Halves and 16-bit integers are not stored weights.
// CHECK-LABEL: func @other_types
// CHECK:         onnx.QuantizeLinear
// CHECK:         onnx.QuantizeLinear
func.func @other_types() -> (tensor<4xui8>, tensor<4xui16>) {
  %h = onnx.Constant {value = dense<1.0> : tensor<4xf16>} : tensor<4xf16>
  %w = onnx.Constant {value = dense<1.0> : tensor<4xf32>} : tensor<4xf32>
  %s = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %p = onnx.QuantizeLinear(%h, %s) : (tensor<4xf16>, tensor<f32>) -> tensor<4xui8>
  %q = onnx.QuantizeLinear(%w, %s) : (tensor<4xf32>, tensor<f32>) -> tensor<4xui16>
  return %p, %q : tensor<4xui8>, tensor<4xui16>
}

// -----

// Three scales for two columns are an error of the model, which others report.
// CHECK-LABEL: func @shapes
// CHECK:         onnx.QuantizeLinear
func.func @shapes() -> tensor<2x2xi8> {
  %w = onnx.Constant {value = dense<1.0> : tensor<2x2xf32>} : tensor<2x2xf32>
  %s = onnx.Constant {value = dense<1.0> : tensor<3xf32>} : tensor<3xf32>
  %z = onnx.Constant {value = dense<0> : tensor<3xi8>} : tensor<3xi8>
  %q = onnx.QuantizeLinear(%w, %s, %z) {axis = 1 : i64} : (tensor<2x2xf32>, tensor<3xf32>, tensor<3xi8>) -> tensor<2x2xi8>
  return %q : tensor<2x2xi8>
}
