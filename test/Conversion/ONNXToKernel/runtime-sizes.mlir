// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// Dimensions of different names may be equal or one of them 1: the run checks, and
// an operand of size 1 is repeated by a launch of its own.
// CHECK: #[[$PAIR:.+]] = affine_map<()[s0, s1, s2] -> (s0, s1)>
// CHECK-LABEL: func @broadcast_at_run_time
// CHECK:         plan.check broadcasts #[[$PAIR]]
// CHECK:         %[[A:.*]] = kernel.launch(%arg0)
// CHECK:         %[[B:.*]] = kernel.launch(%arg1)
// CHECK:         kernel.launch(%[[A]], %[[B]])
func.func @broadcast_at_run_time(%x: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "x"},
                                 %y: tensor<?xf32> {onnx.dims = ["m"], onnx.name = "y"}) -> tensor<*xf32> {
  %0 = onnx.Add(%x, %y) : (tensor<?xf32>, tensor<?xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// Where the names are equal nothing is checked or repeated.
// CHECK-LABEL: func @equal_names
// CHECK-NOT:     plan.check
// CHECK:         kernel.launch(%arg0, %arg1)
// CHECK-NOT:     kernel.launch
func.func @equal_names(%x: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "x"},
                       %y: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "y"}) -> tensor<*xf32> {
  %0 = onnx.Add(%x, %y) : (tensor<?xf32>, tensor<?xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// A shape that comes as data: a kernel computes the sizes, symbols take them, and
// the number of elements is checked.
// CHECK-LABEL: func @reshape_to_data
// CHECK:         %[[SIZES:.*]] = kernel.launch(%arg1)
// CHECK:         plan.read_symbol {{[0-9]+}} from %[[SIZES]][0]
// CHECK:         plan.read_symbol {{[0-9]+}} from %[[SIZES]][1]
// CHECK:         plan.check equal #
// CHECK:         kernel.view %arg0
func.func @reshape_to_data(%x: tensor<6xf32> {onnx.name = "x"},
                           %s: tensor<2xi64> {onnx.name = "s"}) -> tensor<?x?xf32> {
  %0 = onnx.Reshape(%x, %s) {allowzero = 0 : i64} : (tensor<6xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// A size that an operator finds: counted, read, then filled.
// CHECK-LABEL: func @non_zero
// CHECK:         %[[COUNT:.*]] = kernel.launch(%arg0)
// CHECK:         plan.read_symbol 0 from %[[COUNT]][0]
// CHECK:         kernel.launch(%arg0)
func.func @non_zero(%x: tensor<6xf32> {onnx.name = "x"}) -> tensor<1x?xi64> {
  %0 = onnx.NonZero(%x) : (tensor<6xf32>) -> tensor<1x?xi64>
  return %0 : tensor<1x?xi64>
}

// -----

// Axes that come as data: the sizes, then one kernel that reduces.
// CHECK-LABEL: func @reduce_over_data
// CHECK:         %[[SIZES:.*]] = kernel.launch(%arg1)
// CHECK:         plan.read_symbol 0 from %[[SIZES]][0]
// CHECK:         kernel.launch(%arg1, %arg0)
func.func @reduce_over_data(%x: tensor<2x3xf32> {onnx.name = "x"},
                            %axes: tensor<1xi64> {onnx.name = "axes"}) -> tensor<?x?xf32> {
  %0 = onnx.ReduceSum(%x, %axes) {keepdims = 1 : i64, noop_with_empty_axes = 0 : i64} : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

func.func @bit_cast_of_other_width(%x: tensor<2xf32> {onnx.name = "x"}) -> tensor<2xi64> {
  // expected-error @below {{expected types of one width, but got 'f32' and 'i64'}}
  %0 = onnx.BitCast(%x) {to = 7 : i64} : (tensor<2xf32>) -> tensor<2xi64>
  return %0 : tensor<2xi64>
}

// -----

// Data of unknown length are compared with the window of a convolution.
// CHECK:         #[[$LENGTH:.+]] = affine_map<()[s0] -> (s0, 10)>
// CHECK-LABEL: func @window
// CHECK:         plan.check at_least #[[$LENGTH]]
func.func @window(%x: tensor<1x1x?xf32> {onnx.dims = ["", "", "n"], onnx.name = "x"},
                  %w: tensor<2x1x10xf32> {onnx.name = "w"}) -> tensor<1x2x?xf32> {
  %0 = onnx.Conv(%x, %w) {kernel_shape = array<i64: 10>, strides = array<i64: 5>} : (tensor<1x1x?xf32>, tensor<2x1x10xf32>) -> tensor<1x2x?xf32>
  return %0 : tensor<1x2x?xf32>
}

// -----

// Data that surely are long enough are not, nor are those of a pool, which may take less.
// CHECK-LABEL: func @no_check
// CHECK-NOT:     plan.check
// CHECK:         return
func.func @no_check(%x: tensor<1x1x?xf32> {onnx.dims = ["", "", "n"], onnx.name = "x"},
                    %w: tensor<2x1x3xf32> {onnx.name = "w"}) -> (tensor<1x2x?xf32>, tensor<1x1x?xf32>) {
  %0 = onnx.Conv(%x, %w) {kernel_shape = array<i64: 3>, pads = array<i64: 2, 2>} : (tensor<1x1x?xf32>, tensor<2x1x3xf32>) -> tensor<1x2x?xf32>
  %1 = onnx.MaxPool(%x) {kernel_shape = array<i64: 5>, ceil_mode = 1 : i64} : (tensor<1x1x?xf32>) -> tensor<1x1x?xf32>
  return %0, %1 : tensor<1x2x?xf32>, tensor<1x1x?xf32>
}
