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

// -----

// Packed weights are one product; lengths become a mask of keys, the caches come from one
// tensor and are stacked again.
// CHECK-LABEL: func @packed_attention
// CHECK:         %[[ALL:.*]] = onnx.MatMul(%arg0, %arg1)
// CHECK:         %[[SUM:.*]] = onnx.Add(%[[ALL]], %arg2)
// CHECK:         %[[QKV:.*]]:3 = onnx.Split(%[[SUM]]
// CHECK:         %[[LESS:.*]] = onnx.Less(
// CHECK:         %[[VALID:.*]] = onnx.Cast(%[[LESS]])
// CHECK:         %[[PAST:.*]]:2 = onnx.Split(%arg4
// CHECK:         %[[KEYS:.*]] = onnx.Squeeze(%[[PAST]]#0
// CHECK:         %[[Y:.*]], %[[K:.*]], %[[V:.*]] = onnx.ms.MultiHeadAttention(%[[QKV]]#0, %[[QKV]]#1, %[[QKV]]#2, none, %[[VALID]], none, %[[KEYS]]
// CHECK-SAME:      unidirectional = 1
// CHECK:         onnx.Concat(
func.func @packed_attention(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %b: tensor<24xf32>, %n: tensor<2xi32>, %p: tensor<2x2x2x5x4xf32>) -> (tensor<2x3x8xf32>, tensor<2x2x2x8x4xf32>) {
  %0, %1 = onnx.ms.Attention(%x, %w, %b, %n, %p) {num_heads = 2 : i64, unidirectional = 1 : i64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, tensor<24xf32>, tensor<2xi32>, tensor<2x2x2x5x4xf32>) -> (tensor<2x3x8xf32>, tensor<2x2x2x8x4xf32>)
  return %0, %1 : tensor<2x3x8xf32>, tensor<2x2x2x8x4xf32>
}

// -----

// Lengths, then begins: a key before its sequence's begin is none of it.
// CHECK-LABEL: func @begins
// CHECK:         onnx.Split(%arg2
// CHECK-COUNT-2: onnx.Less(
// CHECK:         onnx.ms.MultiHeadAttention
func.func @begins(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %n: tensor<4xi32>) -> tensor<2x3x8xf32> {
  %0 = onnx.ms.Attention(%x, %w, none, %n) {num_heads = 2 : i64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, tensor<4xi32>) -> tensor<2x3x8xf32>
  return %0 : tensor<2x3x8xf32>
}

// -----

// What rotates, has its cache in a buffer, widths that are not known or a mask of four axes
// is left, to be refused by name.
// CHECK-LABEL: func @other_attention
// CHECK-COUNT-4: onnx.ms.Attention
// CHECK-NOT:     MultiHeadAttention
func.func @other_attention(%x: tensor<2x3x8xf32>, %w: tensor<8x24xf32>, %v: tensor<8x?xf32>, %m: tensor<2x1x3x3xi32>) -> (tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x?xf32>, tensor<2x3x8xf32>) {
  %0 = onnx.ms.Attention(%x, %w) {do_rotary = 1 : i64, num_heads = 2 : i64} : (tensor<2x3x8xf32>, tensor<8x24xf32>) -> tensor<2x3x8xf32>
  %1 = onnx.ms.Attention(%x, %w) {num_heads = 2 : i64, past_present_share_buffer = 1 : i64} : (tensor<2x3x8xf32>, tensor<8x24xf32>) -> tensor<2x3x8xf32>
  %2 = onnx.ms.Attention(%x, %v) {num_heads = 2 : i64} : (tensor<2x3x8xf32>, tensor<8x?xf32>) -> tensor<2x3x?xf32>
  %3 = onnx.ms.Attention(%x, %w, none, %m) {num_heads = 2 : i64} : (tensor<2x3x8xf32>, tensor<8x24xf32>, tensor<2x1x3x3xi32>) -> tensor<2x3x8xf32>
  return %0, %1, %2, %3 : tensor<2x3x8xf32>, tensor<2x3x8xf32>, tensor<2x3x?xf32>, tensor<2x3x8xf32>
}

// -----

// A mask of embeddings is counted.
// CHECK-LABEL: func @embedding
// CHECK:         %[[WORDS:.*]] = onnx.Gather(%arg1, %arg0)
// CHECK:         %[[PLACES:.*]] = onnx.Slice(%arg2
// CHECK:         %[[SUM:.*]] = onnx.Add(%[[WORDS]], %[[PLACES]])
// CHECK:         onnx.LayerNormalization(%[[SUM]], %arg3, %arg3)
// CHECK:         onnx.ReduceSum(
func.func @embedding(%ids: tensor<2x3xi32>, %words: tensor<9x8xf32>, %places: tensor<5x8xf32>, %g: tensor<8xf32>, %m: tensor<2x3xi32>) -> (tensor<2x3x8xf32>, tensor<2xi32>) {
  %0, %1 = onnx.ms.EmbedLayerNormalization(%ids, none, %words, %places, none, %g, %g, %m) : (tensor<2x3xi32>, tensor<9x8xf32>, tensor<5x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<2x3xi32>) -> (tensor<2x3x8xf32>, tensor<2xi32>)
  return %0, %1 : tensor<2x3x8xf32>, tensor<2xi32>
}

// -----

// Weights of an LSTM are what their integers stand for, turned; a scale may be one of a
// direction or one of a gate's unit.
// CHECK-LABEL: func @lstm
// CHECK:         %[[W:.*]] = onnx.DequantizeLinear(%arg1, %arg3, %arg4) {axis = 0
// CHECK:         %[[TURNED:.*]] = onnx.Transpose(%[[W]])
// CHECK:         %[[STEPS:.*]] = onnx.Sub(
// CHECK:         %[[R:.*]] = onnx.Mul(%[[STEPS]]
// CHECK:         %[[RECURRENT:.*]] = onnx.Transpose(%[[R]])
// CHECK:         onnx.LSTM(%arg0, %[[TURNED]], %[[RECURRENT]])
func.func @lstm(%x: tensor<4x1x3xf32>, %w: tensor<1x3x8xi8>, %r: tensor<1x2x8xi8>, %s: tensor<1xf32>, %z: tensor<1xi8>, %t: tensor<1x8xf32>, %u: tensor<1x8xi8>) -> tensor<4x1x1x2xf32> {
  %0 = onnx.ms.DynamicQuantizeLSTM(%x, %w, %r, none, none, none, none, none, %s, %z, %t, %u) {hidden_size = 2 : i64} : (tensor<4x1x3xf32>, tensor<1x3x8xi8>, tensor<1x2x8xi8>, tensor<1xf32>, tensor<1xi8>, tensor<1x8xf32>, tensor<1x8xi8>) -> tensor<4x1x1x2xf32>
  return %0 : tensor<4x1x1x2xf32>
}
