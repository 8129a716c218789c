// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// An unsigned operand has its zero point taken off before the product, in i16;
// a signed one without a zero point is multiplied as it is.
// CHECK-LABEL: func @product
// CHECK:         kernel.launch(%arg0
// CHECK:           arith.subi {{.*}} : i16
// CHECK:         kernel.launch
// CHECK:           iterator_types = ["parallel", "parallel", "reduction"]
// CHECK:             arith.extsi {{.*}} : i16 to i32
// CHECK:             arith.extsi {{.*}} : i8 to i32
func.func @product(%a: tensor<?x8xui8> {onnx.dims = ["m", ""], onnx.name = "a"}, %b: tensor<8x4xi8> {onnx.name = "b"}, %z: tensor<ui8> {onnx.name = "z"}) -> tensor<?x4xi32> {
  %0 = "onnx.MatMulInteger"(%a, %b, %z) {operandSegmentSizes = array<i32: 1, 1, 1, 0>} : (tensor<?x8xui8>, tensor<8x4xi8>, tensor<ui8>) -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// -----

// Each block of an axis reads its own scale.
// CHECK-LABEL: func @blocked
// CHECK:           arith.divsi
// CHECK:           tensor.extract
func.func @blocked(%x: tensor<2x8xf32> {onnx.name = "x"}, %s: tensor<2x4xf32> {onnx.name = "s"}) -> tensor<2x8xi8> {
  %0 = onnx.QuantizeLinear(%x, %s) {axis = 1 : i64, block_size = 2 : i64, output_dtype = 3 : i64} : (tensor<2x8xf32>, tensor<2x4xf32>) -> tensor<2x8xi8>
  return %0 : tensor<2x8xi8>
}

// -----

// Floats of eight bits are refused.
func.func @small_floats(%x: tensor<4xf8E4M3FN> {onnx.name = "x"}, %s: tensor<f32> {onnx.name = "s"}) -> tensor<4xf32> {
  // expected-error @below {{expected integers of at least 8 bits in 'x', but got 'f8E4M3FN'}}
  %0 = onnx.DequantizeLinear(%x, %s) : (tensor<4xf8E4M3FN>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
