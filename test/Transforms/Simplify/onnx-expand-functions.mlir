// RUN: tenon-opt %s -onnx-expand-functions | FileCheck %s

// An operator without a lowering becomes the body that its schema has.
// CHECK-LABEL: func @expanded
// CHECK-NOT:     onnx.MeanVarianceNormalization
// CHECK:         onnx.ReduceMean
// CHECK:         %[[RESULT:.+]] = onnx.Div
// CHECK:         return %[[RESULT]] : tensor<2x3x4x5xf32>
func.func @expanded(%x: tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32> {
  %0 = onnx.MeanVarianceNormalization(%x) : (tensor<2x3x4x5xf32>) -> tensor<2x3x4x5xf32>
  return %0 : tensor<2x3x4x5xf32>
}

// A body's own operators are expanded too.
// CHECK-LABEL: func @nested
// CHECK-NOT:     onnx.SoftmaxCrossEntropyLoss
// CHECK-NOT:     onnx.NegativeLogLikelihoodLoss
// CHECK:         return
func.func @nested(%x: tensor<3x5xf32>, %labels: tensor<3xi64>) -> tensor<f32> {
  %0 = onnx.SoftmaxCrossEntropyLoss(%x, %labels) : (tensor<3x5xf32>, tensor<3xi64>) -> tensor<f32>
  return %0 : tensor<f32>
}

// One with a lowering stays, though its schema has a body.
// CHECK-LABEL: func @lowered
// CHECK:         onnx.Softmax
func.func @lowered(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = onnx.Softmax(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// One without either stays; the conversion refuses it.
// CHECK-LABEL: func @neither
// CHECK:         onnx.RandomNormal
func.func @neither() -> tensor<2xf32> {
  %0 = onnx.RandomNormal() {shape = array<i64: 2>} : () -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
