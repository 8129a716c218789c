// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-simplify))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-simplify{keep-squeezes}))' | FileCheck %s --check-prefix=KEPT

// A static dimension of a dynamic shape is a constant, its reader too.
// CHECK-LABEL: func @known_dimension
// CHECK-NOT:   onnx.Shape
// CHECK:       %[[FOUR:.+]] = onnx.Constant {value = dense<4> : tensor<i64>}
// CHECK:       return %[[FOUR]]
func.func @known_dimension(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<i64> {
  %0 = onnx.Shape(%x) {start = 0 : i64} : (tensor<?x4xf32>) -> tensor<2xi64>
  %1 = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
  %2 = onnx.Gather(%0, %1) {axis = 0 : i64} : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  return %2 : tensor<i64>
}

// -----

// An identity goes, equal values are computed once; different ones stay.
// CHECK-LABEL: func @once
// CHECK:       %[[N:.+]] = onnx.Neg(%arg0)
// CHECK-NOT:   onnx.Neg
// CHECK:       %[[E:.+]] = onnx.Exp(%arg0)
// CHECK:       onnx.Add(%[[N]], %[[E]])
func.func @once(%x: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "x"}) -> (tensor<?xf32>, tensor<?xf32>) {
  %0 = onnx.Identity(%x) : (tensor<?xf32>) -> tensor<?xf32>
  %1 = onnx.Neg(%0) : (tensor<?xf32>) -> tensor<?xf32>
  %2 = onnx.Neg(%x) : (tensor<?xf32>) -> tensor<?xf32>
  %3 = onnx.Exp(%x) : (tensor<?xf32>) -> tensor<?xf32>
  %4 = onnx.Add(%1, %3) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %4, %2 : tensor<?xf32>, tensor<?xf32>
}

// -----

// A value computed from data stays.
// CHECK-LABEL: func @data
// CHECK:       onnx.Add(%arg0, %arg0)
func.func @data(%x: tensor<2xi64> {onnx.name = "x"}) -> tensor<2xi64> {
  %0 = onnx.Add(%x, %x) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  return %0 : tensor<2xi64>
}

// -----

// Float arithmetic on constants that ends in a size is computed; a NaN is no size.
// CHECK-LABEL: func @root
// CHECK:       onnx.Constant {value = dense<7> : tensor<i64>}
// CHECK:       %[[NAN:.+]] = onnx.Constant {value = dense<0xFFC00000> : tensor<f32>}
// CHECK:       onnx.Cast(%[[NAN]])
func.func @root() -> (tensor<i64>, tensor<i64>) {
  %a = onnx.Constant {value = dense<4.9e+01> : tensor<f32>} : tensor<f32>
  %b = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %p = onnx.Pow(%a, %b) : (tensor<f32>, tensor<f32>) -> tensor<f32>
  %i = onnx.Cast(%p) {round_mode = "up", saturate = 1 : i64, to = 7 : i64} : (tensor<f32>) -> tensor<i64>
  %n = onnx.Neg(%b) : (tensor<f32>) -> tensor<f32>
  %q = onnx.Sqrt(%n) : (tensor<f32>) -> tensor<f32>
  %j = onnx.Cast(%q) {round_mode = "up", saturate = 1 : i64, to = 7 : i64} : (tensor<f32>) -> tensor<i64>
  return %i, %j : tensor<i64>, tensor<i64>
}

// -----

// A branch gets the rank of the other where every user broadcasts to it anyway.
// CHECK-LABEL: func @branches_of_two_ranks
// CHECK:       %[[AXES:.+]] = onnx.Constant {value = dense<0> : tensor<1xi64>}
// CHECK:       %[[PADDED:.+]] = onnx.Unsqueeze(%arg1, %[[AXES]]) : (tensor<f32>, tensor<1xi64>) -> tensor<1xf32>
// CHECK:       onnx.Yield %[[PADDED]]
// CHECK:       onnx.Mul({{.*}}) : (tensor<3xf32>, tensor<1xf32>) -> tensor<3xf32>
func.func @branches_of_two_ranks(%c: tensor<i1> {onnx.name = "c"}, %a: tensor<f32> {onnx.name = "a"}, %b: tensor<1xf32> {onnx.name = "b"}, %x: tensor<3xf32> {onnx.name = "x"}) -> tensor<*xf32> {
  %0 = onnx.If(%c) : (tensor<i1>) -> tensor<*xf32> {
    onnx.Yield %b : tensor<1xf32>
  }, {
    onnx.Yield %a : tensor<f32>
  }
  %1 = onnx.Mul(%x, %0) : (tensor<3xf32>, tensor<*xf32>) -> tensor<*xf32>
  return %1 : tensor<*xf32>
}

// -----

// A user that shows the rank keeps it.
// CHECK-LABEL: func @branches_of_two_shown_ranks
// CHECK-NOT:   onnx.Unsqueeze
func.func @branches_of_two_shown_ranks(%c: tensor<i1> {onnx.name = "c"}, %a: tensor<f32> {onnx.name = "a"}, %b: tensor<1xf32> {onnx.name = "b"}, %x: tensor<f32> {onnx.name = "x"}) -> tensor<*xf32> {
  %0 = onnx.If(%c) : (tensor<i1>) -> tensor<*xf32> {
    onnx.Yield %b : tensor<1xf32>
  }, {
    onnx.Yield %a : tensor<f32>
  }
  %1 = onnx.Mul(%x, %0) : (tensor<f32>, tensor<*xf32>) -> tensor<*xf32>
  return %1 : tensor<*xf32>
}

// -----

// What squeezes an axis where its size is 1 squeezes it: a result has one rank.
// CHECK-LABEL: func @squeezed_where_one
// CHECK-NOT:   onnx.If
// CHECK:       %[[AXIS:.+]] = onnx.Constant {value = dense<1> : tensor<1xi64>}
// CHECK:       onnx.Squeeze(%arg0, %[[AXIS]])
// A model that is written again may be run with another size.
// KEPT-LABEL:  func @squeezed_where_one
// KEPT:          onnx.If
func.func @squeezed_where_one(%x: tensor<2x?x3xf32> {onnx.dims = ["", "c", ""], onnx.name = "x"}) -> tensor<*xf32> {
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %size = onnx.Shape(%x) {start = 1 : i64, end = 2 : i64} : (tensor<2x?x3xf32>) -> tensor<1xi64>
  %c = onnx.Equal(%size, %one) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi1>
  %0 = onnx.If(%c) : (tensor<1xi1>) -> tensor<*xf32> {
    %1 = onnx.Squeeze(%x, %one) : (tensor<2x?x3xf32>, tensor<1xi64>) -> tensor<*xf32>
    onnx.Yield %1 : tensor<*xf32>
  }, {
    onnx.Yield %x : tensor<2x?x3xf32>
  }
  return %0 : tensor<*xf32>
}

// -----

// Not where the condition is about another size, or the other branch gives something else.
// CHECK-LABEL: func @squeezed_for_another_reason
// CHECK-COUNT-2: onnx.If
func.func @squeezed_for_another_reason(%x: tensor<?x?x3xf32> {onnx.dims = ["n", "c", ""], onnx.name = "x"}, %y: tensor<?x?x3xf32> {onnx.dims = ["n", "c", ""], onnx.name = "y"}) -> (tensor<*xf32>, tensor<*xf32>) {
  %one = onnx.Constant {value = dense<1> : tensor<1xi64>} : tensor<1xi64>
  %n = onnx.Shape(%x) {start = 0 : i64, end = 1 : i64} : (tensor<?x?x3xf32>) -> tensor<1xi64>
  %size = onnx.Shape(%x) {start = 1 : i64, end = 2 : i64} : (tensor<?x?x3xf32>) -> tensor<1xi64>
  %c = onnx.Equal(%n, %one) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi1>
  %d = onnx.Equal(%size, %one) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi1>
  %0 = onnx.If(%c) : (tensor<1xi1>) -> tensor<*xf32> {
    %2 = onnx.Squeeze(%x, %one) : (tensor<?x?x3xf32>, tensor<1xi64>) -> tensor<*xf32>
    onnx.Yield %2 : tensor<*xf32>
  }, {
    onnx.Yield %x : tensor<?x?x3xf32>
  }
  %1 = onnx.If(%d) : (tensor<1xi1>) -> tensor<*xf32> {
    %3 = onnx.Squeeze(%x, %one) : (tensor<?x?x3xf32>, tensor<1xi64>) -> tensor<*xf32>
    onnx.Yield %3 : tensor<*xf32>
  }, {
    onnx.Yield %y : tensor<?x?x3xf32>
  }
  return %0, %1 : tensor<*xf32>, tensor<*xf32>
}
