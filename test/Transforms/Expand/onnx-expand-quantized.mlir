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

// -----

// A convolution of integers is one of floats that have their values; the bias too.
// CHECK-LABEL: func @convolution
// CHECK:         %[[X:.*]] = onnx.DequantizeLinear(%arg0, %{{.*}}, %arg1)
// CHECK:         %[[W:.*]] = onnx.DequantizeLinear(%arg2, %{{.*}}, %arg3) {axis = 0
// CHECK:         %[[B:.*]] = onnx.Cast(%arg4)
// CHECK:         onnx.Conv(%[[X]], %[[W]], %[[B]])
// CHECK-SAME:      strides = array<i64: 2, 2>
// CHECK:         onnx.QuantizeLinear
func.func @convolution(%x: tensor<1x3x8x8xui8>, %xz: tensor<ui8>, %w: tensor<4x3x2x2xi8>, %wz: tensor<4xi8>, %b: tensor<4xi32>, %s: tensor<f32>, %t: tensor<4xf32>) -> tensor<1x4x4x4xui8> {
  %0 = onnx.QLinearConv(%x, %s, %xz, %w, %t, %wz, %s, %xz, %b) {strides = array<i64: 2, 2>} : (tensor<1x3x8x8xui8>, tensor<f32>, tensor<ui8>, tensor<4x3x2x2xi8>, tensor<4xf32>, tensor<4xi8>, tensor<f32>, tensor<ui8>, tensor<4xi32>) -> tensor<1x4x4x4xui8>
  return %0 : tensor<1x4x4x4xui8>
}

// -----

// So are sums that become f32; sums that stay integers are exact.
// CHECK-LABEL: func @integer_convolutions
// CHECK:         %[[SUMS:.*]] = onnx.ConvInteger(
// CHECK:         %[[REAL:.*]] = onnx.Conv(
// CHECK-NOT:     onnx.ConvInteger
// CHECK:         return %[[SUMS]], %[[REAL]]
func.func @integer_convolutions(%x: tensor<1x3x8x8xui8>, %w: tensor<4x3x2x2xui8>) -> (tensor<1x4x7x7xi32>, tensor<1x4x7x7xf32>) {
  %0 = onnx.ConvInteger(%x, %w) : (tensor<1x3x8x8xui8>, tensor<4x3x2x2xui8>) -> tensor<1x4x7x7xi32>
  %1 = onnx.ConvInteger(%x, %w) : (tensor<1x3x8x8xui8>, tensor<4x3x2x2xui8>) -> tensor<1x4x7x7xi32>
  %2 = onnx.Cast(%1) {to = 1 : i64} : (tensor<1x4x7x7xi32>) -> tensor<1x4x7x7xf32>
  return %0, %2 : tensor<1x4x7x7xi32>, tensor<1x4x7x7xf32>
}

// -----

// Zero points of which it is not known how many there are leave the convolution as it is.
// CHECK-LABEL: func @unknown_zero_points
// CHECK:         onnx.ConvInteger(
func.func @unknown_zero_points(%x: tensor<1x3x8x8xui8>, %w: tensor<4x3x2x2xui8>, %z: tensor<ui8>, %v: tensor<?xui8>) -> tensor<1x4x7x7xf32> {
  %0 = onnx.ConvInteger(%x, %w, %z, %v) : (tensor<1x3x8x8xui8>, tensor<4x3x2x2xui8>, tensor<ui8>, tensor<?xui8>) -> tensor<1x4x7x7xi32>
  %1 = onnx.Cast(%0) {to = 1 : i64} : (tensor<1x4x7x7xi32>) -> tensor<1x4x7x7xf32>
  return %1 : tensor<1x4x7x7xf32>
}

// -----

// Its sums stay integers then.
// CHECK-LABEL: func @unknown_zero_points_quantized
// CHECK:         onnx.ConvInteger(
// CHECK:         onnx.QuantizeLinear
// CHECK-NOT:     onnx.QLinearConv
func.func @unknown_zero_points_quantized(%x: tensor<1x3x8x8xui8>, %w: tensor<4x3x2x2xui8>, %s: tensor<f32>, %z: tensor<ui8>, %t: tensor<?xf32>, %v: tensor<?xui8>) -> tensor<1x4x7x7xui8> {
  %0 = onnx.QLinearConv(%x, %s, %z, %w, %t, %v, %s, %z) : (tensor<1x3x8x8xui8>, tensor<f32>, tensor<ui8>, tensor<4x3x2x2xui8>, tensor<?xf32>, tensor<?xui8>, tensor<f32>, tensor<ui8>) -> tensor<1x4x7x7xui8>
  return %0 : tensor<1x4x7x7xui8>
}
