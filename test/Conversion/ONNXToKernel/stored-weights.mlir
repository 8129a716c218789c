// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel),canonicalize,cse)' | FileCheck %s

// Columns become lines: integers and scales are turned when the artifact is
// written. No float is stored.
// CHECK-LABEL: func @blocks
// CHECK-DAG:     %[[Q:.*]] = kernel.weight "{{.*}}" dense<3> : tensor<64x8xi4> encoding "lines:0:64" : tensor<8x32xi8>
// CHECK-DAG:     %[[S:.*]] = kernel.weight "{{.*}}" dense<{{.*}}> : tensor<2x8xf32> encoding "lines:0:2" : tensor<8x2xf32>
// CHECK:         kernel.launch(%arg0, %[[Q]], %[[S]])
// CHECK:         kernel.block_product ins(%{{.*}}, %{{.*}}, %{{.*}}) outs(%{{.*}}) bits 4 block 32 signed
// CHECK-NOT:     kernel.launch
func.func @blocks(%x: tensor<3x64xf32>) -> tensor<3x8xf32> {
  %q = onnx.Constant {value = dense<3> : tensor<64x8xi4>} : tensor<64x8xi4>
  %s = onnx.Constant {value = dense<0.5> : tensor<2x8xf32>} : tensor<2x8xf32>
  %w = onnx.DequantizeLinear(%q, %s) {axis = 0 : i64, block_size = 32 : i64} : (tensor<64x8xi4>, tensor<2x8xf32>) -> tensor<64x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x64xf32>, tensor<64x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// What lies in lines already is read as it lies, by products and by Gather.
// CHECK-LABEL: func @tied
// CHECK-DAG:     %[[Q:.*]] = kernel.weight "{{.*}}" dense<3> : tensor<8x64xi4> : tensor<8x32xi8>
// CHECK-DAG:     %[[S:.*]] = kernel.weight "{{.*}}" dense<{{.*}}> : tensor<8x2xf32> : tensor<8x2xf32>
// CHECK:         kernel.launch(%arg0, %[[Q]], %[[S]])
// CHECK:         kernel.launch(%{{.*}}, %[[Q]], %[[S]])
// CHECK:         kernel.block_product {{.*}} bits 4 block 32 signed
// CHECK-NOT:     kernel.launch
func.func @tied(%ids: tensor<3xi64>) -> tensor<3x8xf32> {
  %q = onnx.Constant {value = dense<3> : tensor<8x64xi4>} : tensor<8x64xi4>
  %s = onnx.Constant {value = dense<0.5> : tensor<8x2xf32>} : tensor<8x2xf32>
  %w = onnx.DequantizeLinear(%q, %s) {axis = 1 : i64, block_size = 32 : i64} : (tensor<8x64xi4>, tensor<8x2xf32>) -> tensor<8x64xf32>
  %x = onnx.Gather(%w, %ids) : (tensor<8x64xf32>, tensor<3xi64>) -> tensor<3x64xf32>
  %t = onnx.Transpose(%w) {perm = array<i64: 1, 0>} : (tensor<8x64xf32>) -> tensor<64x8xf32>
  %y = onnx.MatMul(%x, %t) : (tensor<3x64xf32>, tensor<64x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// A column with one scale is one block, filled up to whole vectors of bytes; zero
// points that differ from the middle come along.
// CHECK-LABEL: func @columns
// CHECK-DAG:     kernel.weight "{{.*}}" dense<3> : tensor<50x8xi8> encoding "lines:0:64" : tensor<8x64xi8>
// CHECK-DAG:     kernel.weight "{{.*}}" dense<5> : tensor<8xi8>
// CHECK:         kernel.block_product {{.*}} zeros(%{{.*}}) {{.*}} bits 8 block 64 : {{.*}}tensor<8x1xf32>, tensor<8x1xi8>
func.func @columns(%x: tensor<3x50xf32>) -> tensor<3x8xf32> {
  %q = onnx.Constant {value = dense<3> : tensor<50x8xui8>} : tensor<50x8xui8>
  %s = onnx.Constant {value = dense<0.5> : tensor<8xf32>} : tensor<8xf32>
  %z = onnx.Constant {value = dense<5> : tensor<8xui8>} : tensor<8xui8>
  %w = onnx.DequantizeLinear(%q, %s, %z) {axis = 1 : i64} : (tensor<50x8xui8>, tensor<8xf32>, tensor<8xui8>) -> tensor<50x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x50xf32>, tensor<50x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// A zero point in the middle of the range is no operand.
// CHECK-LABEL: func @middle
// CHECK-NOT:     zeros(
// CHECK:         kernel.block_product
func.func @middle(%x: tensor<3x64xf32>) -> tensor<3x8xf32> {
  %q = onnx.Constant {value = dense<3> : tensor<64x8xui4>} : tensor<64x8xui4>
  %s = onnx.Constant {value = dense<0.5> : tensor<2x8xf32>} : tensor<2x8xf32>
  %z = onnx.Constant {value = dense<8> : tensor<2x8xui4>} : tensor<2x8xui4>
  %w = onnx.DequantizeLinear(%q, %s, %z) {axis = 0 : i64, block_size = 32 : i64} : (tensor<64x8xui4>, tensor<2x8xf32>, tensor<2x8xui4>) -> tensor<64x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x64xf32>, tensor<64x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// Unsigned integers without zero points have 0 as zero, one for all columns.
// CHECK-LABEL: func @unsigned_without_zeros
// CHECK:         kernel.block_product {{.*}} zeros(%{{.*}}) {{.*}} bits 4 block 32 : {{.*}}tensor<1x1xi8>
func.func @unsigned_without_zeros(%x: tensor<3x64xf32>) -> tensor<3x8xf32> {
  %q = onnx.Constant {value = dense<3> : tensor<64x8xui4>} : tensor<64x8xui4>
  %s = onnx.Constant {value = dense<0.5> : tensor<2x8xf32>} : tensor<2x8xf32>
  %w = onnx.DequantizeLinear(%q, %s) {axis = 0 : i64, block_size = 32 : i64} : (tensor<64x8xui4>, tensor<2x8xf32>) -> tensor<64x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x64xf32>, tensor<64x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// Blocks of 8 fill no vector, and blocks across the summed axis are no lines: the
// weight is decoded.
// CHECK-LABEL: func @short_blocks
// CHECK-NOT:     kernel.block_product
// CHECK:         return
func.func @short_blocks(%x: tensor<3x16xf32>) -> (tensor<3x8xf32>, tensor<3x16xf32>) {
  %q = onnx.Constant {value = dense<3> : tensor<16x8xi4>} : tensor<16x8xi4>
  %s = onnx.Constant {value = dense<0.5> : tensor<2x8xf32>} : tensor<2x8xf32>
  %w = onnx.DequantizeLinear(%q, %s) {axis = 0 : i64, block_size = 8 : i64} : (tensor<16x8xi4>, tensor<2x8xf32>) -> tensor<16x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x16xf32>, tensor<16x8xf32>) -> tensor<3x8xf32>
  %r = onnx.Constant {value = dense<3> : tensor<16x16xi4>} : tensor<16x16xi4>
  %t = onnx.Constant {value = dense<0.5> : tensor<16x1xf32>} : tensor<16x1xf32>
  %v = onnx.DequantizeLinear(%r, %t) {axis = 1 : i64, block_size = 16 : i64} : (tensor<16x16xi4>, tensor<16x1xf32>) -> tensor<16x16xf32>
  %z = onnx.MatMul(%x, %v) : (tensor<3x16xf32>, tensor<16x16xf32>) -> tensor<3x16xf32>
  return %y, %z : tensor<3x8xf32>, tensor<3x16xf32>
}

// -----

// Integers that a run makes are not packed weights.
func.func @computed(%q: tensor<64x8xi4>, %s: tensor<2x8xf32>) -> tensor<64x8xf32> {
  // expected-error @below {{expected integers of at least 8 bits in 'x', or a constant with scales for all of it, for its first axis, or for rows or blocks of a matrix, but got 'tensor<64x8xi4>'}}
  %w = onnx.DequantizeLinear(%q, %s) {axis = 0 : i64, block_size = 32 : i64} : (tensor<64x8xi4>, tensor<2x8xf32>) -> tensor<64x8xf32>
  return %w : tensor<64x8xf32>
}
