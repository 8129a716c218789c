// RUN: tenon-opt %s -split-input-file -plan-memory -verify-diagnostics | FileCheck %s

kernel.func @k inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// A place is taken over as soon as its value is dead, and not by the launch that
// still reads it; the last value goes to the output.
// CHECK-LABEL: func @reuse
// CHECK-SAME:    plan.arena_size = #[[SIZE:.+]],
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0] -> (0)>]
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0] -> (((s0 * 4 + 63) floordiv 64) * 64)>]
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0] -> (0)>]
// CHECK:         plan.launch {{.*}} storage [#plan.output<0>]
func.func @reuse(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0] -> (s0)>}) -> tensor<?xf32>
    attributes {tenon.symbols = ["n"]} {
  %0 = plan.launch @k(%x) symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.launch @k(%0) symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @k(%1) symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = plan.launch @k(%2) symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3 : tensor<?xf32>
}

// -----

kernel.func @k inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// A view keeps the bytes of its source alive: three places, not two.
// CHECK-LABEL: func @view_extends_life
// CHECK:         %[[A:.+]] = plan.launch {{.*}} storage [#plan.arena<()[s0] -> (0)>]
// CHECK:         %[[B:.+]] = plan.launch @k(%[[A]]) {{.*}} storage [#plan.arena<()[s0] -> (s0 * 256)>]
// CHECK:         %[[C:.+]] = plan.launch @k(%[[B]]) {{.*}} storage [#plan.arena<()[s0] -> (s0 * 512)>]
// CHECK:         plan.launch @k(%{{.+}}) {{.*}} storage [#plan.output<0>]
func.func @view_extends_life(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0] -> (s0 * 64)>}) -> (tensor<?xf32>, tensor<?xf32>)
    attributes {tenon.symbols = ["n"]} {
  %0 = plan.launch @k(%x) symbols affine_map<()[s0] -> (s0 * 64)> dims [affine_map<()[s0] -> (s0 * 64)>] : (tensor<?xf32>) -> tensor<?xf32>
  %v = plan.view %0 dims affine_map<()[s0] -> (s0, 64)> : tensor<?xf32> -> tensor<?x64xf32>
  %1 = plan.launch @k(%0) symbols affine_map<()[s0] -> (s0 * 64)> dims [affine_map<()[s0] -> (s0 * 64)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @k(%1) symbols affine_map<()[s0] -> (s0 * 64)> dims [affine_map<()[s0] -> (s0 * 64)>] : (tensor<?xf32>) -> tensor<?xf32>
  %w = plan.view %v dims affine_map<()[s0] -> (s0 * 64)> : tensor<?x64xf32> -> tensor<?xf32>
  %3 = plan.launch @k(%w) symbols affine_map<()[s0] -> (s0 * 64)> dims [affine_map<()[s0] -> (s0 * 64)>] : (tensor<?xf32>) -> tensor<?xf32>
  %4 = plan.launch @k(%2) symbols affine_map<()[s0] -> (s0 * 64)> dims [affine_map<()[s0] -> (s0 * 64)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3, %4 : tensor<?xf32>, tensor<?xf32>
}

// -----

// What no step writes for one output alone is copied there: an argument, a weight,
// a value that is in an output already. A view of a step's result is not copied.
// CHECK-LABEL: func @outputs
// CHECK-DAG:     %[[H:.+]] = plan.host_tensor #{{.+}} storage [#plan.output<2>]
// CHECK-DAG:     %[[W:.+]] = plan.weight
// CHECK:         %[[V:.+]] = plan.view %[[H]]
// CHECK:         %[[A:.+]] = plan.copy %arg0 storage [#plan.output<0>]
// CHECK:         %[[B:.+]] = plan.copy %[[W]] storage [#plan.output<1>]
// CHECK:         %[[D:.+]] = plan.copy %[[H]] storage [#plan.output<3>]
// CHECK:         plan.return %[[A]], %[[B]], %[[V]], %[[D]]
func.func @outputs(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<1x2xi64>, tensor<2xi64>) {
  %h = plan.host_tensor affine_map<() -> (1, 2)> : tensor<2xi64>
  %w = plan.weight "w" dense<1.0> : tensor<4xf32> : tensor<4xf32>
  %v = plan.view %h dims affine_map<() -> (1, 2)> : tensor<2xi64> -> tensor<1x2xi64>
  plan.return %x, %w, %v, %h : tensor<4xf32>, tensor<4xf32>, tensor<1x2xi64>, tensor<2xi64>
}

// -----

kernel.func @mn inputs 1 dims [affine_map<()[s0, s1] -> (s0 * s1)>, affine_map<()[s0, s1] -> (s0 * s1)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
kernel.func @narrow inputs 1 dims [affine_map<()[s0, s1] -> (s0 * s1)>, affine_map<()[s0, s1] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}
kernel.func @wide inputs 1 dims [affine_map<()[s0, s1] -> (s0)>, affine_map<()[s0, s1] -> (s0 * s1)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// With m of at least one, n fits where n * m was.
// CHECK-LABEL: func @smaller_fits
// CHECK:         plan.launch @mn({{.*}} storage [#plan.arena<()[s0, s1] -> (0)>]
// CHECK:         plan.launch @mn({{.*}} storage [#plan.arena<()[s0, s1] -> ({{.*}}floordiv
// CHECK:         plan.launch @narrow({{.*}} storage [#plan.arena<()[s0, s1] -> (0)>]
func.func @smaller_fits(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s0 * s1)>}) -> tensor<?xf32>
    attributes {tenon.symbols = ["n", "m"], tenon.symbol_ranges = {n = array<i64: 0, 9>, m = array<i64: 1, 9>}} {
  %0 = plan.launch @mn(%x) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.launch @mn(%0) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @narrow(%1) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = plan.launch @wide(%2) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3 : tensor<?xf32>
}

// With m of zero it would not: n gets a place of its own.
// CHECK-LABEL: func @smaller_may_not_fit
// CHECK:         plan.launch @narrow({{.*}} storage [#plan.arena<()[s0, s1] -> ({{.*}} + {{.*}})>]
func.func @smaller_may_not_fit(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s0 * s1)>}) -> tensor<?xf32>
    attributes {tenon.symbols = ["n", "m"], tenon.symbol_ranges = {n = array<i64: 0, 9>, m = array<i64: 0, 9>}} {
  %0 = plan.launch @mn(%x) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.launch @mn(%0) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @narrow(%1) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = plan.launch @wide(%2) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3 : tensor<?xf32>
}

// A dead place that is provably too small grows.
// CHECK-LABEL: func @grows
// CHECK-SAME:    plan.arena_size = #[[TWO:.+]],
// CHECK:         plan.launch @narrow({{.*}} storage [#plan.arena<()[s0, s1] -> (0)>]
// CHECK:         plan.launch @wide({{.*}} storage [#plan.arena<()[s0, s1] -> (((s0 * 4 + 63) floordiv 64) * 64)>]
// CHECK:         plan.launch @mn({{.*}} storage [#plan.output<0>]
func.func @grows(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s0 * s1)>}) -> tensor<?xf32>
    attributes {tenon.symbols = ["n", "m"], tenon.symbol_ranges = {n = array<i64: 1, 9>, m = array<i64: 1, 9>}} {
  %0 = plan.launch @narrow(%x) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.launch @wide(%0) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @mn(%1) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [affine_map<()[s0, s1] -> (s0 * s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %2 : tensor<?xf32>
}

// -----

// Only steps of a plan have places.
func.func @other(%x: tensor<4xf32>) {
  // expected-error @below {{expected a step of a plan, but got an operation that memory is not planned for}}
  %0 = math.exp %x : tensor<4xf32>
  plan.return
}

// -----

kernel.func @k inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// What a decoder's next step makes larger comes last, with room for some steps.
// CHECK-LABEL: func @steps_come_last
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0, s1] -> (((s0 * 4 + 63) floordiv 64) * 64)>]
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0, s1] -> (0)>]
// CHECK:         plan.launch {{.*}} storage [#plan.arena<()[s0, s1] -> (((s0 * 4 + 63) floordiv 64) * 64 + (s1 ceildiv 256) * 1024)>]
func.func @steps_come_last(%x: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s1)>},
                           %y: tensor<?xf32> {tenon.dims = affine_map<()[s0, s1] -> (s0)>}) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
    attributes {tenon.symbols = ["n", "rows"], tenon.step_symbols = array<i64: 1>} {
  %0 = plan.launch @k(%x) symbols affine_map<()[s0, s1] -> (s1)> dims [affine_map<()[s0, s1] -> (s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %1 = plan.launch @k(%y) symbols affine_map<()[s0, s1] -> (s0)> dims [affine_map<()[s0, s1] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %2 = plan.launch @k(%x) symbols affine_map<()[s0, s1] -> (s1)> dims [affine_map<()[s0, s1] -> (s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %3 = plan.launch @k(%0) symbols affine_map<()[s0, s1] -> (s1)> dims [affine_map<()[s0, s1] -> (s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  %4 = plan.launch @k(%1) symbols affine_map<()[s0, s1] -> (s0)> dims [affine_map<()[s0, s1] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
  %5 = plan.launch @k(%2) symbols affine_map<()[s0, s1] -> (s1)> dims [affine_map<()[s0, s1] -> (s1)>] : (tensor<?xf32>) -> tensor<?xf32>
  plan.return %3, %4, %5 : tensor<?xf32>, tensor<?xf32>, tensor<?xf32>
}

// -----

// What two states are given of each other is saved before either is written.
// CHECK-LABEL: func @swapped
// CHECK:         %[[B:.+]] = plan.copy %arg1 storage [#plan.arena
// CHECK:         %[[A:.+]] = plan.copy %arg0 storage [#plan.arena
// CHECK:         plan.copy %[[B]] storage [#plan.state<0>]
// CHECK:         plan.copy %[[A]] storage [#plan.state<1>]
func.func @swapped(%a: tensor<4xf32> {tenon.dims = affine_map<() -> (4)>, tenon.state = ["a", "value"]},
                   %b: tensor<4xf32> {tenon.dims = affine_map<() -> (4)>, tenon.state = ["b", "value"]})
    -> (tensor<4xf32> {tenon.state = ["a", "value"]}, tensor<4xf32> {tenon.state = ["b", "value"]}) {
  plan.return %b, %a : tensor<4xf32>, tensor<4xf32>
}

// -----

// A state that stays as it is is not copied.
// CHECK-LABEL: func @kept
// CHECK-NEXT:    plan.return
func.func @kept(%a: tensor<4xf32> {tenon.dims = affine_map<() -> (4)>, tenon.state = ["a", "value"]})
    -> (tensor<4xf32> {tenon.state = ["a", "value"]}) {
  plan.return %a : tensor<4xf32>
}
