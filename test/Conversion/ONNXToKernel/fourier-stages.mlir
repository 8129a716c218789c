// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// A launch for each factor: 4, 5, 5. The roots of unity are a weight that all read.
// CHECK-LABEL: func @hundred
// CHECK:         %[[ROOTS:.+]] = kernel.weight "roots"
// CHECK:         %[[FOURS:.+]] = kernel.launch(%arg0, %[[ROOTS]])
// CHECK:         %[[FIVES:.+]] = kernel.launch(%[[FOURS]], %[[ROOTS]])
// CHECK:         kernel.launch(%[[FIVES]], %[[ROOTS]])
// CHECK-NOT:     kernel.launch
func.func @hundred(%x: tensor<?x100x2xf32> {onnx.dims = ["n", "", ""], onnx.name = "x"}) -> tensor<?x100x2xf32> {
  %0 = "onnx.DFT"(%x) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<?x100x2xf32>) -> tensor<?x100x2xf32>
  return %0 : tensor<?x100x2xf32>
}

// -----

// A large prime is one stage, a sum over pairs of elements that mirror each other.
// CHECK-LABEL: func @prime
// CHECK-COUNT-1: kernel.launch
// CHECK:           scf.for
// CHECK-NOT:     kernel.launch
func.func @prime(%x: tensor<1x1009x2xf32> {onnx.name = "x"}) -> tensor<1x1009x2xf32> {
  %0 = "onnx.DFT"(%x) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x1009x2xf32>) -> tensor<1x1009x2xf32>
  return %0 : tensor<1x1009x2xf32>
}

// -----

// Where the length is not known, one launch finds its factors, two make the roots of unity,
// and the last one goes through two factors a round.
// CHECK-LABEL: func @unknown
// CHECK:         %[[FACTORS:.+]] = kernel.launch()
// CHECK:           scf.while
// CHECK:         %[[CIRCLES:.+]] = kernel.launch()
// CHECK:           math.cos {{.*}} : f64
// CHECK:         %[[ROOTS:.+]] = kernel.launch(%[[CIRCLES]])
// CHECK:         kernel.launch({{.*}}, %[[ROOTS]], %[[FACTORS]])
// CHECK-NOT:     kernel.launch
func.func @unknown(%x: tensor<1x?x2xf32> {onnx.dims = ["", "n", ""], onnx.name = "x"}) -> tensor<1x?x2xf32> {
  %0 = "onnx.DFT"(%x) {operandSegmentSizes = array<i32: 1, 0, 0>} : (tensor<1x?x2xf32>) -> tensor<1x?x2xf32>
  return %0 : tensor<1x?x2xf32>
}
