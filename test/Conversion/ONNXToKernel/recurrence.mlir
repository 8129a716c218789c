// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// The inputs of all steps are multiplied by one launch, which has no loop; one
// launch goes through time. A forward direction's outputs are in place already.
// CHECK-LABEL: func @forward
// CHECK:         kernel.launch
// CHECK-NOT:       scf.for
// CHECK:           iterator_types = ["parallel", "parallel", "reduction"]
// CHECK:         kernel.launch
// CHECK:           scf.for
// CHECK:             iterator_types = ["parallel", "parallel", "reduction", "parallel"]
// CHECK:             tensor.insert_slice
// CHECK-NOT:     kernel.launch
func.func @forward(%x: tensor<?x2x3xf32> {onnx.dims = ["t", "", ""], onnx.name = "x"}, %w: tensor<1x16x3xf32> {onnx.name = "w"}, %r: tensor<1x16x4xf32> {onnx.name = "r"}) -> tensor<?x1x2x4xf32> {
  %0 = "onnx.LSTM"(%x, %w, %r) {hidden_size = 4 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0, 0>} : (tensor<?x2x3xf32>, tensor<1x16x3xf32>, tensor<1x16x4xf32>) -> tensor<?x1x2x4xf32>
  return %0 : tensor<?x1x2x4xf32>
}

// -----

// An activation that the operator's text does not name is refused.
func.func @unknown_activation(%x: tensor<5x2x3xf32> {onnx.name = "x"}, %w: tensor<1x4x3xf32> {onnx.name = "w"}, %r: tensor<1x4x4xf32> {onnx.name = "r"}) -> tensor<5x1x2x4xf32> {
  // expected-error @below {{expected an activation that the operator's text names, but got 'Gelu'}}
  %0 = "onnx.RNN"(%x, %w, %r) {activations = ["Gelu"], hidden_size = 4 : i64, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0>, resultSegmentSizes = array<i32: 1, 0>} : (tensor<5x2x3xf32>, tensor<1x4x3xf32>, tensor<1x4x4xf32>) -> tensor<5x1x2x4xf32>
  return %0 : tensor<5x1x2x4xf32>
}
