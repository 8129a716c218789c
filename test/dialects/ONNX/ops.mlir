// RUN: tenon-opt %s | tenon-opt | FileCheck %s
// RUN: tenon-opt %s --mlir-print-op-generic | tenon-opt | FileCheck %s

// An absent operand in the middle is `none`; at the end it is not written.
// CHECK-LABEL: @clip_without_min
func.func @clip_without_min(%x: tensor<?x4xf32>, %max: tensor<f32>) -> tensor<?x4xf32> {
  // CHECK: onnx.Clip(%{{.*}}, none, %{{.*}}) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %y = onnx.Clip(%x, none, %max) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  // CHECK: onnx.Clip(%{{.*}}) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %z = onnx.Clip(%y) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %z : tensor<?x4xf32>
}

// An absent result before a present one is `none`.
// CHECK-LABEL: @skip_norm_with_sum
func.func @skip_norm_with_sum(%x: tensor<2x4xf32>, %g: tensor<4xf32>) -> tensor<2x4xf32> {
  // CHECK: onnx.ms.SkipSimplifiedLayerNormalization(%{{.*}}) {epsilon = 9.99999974E-6 : f32} : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) -> (tensor<2x4xf32>, none, none, tensor<2x4xf32>)
  %y:2 = onnx.ms.SkipSimplifiedLayerNormalization(%x, %x, %g) {epsilon = 1.0e-5 : f32}
      : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) -> (tensor<2x4xf32>, none, none, tensor<2x4xf32>)
  return %y#1 : tensor<2x4xf32>
}

// Branches are regions that end in a yield.
// CHECK-LABEL: @branches
func.func @branches(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: onnx.If(%{{.*}}) : (tensor<i1>) -> tensor<4xf32> {
  %y = onnx.If(%c) : (tensor<i1>) -> tensor<4xf32> {
    // CHECK: onnx.Yield
    onnx.Yield %x : tensor<4xf32>
  // CHECK: }, {
  }, {
    %n = onnx.Neg(%x) : (tensor<4xf32>) -> tensor<4xf32>
    onnx.Yield %n : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// Variadic operands and a single optional one need no segment sizes.
// CHECK-LABEL: @concat_and_split
func.func @concat_and_split(%x: tensor<4xi64>, %s: tensor<2xi64>) -> tensor<*xi64> {
  // CHECK: onnx.Concat(%{{.*}}, %{{.*}}, %{{.*}}) {axis = 0 : i64}
  %c = onnx.Concat(%x, %x, %x) {axis = 0 : i64} : (tensor<4xi64>, tensor<4xi64>, tensor<4xi64>) -> tensor<*xi64>
  // CHECK: %{{.*}}:2 = onnx.Split(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<*xi64>, tensor<2xi64>) -> (tensor<*xi64>, tensor<*xi64>)
  %p:2 = onnx.Split(%c, %s) : (tensor<*xi64>, tensor<2xi64>) -> (tensor<*xi64>, tensor<*xi64>)
  return %p#1 : tensor<*xi64>
}

// Constants are dense, or references into a file.
// CHECK-LABEL: @constants
func.func @constants() -> (tensor<2xf32>, tensor<64x64xf16>) {
  // CHECK: onnx.Constant {value = dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>} : tensor<2xf32>
  %a = onnx.Constant {value = dense<[1.0, 2.0]> : tensor<2xf32>} : tensor<2xf32>
  // CHECK: onnx.Constant {value = #onnx.stored<"w", "m.onnx.data", 64, 8192> : tensor<64x64xf16>} : tensor<64x64xf16>
  %b = onnx.Constant {value = #onnx.stored<"w", "m.onnx.data", 64, 8192> : tensor<64x64xf16>} : tensor<64x64xf16>
  return %a, %b : tensor<2xf32>, tensor<64x64xf16>
}

// Element types and containers of ONNX's own.
// CHECK-LABEL: @containers
// CHECK-SAME: !onnx.seq<tensor<?xf32>>
// CHECK-SAME: !onnx.opt<tensor<*xf32>>
// CHECK-SAME: tensor<2x!onnx.string>
func.func @containers(%a: !onnx.seq<tensor<?xf32>>, %b: !onnx.opt<tensor<*xf32>>, %c: tensor<2x!onnx.string>) {
  return
}
