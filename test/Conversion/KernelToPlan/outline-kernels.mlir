// RUN: tenon-opt %s -split-input-file -outline-kernels -verify-diagnostics | FileCheck %s

// The dimensions of a result are over the function's symbols.
// CHECK:       #[[$ROWS:.+]] = affine_map<()[s0] -> (s0 * 2, 4)>
// Two layers whose launches read the same share one kernel; another shape does not.
// CHECK:       kernel.func @add_f32_0 inputs 2
// CHECK-NEXT:  ^bb0(%{{.+}}: tensor<?x4xf32>
// CHECK:       kernel.func @add_f32_1 inputs 2
// CHECK-NEXT:  ^bb0(%{{.+}}: tensor<?x8xf32>
// CHECK-NOT:   kernel.func
// CHECK-LABEL: func @shared
// CHECK:         %[[A:.+]] = plan.launch @add_f32_0(%arg0, %arg0) symbols #[[BATCH:.+]] dims [#[[$ROWS]]]
// CHECK-SAME:      {node = "first"}
// CHECK:         %[[V:.+]] = plan.view %[[A]]
// CHECK:         plan.launch @add_f32_0(%[[A]], %[[A]]) symbols
// CHECK:         plan.launch @add_f32_1(%[[V]], %[[V]])
// CHECK:         plan.return
func.func @shared(%x: tensor<?x4xf32> {tenon.dims = affine_map<()[s0] -> (s0 * 2, 4)>})
    -> (tensor<?x4xf32>, tensor<?x8xf32>) attributes {tenon.symbols = ["n"]} {
  %0 = kernel.launch(%x, %x) symbols affine_map<()[s0] -> (s0 * 2)>
      dims [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>]
      {node = "first"} : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%a: tensor<?x4xf32>, %b: tensor<?x4xf32>, %d: tensor<?x4xf32>):
    %r = linalg.add ins(%a, %b : tensor<?x4xf32>, tensor<?x4xf32>) outs(%d : tensor<?x4xf32>) -> tensor<?x4xf32>
    kernel.yield %r : tensor<?x4xf32>
  }
  %1 = kernel.view %0 dims affine_map<()[s0] -> (s0, 8)> : tensor<?x4xf32> -> tensor<?x8xf32>
  %2 = kernel.launch(%0, %0) symbols affine_map<()[s0] -> (s0 * 2)>
      dims [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>]
      : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%p: tensor<?x4xf32>, %q: tensor<?x4xf32>, %d: tensor<?x4xf32>):
    %sum = linalg.add ins(%p, %q : tensor<?x4xf32>, tensor<?x4xf32>) outs(%d : tensor<?x4xf32>) -> tensor<?x4xf32>
    kernel.yield %sum : tensor<?x4xf32>
  }
  %3 = kernel.launch(%1, %1) symbols affine_map<()[s0] -> (s0)>
      dims [affine_map<()[s0] -> (s0, 8)>, affine_map<()[s0] -> (s0, 8)>, affine_map<()[s0] -> (s0, 8)>]
      : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %b: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %r = linalg.add ins(%a, %b : tensor<?x8xf32>, tensor<?x8xf32>) outs(%d : tensor<?x8xf32>) -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  return %2, %3 : tensor<?x4xf32>, tensor<?x8xf32>
}

// -----

// A name lists at most three operations and passes over constants; a name that is
// taken gets the next number.
// CHECK:       kernel.func @mul_tanh_add_more_f32_1 inputs 1
// CHECK-LABEL: func @mul_tanh_add_more_f32_0
// CHECK:         %[[SHAPE:.+]] = plan.host_tensor
// CHECK:         plan.weight "w" dense<2.000000e+00>
// CHECK:         plan.launch @mul_tanh_add_more_f32_1
func.func @mul_tanh_add_more_f32_0() -> (tensor<4xf32>, tensor<1xi64>) {
  %shape = kernel.host_tensor affine_map<() -> (4)> : tensor<1xi64>
  %w = kernel.weight "w" dense<2.0> : tensor<4xf32> : tensor<4xf32>
  %0 = kernel.launch(%w) symbols affine_map<() -> ()>
      dims [affine_map<() -> (4)>, affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    %half = arith.constant 0.5 : f32
    %r = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
        ins(%a : tensor<4xf32>) outs(%d : tensor<4xf32>) {
    ^bb0(%x: f32, %o: f32):
      %1 = arith.mulf %x, %half : f32
      %2 = math.tanh %1 : f32
      %3 = arith.addf %2, %half : f32
      %4 = arith.divf %3, %x : f32
      linalg.yield %4 : f32
    } -> tensor<4xf32>
    kernel.yield %r : tensor<4xf32>
  }
  return %0, %shape : tensor<4xf32>, tensor<1xi64>
}

// -----

// Inputs that are weights are known as such, behind views too; what launches make is
// none, so that a kernel of the same body is another one.
// CHECK:       kernel.func @add_f32_0 inputs 2 dims [{{.+}}] weights [1]
// CHECK:       kernel.func @add_f32_1 inputs 2 dims [{{[^w]+}}] {
// CHECK-LABEL: func @weights
// CHECK:         plan.launch @add_f32_0(%arg0,
// CHECK:         plan.launch @add_f32_1(%arg0, %arg0)
func.func @weights(%x: tensor<4xf32> {tenon.dims = affine_map<() -> (4)>})
    -> (tensor<4xf32>, tensor<4xf32>) {
  %w = kernel.weight "w" dense<2.0> : tensor<2x2xf32> : tensor<2x2xf32>
  %v = kernel.view %w dims affine_map<() -> (4)> : tensor<2x2xf32> -> tensor<4xf32>
  %0 = kernel.launch(%x, %v) symbols affine_map<() -> ()>
      dims [affine_map<() -> (4)>, affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>, %d: tensor<4xf32>):
    %r = linalg.add ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
    kernel.yield %r : tensor<4xf32>
  }
  %1 = kernel.launch(%x, %x) symbols affine_map<() -> ()>
      dims [affine_map<() -> (4)>, affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>, %d: tensor<4xf32>):
    %r = linalg.add ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
    kernel.yield %r : tensor<4xf32>
  }
  return %0, %1 : tensor<4xf32>, tensor<4xf32>
}

// -----

// An argument of dynamic shape has to say what its dimensions are.
// expected-error @below {{expected 'tenon.dims' on argument 0 of type 'tensor<?xf32>', but got none}}
func.func @no_dims(%x: tensor<?xf32>) {
  return
}
