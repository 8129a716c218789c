// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,onnx-fold-appends,onnx-simplify))' | FileCheck %s

// A rotation of packed columns that only the cache reads.
// CHECK-LABEL: func @packed
// CHECK-NOT:     onnx.RotaryEmbedding
// CHECK-NOT:     onnx.Split
// CHECK:         onnx.tenon.CacheAppend(%arg0, %arg1, none, %arg2, %arg3, %arg4)
// CHECK-SAME:      first_column = 16 : i64
// CHECK-SAME:      head_size = 8 : i64
// CHECK-SAME:      num_heads = 1 : i64
func.func @packed(%past: tensor<1x1x5x8xf32>, %x: tensor<1x2x32xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>, %p: tensor<1x2xi64>) -> tensor<1x1x7x8xf32> {
  %sizes = onnx.Constant {value = dense<[16, 8, 8]> : tensor<3xi64>} : tensor<3xi64>
  %0:3 = onnx.Split(%x, %sizes) {axis = 2 : i64} : (tensor<1x2x32xf32>, tensor<3xi64>) -> (tensor<1x2x16xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>)
  %1 = onnx.RotaryEmbedding(%0#1, %cos, %sin, %p) {num_heads = 1 : i64} : (tensor<1x2x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<1x2xi64>) -> tensor<1x2x8xf32>
  %2 = onnx.tenon.CacheAppend(%past, %1) {num_heads = 1 : i64} : (tensor<1x1x5x8xf32>, tensor<1x2x8xf32>) -> tensor<1x1x7x8xf32>
  return %2 : tensor<1x1x7x8xf32>
}

// -----

// A rotation that is also read by others is not done twice.
// CHECK-LABEL: func @read_twice
// CHECK:         %[[TURNED:.*]] = onnx.RotaryEmbedding(%arg1
// CHECK:         onnx.tenon.CacheAppend(%arg0, %[[TURNED]])
func.func @read_twice(%past: tensor<1x1x5x8xf32>, %x: tensor<1x2x8xf32>, %cos: tensor<16x4xf32>, %sin: tensor<16x4xf32>, %p: tensor<1x2xi64>) -> (tensor<1x1x7x8xf32>, tensor<1x2x8xf32>) {
  %1 = onnx.RotaryEmbedding(%x, %cos, %sin, %p) {num_heads = 1 : i64} : (tensor<1x2x8xf32>, tensor<16x4xf32>, tensor<16x4xf32>, tensor<1x2xi64>) -> tensor<1x2x8xf32>
  %2 = onnx.tenon.CacheAppend(%past, %1) {num_heads = 1 : i64} : (tensor<1x1x5x8xf32>, tensor<1x2x8xf32>) -> tensor<1x1x7x8xf32>
  return %2, %1 : tensor<1x1x7x8xf32>, tensor<1x2x8xf32>
}
