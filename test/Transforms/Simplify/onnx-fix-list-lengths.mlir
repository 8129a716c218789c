// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-fix-list-lengths))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-fix-list-lengths))' -remark-format=emitRemark -remarks-filter=onnx-fix-list-lengths 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// Only a list of two sizes gives the output the rank that it is declared with.
// CHECK-LABEL: func @one_length
// CHECK-SAME:    tensor<2xi64>
// CHECK-SAME:    tenon.symbol_ranges = {n = array<i64: 2, 2>}
// CHECK:         onnx.ConstantOfShape(%arg0) : (tensor<2xi64>) -> tensor<?x3xf32>
// REMARK:      [Passed] list-length{{.*}}fixed the length 'n' to 2
func.func @one_length(%size: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "size"},
                      %x: tensor<?x3xf32> {onnx.dims = ["m", ""], onnx.name = "x"}) -> tensor<?x3xf32> {
  %0 = onnx.ConstantOfShape(%size) : (tensor<?xi64>) -> tensor<*xf32>
  %1 = onnx.Concat(%0, %x) {axis = 0 : i64} : (tensor<*xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  return %1 : tensor<?x3xf32>
}

// -----

// The branch that the other lengths take gives another rank.
// CHECK-LABEL: func @branches
// CHECK-SAME:    tensor<2xi64>
func.func @branches(%size: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "size"},
                    %x: tensor<3xf32> {onnx.name = "x"}) -> tensor<?xf32> {
  %two = onnx.Constant {value = dense<2> : tensor<i64>} : tensor<i64>
  %zero = onnx.Constant {value = dense<0> : tensor<1xi64>} : tensor<1xi64>
  %length = onnx.Size(%size) : (tensor<?xi64>) -> tensor<i64>
  %is_two = onnx.Equal(%length, %two) : (tensor<i64>, tensor<i64>) -> tensor<i1>
  %0 = onnx.If(%is_two) : (tensor<i1>) -> tensor<*xf32> {
    onnx.Yield %x : tensor<3xf32>
  }, {
    %2 = onnx.Unsqueeze(%x, %zero) : (tensor<3xf32>, tensor<1xi64>) -> tensor<1x3xf32>
    onnx.Yield %2 : tensor<1x3xf32>
  }
  %1 = onnx.ReduceSum(%0, %zero) {keepdims = 0 : i64} : (tensor<*xf32>, tensor<1xi64>) -> tensor<?xf32>
  return %1 : tensor<?xf32>
}

// -----

// Lists of up to two sizes give that rank: the length stays open.
// CHECK-LABEL: func @several_lengths
// CHECK-SAME:    tensor<?xi64>
// CHECK-NOT:     tenon.symbol_ranges
// CHECK:         return
// REMARK:      [Missed] list-length{{.*}}3 lengths give the outputs
func.func @several_lengths(%size: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "size"},
                           %x: tensor<2x3xf32> {onnx.name = "x"}) -> tensor<2x3xf32> {
  %0 = onnx.ConstantOfShape(%size) : (tensor<?xi64>) -> tensor<*xf32>
  %1 = onnx.Add(%0, %x) : (tensor<*xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %1 : tensor<2x3xf32>
}

// -----

// A length that decides no rank stays open.
// CHECK-LABEL: func @no_rank
// CHECK-SAME:    tensor<?xi64>
// CHECK-NOT:     tenon.symbol_ranges
// CHECK:         return
func.func @no_rank(%list: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "list"}) -> tensor<?xi64> {
  %0 = onnx.Add(%list, %list) : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// Floats are no sizes: how many there are is not tried.
// CHECK-LABEL: func @floats
// CHECK-SAME:    tensor<?xf32>
// CHECK-NOT:     tenon.symbol_ranges
// CHECK:         return
func.func @floats(%list: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "list"},
                  %x: tensor<2x3xf32> {onnx.name = "x"}) -> tensor<2x3xf32> {
  %size = onnx.Cast(%list) {to = 7 : i64} : (tensor<?xf32>) -> tensor<?xi64>
  %0 = onnx.ConstantOfShape(%size) : (tensor<?xi64>) -> tensor<*xf32>
  %1 = onnx.Concat(%0, %x) {axis = 0 : i64} : (tensor<*xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return %1 : tensor<2x3xf32>
}
