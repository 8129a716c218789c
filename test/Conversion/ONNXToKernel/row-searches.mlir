// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel{for-threads}))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s --check-prefix=LOOPS

// Rows along the axis, in the middle of three dimensions.
// CHECK-LABEL: func @first_of_rows
// CHECK:         kernel.top_k ins(%{{.*}}) outs(%{{.*}}) unsigned : (tensor<3x100x2xi8>, tensor<3x5x2xi8>, tensor<3x5x2xi64>)
// LOOPS-LABEL: func @first_of_rows
// LOOPS-NOT:     kernel.top_k
// LOOPS:         scf.for
func.func @first_of_rows(%x: tensor<3x100x2xui8> {onnx.name = "x"}) -> (tensor<3x5x2xui8>, tensor<3x5x2xi64>) {
  %k = onnx.Constant {value = dense<5> : tensor<1xi64>} : tensor<1xi64>
  %0:2 = onnx.TopK(%x, %k) {axis = 1 : i64, largest = 0 : i64} : (tensor<3x100x2xui8>, tensor<1xi64>) -> (tensor<3x5x2xui8>, tensor<3x5x2xi64>)
  return %0#0, %0#1 : tensor<3x5x2xui8>, tensor<3x5x2xi64>
}

// -----

// CHECK-LABEL: func @running_sum
// CHECK:         kernel.scan ins(%{{.*}}) outs(%{{.*}}) reverse : (tensor<3x100x1xf32>,
// LOOPS-LABEL: func @running_sum
// LOOPS-NOT:     kernel.scan
func.func @running_sum(%x: tensor<3x100xf32> {onnx.name = "x"}) -> tensor<3x100xf32> {
  %axis = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %0 = onnx.CumSum(%x, %axis) {reverse = 1 : i64} : (tensor<3x100xf32>, tensor<i64>) -> tensor<3x100xf32>
  return %0 : tensor<3x100xf32>
}

// -----

// Flags, how many are set before each, their number, then each result's search for its element.
// CHECK-LABEL: func @non_zero
// CHECK:         %[[FLAGS:.*]] = kernel.launch(
// CHECK:         %[[COUNTS:.*]] = kernel.launch(%[[FLAGS]])
// CHECK:         kernel.scan {{.*}} exclusive : (tensor<1x601x1xi64>,
// CHECK:         %[[COUNT:.*]] = kernel.launch(%[[COUNTS]])
// CHECK:         plan.read_symbol 0 from %[[COUNT]][0]
// CHECK:         kernel.launch(%[[COUNTS]])
// CHECK:         scf.while
func.func @non_zero(%x: tensor<600xf32> {onnx.name = "x"}) -> tensor<1x?xi64> {
  %0 = onnx.NonZero(%x) : (tensor<600xf32>) -> tensor<1x?xi64>
  return %0 : tensor<1x?xi64>
}

// -----

// Elements are sorted; slices are still compared with each other.
// CHECK-LABEL: func @unique
// CHECK:         kernel.top_k {{.*}} : (tensor<1x60x1xf32>, tensor<1x60x1xf32>, tensor<1x60x1xi64>)
// CHECK-LABEL: func @unique_slices
// CHECK-NOT:     kernel.top_k
func.func @unique(%x: tensor<60xf32> {onnx.name = "x"}) -> tensor<?xf32> {
  %0 = onnx.Unique(%x) : (tensor<60xf32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}
func.func @unique_slices(%x: tensor<6x2xf32> {onnx.name = "x"}) -> tensor<?x2xf32> {
  %0 = onnx.Unique(%x) {axis = 0 : i64} : (tensor<6x2xf32>) -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}
