// RUN: tenon-opt %s | tenon-opt | FileCheck %s
// RUN: tenon-opt %s -mlir-print-op-generic | tenon-opt | FileCheck %s

kernel.func @exp_f32_0 inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  %r = linalg.exp ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) -> tensor<?xf32>
  kernel.yield %r : tensor<?xf32>
}

// CHECK-LABEL: func @steps
// CHECK:         plan.launch @exp_f32_0(%{{.+}}) symbols #{{.+}} dims [#{{.+}}] storage [#plan.arena<()[s0, s1] -> (s0 * 4)>] : (tensor<?xf32>) -> tensor<?xf32>
// CHECK:         plan.view %{{.+}} dims #{{.+}} : tensor<?xf32> -> tensor<?x1xf32>
// CHECK:         plan.host_tensor #{{.+}} : tensor<2xi64>
// CHECK:         plan.read_symbol 1 from %{{.+}}[0] : tensor<2xi64>
// CHECK:         plan.check broadcasts #{{.+}}
// CHECK:         plan.check at_least #{{.+}}
// CHECK:         plan.weight "w" dense<1.000000e+00> : tensor<4xf32> : tensor<4xf32>
// CHECK:         plan.copy %{{.+}} storage [#plan.output<0>] : tensor<?x1xf32>
func.func @steps(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s0)>}) -> tensor<?x1xf32>
    attributes {tenon.symbols = ["n", "count"]} {
  %0 = plan.launch @exp_f32_0(%x) symbols affine_map<()[s0, s1] -> (s0)>
      dims [affine_map<()[s0, s1] -> (s0)>]
      storage [#plan.arena<()[s0, s1] -> (s0 * 4)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.view %0 dims affine_map<()[s0, s1] -> (s0, 1)> : tensor<?xf32> -> tensor<?x1xf32>
  %2 = plan.host_tensor affine_map<()[s0, s1] -> (1, s0)> : tensor<2xi64>
  plan.read_symbol 1 from %2[0] : tensor<2xi64>
  plan.check broadcasts affine_map<()[s0, s1] -> (s0, s1)>
  plan.check at_least affine_map<()[s0, s1] -> (s0, s1)>
  %3 = plan.weight "w" dense<1.0> : tensor<4xf32> : tensor<4xf32>
  %4 = plan.copy %1 storage [#plan.output<0>] : tensor<?x1xf32>
  plan.return %4 : tensor<?x1xf32>
}

// CHECK-LABEL: func @regions
// CHECK:         plan.if %{{.+}} dims [#{{.+}}] : tensor<i1> -> tensor<4xf32> then {
// CHECK:         } else {
// CHECK:         plan.loop while %{{.+}} : tensor<i1> trips #{{.+}} carries %{{.+}} : tensor<4xf32> dims [#{{.+}}] -> tensor<4xf32> do {
// CHECK:         plan.loop trips #{{.+}} carries dims [] do {
func.func @regions(%c: tensor<i1>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %0 = plan.if %c dims [affine_map<() -> (4)>] : tensor<i1> -> tensor<4xf32> then {
    plan.return %a : tensor<4xf32>
  } else {
    plan.return %b : tensor<4xf32>
  }
  %1 = plan.loop while %c : tensor<i1> trips affine_map<() -> (8)> carries %0 : tensor<4xf32>
      dims [affine_map<() -> (4)>] -> tensor<4xf32> do {
  ^bb0(%count: tensor<i64>, %v: tensor<4xf32>):
    plan.return %c, %v : tensor<i1>, tensor<4xf32>
  }
  plan.loop trips affine_map<() -> (2)> carries dims [] do {
  ^bb0(%count: tensor<i64>):
    plan.return
  }
  plan.return %1 : tensor<4xf32>
}

// Rows are written into a place that grows.
// CHECK-LABEL: func @insert
// CHECK:         plan.insert %{{.+}} into %{{.+}} at #{{.+}} dims #{{.+}} storage [#plan.heap<0>] : tensor<4xf32> into tensor<?x4xf32> -> tensor<?x4xf32>
func.func @insert(%row: tensor<4xf32>, %rows: tensor<?x4xf32> {tenon.dims = affine_map<()[s0] -> (s0, 4)>})
    attributes {tenon.symbols = ["n"]} {
  %0 = plan.insert %row into %rows at affine_map<()[s0] -> (s0 * 4)> dims affine_map<()[s0] -> (s0 + 1, 4)>
      storage [#plan.heap<0>] : tensor<4xf32> into tensor<?x4xf32> -> tensor<?x4xf32>
  plan.return
}
