// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes{dims=n=3}))' | FileCheck %s --check-prefix=FIXED

// A dimension's name becomes a symbol; results are expressions over symbols.
// CHECK: #[[$JOINED:.+]] = affine_map<()[s0] -> (s0 * 2, 4)>
// CHECK-LABEL: func @concat
// CHECK-SAME: -> (tensor<?x4xf32> {tenon.dims = #[[$JOINED]]}) attributes {{{.*}}tenon.symbols = ["n"]}
// FIXED-LABEL: func @concat
// FIXED: onnx.Concat{{.*}} -> tensor<6x4xf32>
func.func @concat(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<*xf32> {
  %0 = onnx.Concat(%x, %x) {axis = 0 : i64} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// The past and what is new, with a mask that has their length or is repeated.
// CHECK-LABEL: func @past_and_new
// CHECK-SAME: tenon.symbol_defs = [{}, {}, {}, {op = "broadcast", operands = #{{.+}}}]
// CHECK: onnx.Add{{.*}} -> tensor<?xf32>
func.func @past_and_new(%past: tensor<?xf32> {onnx.dims = ["past"], onnx.name = "p"},
                        %new: tensor<?xf32> {onnx.dims = ["new"], onnx.name = "n"},
                        %mask: tensor<?xf32> {onnx.dims = ["total"], onnx.name = "m"}) -> tensor<*xf32> {
  %0 = onnx.Concat(%past, %new) {axis = 0 : i64} : (tensor<?xf32>, tensor<?xf32>) -> tensor<*xf32>
  %1 = onnx.Add(%0, %mask) : (tensor<*xf32>, tensor<?xf32>) -> tensor<*xf32>
  return %1 : tensor<*xf32>
}

// -----

// Shapes that contradict name the node and both sizes.
func.func @contradiction(%a: tensor<2x3xf32> {onnx.name = "a"}, %b: tensor<4x5xf32> {onnx.name = "b"}) -> tensor<*xf32> {
  // expected-error @below {{expected}}
  %0 = onnx.MatMul(%a, %b) : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// A window fits into its data, so the length that an exporter divides by hand is no
// negative number, and a size.
// CHECK-LABEL: func @length_of_convolution
// CHECK-SAME: tenon.symbols = ["batch", "samples"]}
func.func @length_of_convolution(%x: tensor<?x1x?xf32> {onnx.dims = ["batch", "", "samples"], onnx.name = "x"},
                                 %w: tensor<4x1x10xf32> {onnx.name = "w"}) -> tensor<*xf32> {
  %c = onnx.Conv(%x, %w) {kernel_shape = array<i64: 10>, strides = array<i64: 5>} : (tensor<?x1x?xf32>, tensor<4x1x10xf32>) -> tensor<*xf32>
  %s = onnx.Shape(%c) {start = 0 : i64} : (tensor<*xf32>) -> tensor<3xi64>
  %r = onnx.Reshape(%c, %s) {allowzero = 0 : i64} : (tensor<*xf32>, tensor<3xi64>) -> tensor<*xf32>
  return %r : tensor<*xf32>
}

// -----

// A shape's elements are multiplied and divided as expressions.
// CHECK: #[[$HALVES:.+]] = affine_map<()[s0] -> (s0 * 2, 2)>
// CHECK-LABEL: func @products_and_quotients_of_sizes
// CHECK-SAME: -> (tensor<?x2xf32> {tenon.dims = #[[$HALVES]]})
func.func @products_and_quotients_of_sizes(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<*xf32> {
  %shape = onnx.Shape(%x) {start = 0 : i64} : (tensor<?x4xf32>) -> tensor<2xi64>
  %factors = onnx.Constant {value = dense<[4, 1]> : tensor<2xi64>} : tensor<2xi64>
  %divisors = onnx.Constant {value = dense<2> : tensor<2xi64>} : tensor<2xi64>
  %more = onnx.Mul(%shape, %factors) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %target = onnx.Div(%more, %divisors) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %y = onnx.Reshape(%x, %target) {allowzero = 0 : i64} : (tensor<?x4xf32>, tensor<2xi64>) -> tensor<*xf32>
  return %y : tensor<*xf32>
}

// -----

// Sizes that overflow are not known, and neither is what they would have to fit.
// CHECK-LABEL: func @padding_that_overflows
// CHECK:       onnx.Conv({{.*}}) {{.*}} -> tensor<1x1x?x?xf32>
func.func @padding_that_overflows(%x: tensor<1x?x?x?xf32> {onnx.dims = ["", "c", "h", "w"], onnx.name = "x"}, %w: tensor<1x2x2x2xf32> {onnx.name = "w"}) -> tensor<*xf32> {
  %c = onnx.Conv(%x, %w) {pads = array<i64: 1, 9223372036854775807, 1, 1>, strides = array<i64: 2, 2>} : (tensor<1x?x?x?xf32>, tensor<1x2x2x2xf32>) -> tensor<*xf32>
  return %c : tensor<*xf32>
}

// -----

// A range ends at one number.
func.func @range_of_two_ends(%ends: tensor<2xi64> {onnx.name = "ends"}, %one: tensor<i64> {onnx.name = "one"}) -> tensor<?xi64> {
  // expected-error @below {{expected one number as input 1, but got 2}}
  %0 = onnx.Range(%one, %ends, %one) : (tensor<i64>, tensor<2xi64>, tensor<i64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// Keys and queries are as many, so that a head's size is no quotient of two symbols.
// CHECK-LABEL: func @linear_attention
// CHECK-SAME:    onnx.name = "q", tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, s1, s2 * 2)>
// CHECK-SAME:    onnx.name = "k", tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, s1, s2)>
// CHECK-SAME:    onnx.name = "v", tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, s1, s3)>
func.func @linear_attention(%q: tensor<?x?x?xf32> {onnx.dims = ["b", "t", "hq"], onnx.name = "q"},
                            %k: tensor<?x?x?xf32> {onnx.dims = ["bk", "tk", "hk"], onnx.name = "k"},
                            %v: tensor<?x?x?xf32> {onnx.dims = ["bv", "tv", "hv"], onnx.name = "v"}) -> (tensor<*xf32>, tensor<*xf32>) {
  %y, %s = onnx.LinearAttention(%q, %k, %v) {q_num_heads = 4 : i64, kv_num_heads = 2 : i64, update_rule = "linear"} : (tensor<?x?x?xf32>, tensor<?x?x?xf32>, tensor<?x?x?xf32>) -> (tensor<*xf32>, tensor<*xf32>)
  return %y, %s : tensor<*xf32>, tensor<*xf32>
}

// -----

func.func @heads_of_no_group(%q: tensor<1x2x12xf32> {onnx.name = "q"}, %k: tensor<1x2x8xf32> {onnx.name = "k"}) -> (tensor<*xf32>, tensor<*xf32>) {
  // expected-error @below {{expected q_num_heads that kv_num_heads divides, but got 3 and 2}}
  %y, %s = onnx.LinearAttention(%q, %k, %k) {q_num_heads = 3 : i64, kv_num_heads = 2 : i64, update_rule = "linear"} : (tensor<1x2x12xf32>, tensor<1x2x8xf32>, tensor<1x2x8xf32>) -> (tensor<*xf32>, tensor<*xf32>)
  return %y, %s : tensor<*xf32>, tensor<*xf32>
}
