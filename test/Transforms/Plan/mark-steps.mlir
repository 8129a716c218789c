// RUN: tenon-opt %s -split-input-file -mark-steps | FileCheck %s
// RUN: tenon-opt %s -split-input-file -mark-steps -remark-format=emitRemark -remarks-filter=mark-steps 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK

// The rows of a state, sums over them and sizes defined over them change from call to
// call; batch and capacity do not.

// REMARK: 2 of 3 symbols change from call to call
// REMARK: 1 of 1 symbols change
// CHECK: kernel.func @attend inputs 1
// CHECK-SAME: step_symbols [1, 2]
kernel.func @attend inputs 1 dims [affine_map<()[s0, s1, s2] -> (s0, s1, s2)>, affine_map<()[s0, s1, s2] -> (s0)>] {
^bb0(%a: tensor<?x?x?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
// One launch is enough.
// CHECK: kernel.func @fill inputs 1
// CHECK-SAME: step_symbols [0]
kernel.func @fill inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
// CHECK: kernel.func @other inputs 1
// CHECK-NOT: step_symbols
kernel.func @other inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
// CHECK: func.func @main
// CHECK-SAME: tenon.step_symbols = array<i64: 1, 3>
func.func @main(%rows: tensor<?x2x?x8xf32> {tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, 2, s1, 8)>, tenon.state_rows = "c"},
                %keys: tensor<?x2x?x8xf32> {tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, 2, s2, 8)>, tenon.state = ["c", "key"]},
                %x: tensor<?x?x?xf32> {tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0, s1 + 1, s3)>},
                %y: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s0)>},
                %z: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1, s2, s3] -> (s1)>})
    -> tensor<?xf32> attributes {tenon.symbols = ["batch", "past", "capacity", "most"],
        tenon.symbol_defs = [{}, {}, {}, {op = "min", operands = affine_map<()[s0, s1, s2, s3] -> (s1 + 1, 64)>}]} {
  %0 = plan.launch @attend(%x) symbols affine_map<()[s0, s1, s2, s3] -> (s0, s1 + 1, s3)>
      dims [affine_map<()[s0, s1, s2, s3] -> (s0)>] : (tensor<?x?x?xf32>) -> tensor<?xf32>
  %1 = plan.launch @fill(%y) symbols affine_map<()[s0, s1, s2, s3] -> (s0)>
      dims [affine_map<()[s0, s1, s2, s3] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @fill(%z) symbols affine_map<()[s0, s1, s2, s3] -> (s1)>
      dims [affine_map<()[s0, s1, s2, s3] -> (s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = plan.launch @other(%y) symbols affine_map<()[s0, s1, s2, s3] -> (s0 + s2 * 0)>
      dims [affine_map<()[s0, s1, s2, s3] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3 : tensor<?xf32>
}

// -----

// A mask that the caller hands in is for as many keys as there are then, and has a size
// of its own; so has what is made of it.
// CHECK: kernel.func @attention inputs 4
// CHECK-SAME: step_symbols [1, 2]
kernel.func @attention inputs 4 dims [affine_map<()[s0, s1, s2] -> (1, s0, 2, 8)>, affine_map<()[s0, s1, s2] -> (1, 2, s1, 8)>, affine_map<()[s0, s1, s2] -> (1, 2, s1, 8)>, affine_map<()[s0, s1, s2] -> (1, 1, s0, s2)>, affine_map<()[s0, s1, s2] -> (1, s0, 2, 8)>] {
^bb0(%q: tensor<1x?x2x8xf32>, %k: tensor<1x2x?x8xf32>, %v: tensor<1x2x?x8xf32>, %m: tensor<1x1x?x?xi1>, %d: tensor<1x?x2x8xf32>):
  %0 = kernel.attention ins(%q, %k, %v) mask(%m) outs(%d)
      maps [affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, 0, d2, d3)>] {scale = 1.0 : f64}
      : (tensor<1x?x2x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x1x?x?xi1>, tensor<1x?x2x8xf32>) -> tensor<1x?x2x8xf32>
  kernel.yield %0 : tensor<1x?x2x8xf32>
}
// CHECK: kernel.func @widen inputs 1
// CHECK-SAME: step_symbols [1]
kernel.func @widen inputs 1 dims [affine_map<()[s0, s1] -> (s1)>, affine_map<()[s0, s1] -> (1, 1, s0, s1)>] {
^bb0(%a: tensor<?xi1>, %d: tensor<1x1x?x?xi1>):
  kernel.yield %d : tensor<1x1x?x?xi1>
}
// CHECK: func.func @masked
// CHECK-SAME: tenon.step_symbols = array<i64: 1, 2>
func.func @masked(%q: tensor<1x?x2x8xf32> {tenon.dims = affine_map<()[s0, s1, s2] -> (1, s0, 2, 8)>},
                  %rows: tensor<1x2x?x8xf32> {tenon.dims = affine_map<()[s0, s1, s2] -> (1, 2, s1, 8)>, tenon.state_rows = "c"},
                  %k: tensor<1x2x?x8xf32> {tenon.dims = affine_map<()[s0, s1, s2] -> (1, 2, s0 + s1, 8)>},
                  %m: tensor<?xi1> {tenon.dims = affine_map<()[s0, s1, s2] -> (s2)>})
    -> tensor<1x?x2x8xf32> attributes {tenon.symbols = ["tokens", "past", "total"]} {
  %0 = plan.launch @widen(%m) symbols affine_map<()[s0, s1, s2] -> (s0, s2)>
      dims [affine_map<()[s0, s1, s2] -> (1, 1, s0, s2)>] : (tensor<?xi1>) -> tensor<1x1x?x?xi1>
  %1 = plan.launch @attention(%q, %k, %k, %0) symbols affine_map<()[s0, s1, s2] -> (s0, s0 + s1, s2)>
      dims [affine_map<()[s0, s1, s2] -> (1, s0, 2, 8)>] : (tensor<1x?x2x8xf32>, tensor<1x2x?x8xf32>, tensor<1x2x?x8xf32>, tensor<1x1x?x?xi1>) -> tensor<1x?x2x8xf32>
  plan.return %1 : tensor<1x?x2x8xf32>
}

// -----

// The past that is an input's size is given anew with its bytes: all of that changes.
// CHECK: kernel.func @attend inputs 1
// CHECK-NOT: step_symbols
kernel.func @attend inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
func.func @main(%past: tensor<?xf32> {tenon.dims = affine_map<()[s0] -> (s0)>}) -> tensor<?xf32>
    attributes {tenon.symbols = ["past"]} {
  %0 = plan.launch @attend(%past) symbols affine_map<()[s0] -> (s0)>
      dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %0 : tensor<?xf32>
}
