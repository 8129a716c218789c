// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-expand-fused))' | FileCheck %s

// The operand that is read turned is turned, its batches stay; the factor meets the sums.
// CHECK-LABEL: func @product
// CHECK:         %[[TURNED:.*]] = onnx.Transpose(%arg1) {perm = array<i64: 0, 2, 1>}
// CHECK:         %[[SUMS:.*]] = onnx.MatMul(%arg0, %[[TURNED]])
// CHECK:         onnx.Mul(%[[SUMS]], %{{.*}})
// CHECK-NOT:     FusedMatMul
func.func @product(%a: tensor<2x3x4xf32>, %b: tensor<2x5x4xf32>) -> tensor<2x3x5xf32> {
  %0 = onnx.ms.FusedMatMul(%a, %b) {alpha = 0.5 : f32, transB = 1 : i64} : (tensor<2x3x4xf32>, tensor<2x5x4xf32>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

// -----

// Turned batches are left, to be refused by name.
// CHECK-LABEL: func @turned_batches
// CHECK:         onnx.ms.FusedMatMul
func.func @turned_batches(%a: tensor<3x2x4xf32>, %b: tensor<2x4x5xf32>) -> tensor<2x3x5xf32> {
  %0 = onnx.ms.FusedMatMul(%a, %b) {transBatchA = 1 : i64} : (tensor<3x2x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

// -----

// A convolution keeps its attributes; Z is added before the activation.
// CHECK-LABEL: func @convolution
// CHECK:         %[[SUMS:.*]] = onnx.Conv(%arg0, %arg1, %arg2) {{.*}}strides = array<i64: 2, 2>
// CHECK:         %[[ALL:.*]] = onnx.Add(%[[SUMS]], %arg3)
// CHECK:         onnx.LeakyRelu(%[[ALL]]) {alpha = 2.500000e-01 : f32}
func.func @convolution(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x2x2xf32>, %b: tensor<4xf32>, %z: tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32> {
  %0 = "onnx.ms.FusedConv"(%x, %w, %b, %z) {activation = "LeakyRelu", activation_params = array<f32: 0.25>, strides = array<i64: 2, 2>, operandSegmentSizes = array<i32: 1, 1, 1, 1>} : (tensor<1x3x8x8xf32>, tensor<4x3x2x2xf32>, tensor<4xf32>, tensor<1x4x4x4xf32>) -> tensor<1x4x4x4xf32>
  return %0 : tensor<1x4x4x4xf32>
}

// -----

// An activation that is not known is left, and so is one without its numbers.
// CHECK-LABEL: func @unknown_activation
// CHECK-COUNT-2: onnx.ms.FusedConv
func.func @unknown_activation(%x: tensor<1x3x8x8xf32>, %w: tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32> {
  %0 = "onnx.ms.FusedConv"(%x, %w) {activation = "Swoosh", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %1 = "onnx.ms.FusedConv"(%x, %w) {activation = "Clip", operandSegmentSizes = array<i32: 1, 1, 0, 0>} : (tensor<1x3x8x8xf32>, tensor<4x3x1x1xf32>) -> tensor<1x4x8x8xf32>
  %2 = onnx.Add(%0, %1) : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  return %2 : tensor<1x4x8x8xf32>
}

// -----

// CHECK-LABEL: func @gemm
// CHECK:         %[[SUMS:.*]] = onnx.Gemm(%arg0, %arg1, %arg2) {{.*}}transB = 1 : i64
// CHECK:         onnx.Relu(%[[SUMS]])
func.func @gemm(%a: tensor<2x3xf32>, %b: tensor<4x3xf32>, %c: tensor<4xf32>) -> tensor<2x4xf32> {
  %0 = "onnx.ms.FusedGemm"(%a, %b, %c) {activation = "Relu", transB = 1 : i64} : (tensor<2x3xf32>, tensor<4x3xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// Each Gelu in its form; what has no known rank is left for now.
// CHECK-LABEL: func @gelus
// CHECK:         %[[SUM:.*]] = onnx.Add(%arg0, %arg1)
// CHECK:         onnx.Gelu(%[[SUM]]) {approximate = "none"}
// CHECK:         onnx.Gelu(%{{.*}}) {approximate = "tanh"}
// CHECK:         onnx.Sigmoid
// CHECK:         onnx.ms.Gelu(%arg2)
func.func @gelus(%x: tensor<2x4xf32>, %b: tensor<4xf32>, %u: tensor<*xf32>) -> (tensor<2x4xf32>, tensor<*xf32>) {
  %0 = onnx.ms.BiasGelu(%x, %b) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %1 = onnx.ms.FastGelu(%0, %b) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %2 = onnx.ms.QuickGelu(%1) {alpha = 1.5 : f32} : (tensor<2x4xf32>) -> tensor<2x4xf32>
  %3 = onnx.ms.Gelu(%u) : (tensor<*xf32>) -> tensor<*xf32>
  return %2, %3 : tensor<2x4xf32>, tensor<*xf32>
}
