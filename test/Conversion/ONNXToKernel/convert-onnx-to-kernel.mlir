// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// One operator is one launch; a scalar constant is within it; dimensions are symbols.
// CHECK-LABEL: func @scaled
// CHECK:         kernel.launch(%arg0)
// CHECK:           linalg.generic
// CHECK:             arith.mulf
// CHECK-NOT:     onnx.
func.func @scaled(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<?x4xf32> {
  %two = onnx.Constant {value = dense<2.0> : tensor<f32>} : tensor<f32>
  %0 = onnx.Mul(%x, %two) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// A reshape is a view, a shape is a host tensor: no kernel computes either.
// CHECK-LABEL: func @shape
// CHECK-NOT:     kernel.launch
// CHECK:         kernel.view %arg0
// CHECK:         kernel.host_tensor
func.func @shape(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> (tensor<*xf32>, tensor<2xi64>) {
  %s = onnx.Constant {value = dense<[2, -1]> : tensor<2xi64>} : tensor<2xi64>
  %0 = onnx.Reshape(%x, %s) {allowzero = 0 : i64} : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<*xf32>
  %1 = onnx.Shape(%x) {start = 0 : i64} : (tensor<?x4xf32>) -> tensor<2xi64>
  return %0, %1 : tensor<*xf32>, tensor<2xi64>
}

// -----

// What has no lowering is refused by name.
func.func @refused(%x: tensor<4xf32> {onnx.name = "x"}) -> tensor<4xf32> {
  // expected-error @below {{expected an operator that Tenon compiles}}
  %0 = onnx.Bernoulli(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Axes that are constants are the reduction's loops; a negative one counts from the end.
// CHECK-LABEL: func @reduced_over_constant_axes
// CHECK:           linalg.generic {{.*}}iterator_types = ["parallel", "reduction", "reduction"]
func.func @reduced_over_constant_axes(%x: tensor<4x3x8xf32> {onnx.name = "x"}) -> tensor<*xf32> {
  %axes = onnx.Constant {value = dense<[-1, 1]> : tensor<2xi64>} : tensor<2xi64>
  %0 = onnx.ReduceSum(%x, %axes) {keepdims = 0 : i64, noop_with_empty_axes = 0 : i64} : (tensor<4x3x8xf32>, tensor<2xi64>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}
