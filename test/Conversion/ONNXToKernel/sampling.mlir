// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// A sample reads as many pixels as its mode has taps on each of two axes.
// CHECK-LABEL: func @linear_samples
// CHECK-COUNT-1: kernel.launch
// CHECK:           linalg.generic
// CHECK-COUNT-6:     tensor.extract
// CHECK-NOT:         tensor.extract
// CHECK-NOT:     kernel.launch
func.func @linear_samples(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}, %g: tensor<1x?x6x2xf32> {onnx.dims = ["", "h", "", ""], onnx.name = "g"}) -> tensor<1x1x?x6xf32> {
  %0 = onnx.GridSample(%x, %g) {mode = "linear"} : (tensor<1x1x4x4xf32>, tensor<1x?x6x2xf32>) -> tensor<1x1x?x6xf32>
  return %0 : tensor<1x1x?x6xf32>
}

// -----

// A convolution with offsets samples into columns, then multiplies them.
// CHECK-LABEL: func @offsets
// CHECK:         kernel.launch
// CHECK:           tensor.extract
// CHECK:         kernel.launch
// CHECK:           iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
func.func @offsets(%x: tensor<1x2x3x3xf32> {onnx.name = "x"}, %w: tensor<1x2x2x2xf32> {onnx.name = "w"}, %o: tensor<1x8x2x2xf32> {onnx.name = "o"}) -> tensor<1x1x2x2xf32> {
  %0 = "onnx.DeformConv"(%x, %w, %o) {operandSegmentSizes = array<i32: 1, 1, 1, 0, 0>} : (tensor<1x2x3x3xf32>, tensor<1x2x2x2xf32>, tensor<1x8x2x2xf32>) -> tensor<1x1x2x2xf32>
  return %0 : tensor<1x1x2x2xf32>
}

// -----

// A signal has one part or two.
func.func @three_parts(%x: tensor<1x8x3xf32> {onnx.name = "x"}) -> tensor<1x8x2xf32> {
  // expected-error @below {{expected a last axis of size 1 or 2, but got 'tensor<1x8x3xf32>'}}
  %0 = "onnx.DFT"(%x) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x8x3xf32>) -> tensor<1x8x2xf32>
  return %0 : tensor<1x8x2xf32>
}
