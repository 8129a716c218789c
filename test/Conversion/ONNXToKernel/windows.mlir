// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// A global pool is one reduction of all spatial axes; no padded copy is made.
// CHECK-LABEL: func @global_average
// CHECK-COUNT-1: kernel.launch
// CHECK:           iterator_types = ["parallel", "parallel", "reduction", "reduction"]
// CHECK-NOT:     kernel.launch
// CHECK:         kernel.view {{.*}} tensor<2x3x1x1xf32>
func.func @global_average(%x: tensor<2x3x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}) -> tensor<2x3x1x1xf32> {
  %0 = onnx.GlobalAveragePool(%x) : (tensor<2x3x?x?xf32>) -> tensor<2x3x1x1xf32>
  return %0 : tensor<2x3x1x1xf32>
}

// -----

// Indices of the largest elements are searched by a launch of their own.
// CHECK-LABEL: func @indices
// CHECK:         kernel.launch
// CHECK:         kernel.launch(%arg0)
// CHECK:           scf.for
// CHECK:             tensor.extract
func.func @indices(%x: tensor<1x1x4x4xf32> {onnx.name = "x"}) -> (tensor<1x1x2x2xf32>, tensor<1x1x2x2xi64>) {
  %0, %1 = onnx.MaxPool(%x) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x1x4x4xf32>) -> (tensor<1x1x2x2xf32>, tensor<1x1x2x2xi64>)
  return %0, %1 : tensor<1x1x2x2xf32>, tensor<1x1x2x2xi64>
}

// -----

// A transposed convolution is a contraction over channels, then a gather of what
// overlaps.
// CHECK-LABEL: func @transposed
// CHECK:         kernel.launch
// CHECK:           iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
// CHECK:         kernel.launch
// CHECK:           scf.for
func.func @transposed(%x: tensor<1x4x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<4x2x3x3xf32> {onnx.name = "w"}) -> tensor<1x2x?x?xf32> {
  %0 = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x4x?x?xf32>, tensor<4x2x3x3xf32>) -> tensor<1x2x?x?xf32>
  return %0 : tensor<1x2x?x?xf32>
}

// -----

// Where windows are as wide as their stride, nothing overlaps and elements only move.
// CHECK-LABEL: func @side_by_side
// CHECK:         kernel.launch
// CHECK:           iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
// CHECK:         kernel.launch
// CHECK-NOT:       scf.for
// CHECK:           iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel", "parallel"]
func.func @side_by_side(%x: tensor<1x4x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<4x2x2x2xf32> {onnx.name = "w"}) -> tensor<1x2x?x?xf32> {
  %0 = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>} : (tensor<1x4x?x?xf32>, tensor<4x2x2x2xf32>) -> tensor<1x2x?x?xf32>
  return %0 : tensor<1x2x?x?xf32>
}

// -----

// Padding takes elements away, or leaves some that no window reaches.
// CHECK-LABEL: func @side_by_side_padded
// CHECK:         kernel.launch
// CHECK:         kernel.launch
// CHECK:           scf.for
func.func @side_by_side_padded(%x: tensor<1x4x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<4x2x2x2xf32> {onnx.name = "w"}) -> tensor<1x2x?x?xf32> {
  %0 = onnx.ConvTranspose(%x, %w) {strides = array<i64: 2, 2>, output_padding = array<i64: 1, 0>} : (tensor<1x4x?x?xf32>, tensor<4x2x2x2xf32>) -> tensor<1x2x?x?xf32>
  return %0 : tensor<1x2x?x?xf32>
}
