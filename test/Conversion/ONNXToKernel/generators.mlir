// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// In inference Dropout's data passes and its mask is true.
// CHECK-LABEL: func @dropout_in_inference
// CHECK:         %[[MASK:.*]] = kernel.launch()
// CHECK:           linalg.fill ins(%true
// CHECK:         return %arg0, %[[MASK]]
func.func @dropout_in_inference(%x: tensor<4xf32> {onnx.name = "x"}) -> (tensor<4xf32>, tensor<4xi1>) {
  %0:2 = onnx.Dropout(%x) : (tensor<4xf32>) -> (tensor<4xf32>, tensor<4xi1>)
  return %0#0, %0#1 : tensor<4xf32>, tensor<4xi1>
}

// -----

// In training it is a random generator.
func.func @dropout_in_training(%x: tensor<4xf32> {onnx.name = "x"}) -> tensor<4xf32> {
  %ratio = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %training = onnx.Constant {value = dense<true> : tensor<i1>} : tensor<i1>
  // expected-error @below {{expected inference (a constant training_mode of false, or a constant ratio of 0), but got a random generator}}
  %0 = onnx.Dropout(%x, %ratio, %training) : (tensor<4xf32>, tensor<f32>, tensor<i1>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Kernels calculate in no type under 8 bits and in no 8-bit float.
func.func @small_float(%x: tensor<4xf32> {onnx.name = "x"}) -> tensor<4xf8E4M3FN> {
  // expected-error @below {{expected elements of 8 to 64 bits in a type that kernels calculate in, but got 'tensor<4xf8E4M3FN>'}}
  %0 = onnx.Cast(%x) {to = 17 : i64} : (tensor<4xf32>) -> tensor<4xf8E4M3FN>
  return %0 : tensor<4xf8E4M3FN>
}

// -----

// Bits follow from the place and the seed; those of a normal distribution have 23 for the
// length and 23 for the angle.
// CHECK-LABEL: func @normal
// CHECK:         kernel.launch
// CHECK:           linalg.index 0
// CHECK:           arith.xori
// CHECK-COUNT-2:   arith.andi
// CHECK:           math.sqrt
// CHECK:           math.cos
func.func @normal(%x: tensor<4x3xf32> {onnx.name = "x"}) -> tensor<4x3xf32> {
  %0 = onnx.RandomNormalLike(%x) {mean = 1.0 : f32, scale = 2.0 : f32} : (tensor<4x3xf32>) -> tensor<4x3xf32>
  return %0 : tensor<4x3xf32>
}

// -----

// Rounds of a loop would get the same numbers.
func.func @uniform_in_loop(%count: tensor<i64> {onnx.name = "count"}, %x: tensor<4xf32> {onnx.name = "x"}) -> tensor<4xf32> {
  %0 = onnx.Loop(%count, none, %x) : (tensor<i64>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%i: tensor<i64>, %go: tensor<i1>, %s: tensor<4xf32>):
    // expected-error @below {{expected a random generator outside loops}}
    %1 = onnx.RandomUniformLike(%s) : (tensor<4xf32>) -> tensor<4xf32>
    onnx.Yield %go, %1 : tensor<i1>, tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}
