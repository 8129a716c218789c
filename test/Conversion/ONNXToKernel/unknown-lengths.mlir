// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// A list of unknown length has as many elements as the declared rank asks for: the
// sizes are read from it, and its own size is that number.
// CHECK-LABEL: func @expand_to_a_declared_rank
// CHECK-SAME:    %arg1: tensor<3xi64>
// CHECK:         plan.read_symbol {{[0-9]+}} from %arg1[0]
// CHECK:         plan.read_symbol {{[0-9]+}} from %arg1[2]
func.func @expand_to_a_declared_rank(%x: tensor<?x?xf32> {onnx.dims = ["a", "b"], onnx.name = "x"},
                                     %s: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "s"}) -> tensor<?x?x?xf32> {
  %0 = onnx.Expand(%x, %s) : (tensor<?x?xf32>, tensor<?xi64>) -> tensor<?x?x?xf32>
  return %0 : tensor<?x?x?xf32>
}

// -----

// Where the rank is that of the data, the list may be shorter: a kernel aligns it.
// CHECK-LABEL: func @expand_within_the_rank
// CHECK-SAME:    %arg1: tensor<?xi64>
// CHECK:         plan.check at_least
// CHECK:         %[[SIZES:.*]] = kernel.launch(%arg1)
// CHECK:         plan.read_symbol {{[0-9]+}} from %[[SIZES]][0]
// CHECK:         plan.read_symbol {{[0-9]+}} from %[[SIZES]][1]
func.func @expand_within_the_rank(%x: tensor<?x?xf32> {onnx.dims = ["a", "b"], onnx.name = "x"},
                                  %s: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "s"}) -> tensor<?x?xf32> {
  %0 = onnx.Expand(%x, %s) : (tensor<?x?xf32>, tensor<?xi64>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// Expand makes no rank smaller.
func.func @expand_to_fewer_axes(%x: tensor<?x?xf32> {onnx.dims = ["a", "b"], onnx.name = "x"},
                                %s: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "s"}) -> tensor<?xf32> {
  // expected-error @below {{expected a result of rank 2 or more, but its type says 1}}
  %0 = onnx.Expand(%x, %s) : (tensor<?x?xf32>, tensor<?xi64>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// The ranks of data, indices and result say how many axes a tuple indexes.
// CHECK-LABEL: func @gather_tuples
// CHECK-SAME:    %arg1: tensor<?x2xi64>
func.func @gather_tuples(%x: tensor<?x?x?xf32> {onnx.dims = ["a", "b", "c"], onnx.name = "x"},
                         %i: tensor<?x?xi64> {onnx.dims = ["n", "k"], onnx.name = "i"}) -> tensor<?x?xf32> {
  %0 = onnx.GatherND(%x, %i) {batch_dims = 0 : i64} : (tensor<?x?x?xf32>, tensor<?x?xi64>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// So do those of data, indices and updates.
// CHECK-LABEL: func @scatter_tuples
// CHECK-SAME:    %arg1: tensor<?x1xi64>
func.func @scatter_tuples(%x: tensor<?x?xf32> {onnx.dims = ["a", "b"], onnx.name = "x"},
                          %i: tensor<?x?xi64> {onnx.dims = ["n", "k"], onnx.name = "i"},
                          %u: tensor<?x?xf32> {onnx.dims = ["n", "b"], onnx.name = "u"}) -> tensor<?x?xf32> {
  %0 = onnx.ScatterND(%x, %i, %u) : (tensor<?x?xf32>, tensor<?x?xi64>, tensor<?x?xf32>) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// A tuple indexes at most all axes.
func.func @tuples_too_long(%x: tensor<?xf32> {onnx.dims = ["a"], onnx.name = "x"},
                           %i: tensor<?x?x?xi64> {onnx.dims = ["n", "m", "k"], onnx.name = "i"}) -> tensor<?xf32> {
  // expected-error @below {{expected indices of at most 1 axes, but the ranks leave 2}}
  %0 = onnx.GatherND(%x, %i) {batch_dims = 0 : i64} : (tensor<?xf32>, tensor<?x?x?xi64>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// The rank that the end declares is that of the sum, which operators between keep.
// CHECK-LABEL: func @rank_from_behind
// CHECK-SAME:    %arg1: tensor<1xi64>
func.func @rank_from_behind(%x: tensor<?x?xf32> {onnx.dims = ["a", "b"], onnx.name = "x"},
                            %axes: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "axes"}) -> tensor<?xf32> {
  %0 = onnx.ReduceSum(%x, %axes) {keepdims = 0 : i64, noop_with_empty_axes = 0 : i64} : (tensor<?x?xf32>, tensor<?xi64>) -> tensor<*xf32>
  %1 = onnx.Log(%0) : (tensor<*xf32>) -> tensor<*xf32>
  %2 = onnx.Sqrt(%1) : (tensor<*xf32>) -> tensor<?xf32>
  return %2 : tensor<?xf32>
}

// -----

// A depth that is a float is converted by a kernel, and then read.
// CHECK-LABEL: func @float_depth
// CHECK:         %[[DEPTH:.*]] = kernel.launch(%arg1)
// CHECK:         plan.read_symbol {{[0-9]+}} from %[[DEPTH]][0]
func.func @float_depth(%i: tensor<3xi64> {onnx.name = "i"}, %d: tensor<f32> {onnx.name = "d"},
                       %v: tensor<2xf32> {onnx.name = "v"}) -> tensor<3x?xf32> {
  %0 = onnx.OneHot(%i, %d, %v) {axis = -1 : i64} : (tensor<3xi64>, tensor<f32>, tensor<2xf32>) -> tensor<3x?xf32>
  return %0 : tensor<3x?xf32>
}

// -----

// Operands that are sizes are read where the shapes do not know them.
// CHECK-LABEL: func @frames_at_run_time
// CHECK:         plan.read_symbol {{[0-9]+}} from %arg1[0]
// CHECK:         plan.read_symbol {{[0-9]+}} from %arg2[0]
func.func @frames_at_run_time(%x: tensor<1x64x1xf32> {onnx.name = "x"}, %step: tensor<i64> {onnx.name = "step"},
                              %length: tensor<i64> {onnx.name = "length"}) -> tensor<1x?x?x2xf32> {
  %0 = "onnx.STFT"(%x, %step, %length) {onesided = 1 : i64, operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<1x64x1xf32>, tensor<i64>, tensor<i64>) -> tensor<1x?x?x2xf32>
  return %0 : tensor<1x?x?x2xf32>
}

// -----

// The columns of an image whose sizes come as data are checked to be as many.
// CHECK-LABEL: func @columns_of_an_image
// CHECK:         plan.check equal
// CHECK:         kernel.view %arg0
func.func @columns_of_an_image(%x: tensor<1x4x?xf32> {onnx.dims = ["", "", "n"], onnx.name = "x"},
                               %image: tensor<?xi64> {onnx.dims = ["r"], onnx.name = "image"},
                               %block: tensor<?xi64> {onnx.dims = ["q"], onnx.name = "block"}) -> tensor<?x?x?x?xf32> {
  %0 = onnx.Col2Im(%x, %image, %block) : (tensor<1x4x?xf32>, tensor<?xi64>, tensor<?xi64>) -> tensor<?x?x?x?xf32>
  return %0 : tensor<?x?x?x?xf32>
}

// -----

// A convolution of an unknown number of channels reads past and input in place.
// CHECK-LABEL: func @channels_at_run_time
// CHECK:         kernel.launch(%arg0, %arg2, %arg1)
// CHECK:         kernel.launch(%arg0, %arg2)
func.func @channels_at_run_time(%x: tensor<?x?x?xf32> {onnx.dims = ["b", "c", "l"], onnx.name = "x"},
                                %w: tensor<?x?x?xf32> {onnx.dims = ["c", "one", "k"], onnx.name = "w"},
                                %p: tensor<?x?x?xf32> {onnx.dims = ["b", "c", "p"], onnx.name = "p"})
    -> (tensor<?x?x?xf32>, tensor<?x?x?xf32>) {
  %0:2 = "onnx.CausalConvWithState"(%x, %w, %p) {activation = "none", operandSegmentSizes = array<i32: 1, 1, 0, 1>} : (tensor<?x?x?xf32>, tensor<?x?x?xf32>, tensor<?x?x?xf32>) -> (tensor<?x?x?xf32>, tensor<?x?x?xf32>)
  return %0#0, %0#1 : tensor<?x?x?xf32>, tensor<?x?x?xf32>
}

// -----

// Matrices are square.
func.func @oblong_matrix(%x: tensor<2x3xf32> {onnx.name = "x"}) -> tensor<f32> {
  // expected-error @below {{expected equal sides of a matrix, but got 3 and 2}}
  %0 = onnx.Det(%x) : (tensor<2x3xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}
