// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-expand-quantized))' | FileCheck %s

// A quantized activation is dequantized, computed, quantized.
// CHECK-LABEL: func @sigmoid
// CHECK:         %[[REAL:.*]] = onnx.DequantizeLinear(%arg0
// CHECK:         %[[CURVE:.*]] = onnx.Sigmoid(%[[REAL]])
// CHECK:         onnx.QuantizeLinear(%[[CURVE]]
func.func @sigmoid(%x: tensor<2x3xui8>, %s: tensor<f32>, %z: tensor<ui8>) -> tensor<2x3xui8> {
  %0 = "onnx.ms.QLinearSigmoid"(%x, %s, %z, %s, %z) {operandSegmentSizes = array<i32: 1, 1, 1, 1, 1>} : (tensor<2x3xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<2x3xui8>
  return %0 : tensor<2x3xui8>
}

// -----

// The scales of a product are one number before they meet its sums; constants are folded.
// CHECK-LABEL: func @product
// CHECK:         %[[SUMS:.*]] = onnx.MatMulInteger(%arg0, %arg1
// CHECK:         %[[RATIO:.*]] = onnx.Constant {value = dense<1.000000e+00>
// CHECK:         %[[REAL:.*]] = onnx.Cast(%[[SUMS]])
// CHECK:         onnx.Mul(%[[REAL]], %[[RATIO]])
// CHECK:         onnx.QuantizeLinear
func.func @product(%a: tensor<2x3xui8>, %b: tensor<3x4xui8>, %z: tensor<ui8>) -> tensor<2x4xui8> {
  %s = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %t = onnx.Constant {value = dense<0.25> : tensor<f32>} : tensor<f32>
  %0 = onnx.QLinearMatMul(%a, %s, %z, %b, %s, %z, %t, %z) : (tensor<2x3xui8>, tensor<f32>, tensor<ui8>, tensor<3x4xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<2x4xui8>
  return %0 : tensor<2x4xui8>
}

// -----

// A scale that may be one for all or one for each row is applied before the product.
// CHECK-LABEL: func @either_scale
// CHECK-NOT:     onnx.MatMulInteger
// CHECK:         onnx.DequantizeLinear(%arg0, %arg1
// CHECK:         onnx.MatMul(
func.func @either_scale(%a: tensor<2x3xui8>, %s: tensor<?xf32>, %z: tensor<ui8>, %b: tensor<3x4xui8>, %t: tensor<f32>) -> tensor<2x4xui8> {
  %0 = onnx.QLinearMatMul(%a, %s, %z, %b, %t, %z, %t, %z) : (tensor<2x3xui8>, tensor<?xf32>, tensor<ui8>, tensor<3x4xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<2x4xui8>
  return %0 : tensor<2x4xui8>
}

// -----

// A zero point below zero keeps its sign.
// CHECK-LABEL: func @negative_zero_point
// CHECK:         %[[ZERO:.*]] = onnx.Constant {value = dense<-9.300000e+01>
// CHECK:         onnx.Sub(%[[ZERO]]
func.func @negative_zero_point(%a: tensor<4xi8>, %b: tensor<4xi8>, %s: tensor<f32>) -> tensor<4xi8> {
  %z = onnx.Constant {value = dense<-93> : tensor<i8>} : tensor<i8>
  %0 = onnx.ms.QLinearAdd(%a, %s, %z, %b, %s, %z, %s, %z) : (tensor<4xi8>, tensor<f32>, tensor<i8>, tensor<4xi8>, tensor<f32>, tensor<i8>, tensor<f32>, tensor<i8>) -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// -----

// What has its channels last is left, to be refused by name.
// CHECK-LABEL: func @channels_last
// CHECK:         onnx.ms.QLinearGlobalAveragePool
func.func @channels_last(%x: tensor<1x4x4x3xui8>, %s: tensor<f32>, %z: tensor<ui8>) -> tensor<1x1x1x3xui8> {
  %0 = onnx.ms.QLinearGlobalAveragePool(%x, %s, %z, %s, %z) {channels_last = 1 : i64} : (tensor<1x4x4x3xui8>, tensor<f32>, tensor<ui8>, tensor<f32>, tensor<ui8>) -> tensor<1x1x1x3xui8>
  return %0 : tensor<1x1x1x3xui8>
}
