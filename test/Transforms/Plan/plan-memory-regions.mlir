// RUN: tenon-opt %s -split-input-file -plan-memory | FileCheck %s

kernel.func @k inputs 1 dims [affine_map<() -> (4)>, affine_map<() -> (4)>] {
^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
  kernel.yield %d : tensor<4xf32>
}

// A branch makes its value where the result is, here an output; what it only passes
// on is copied there.
// CHECK-LABEL: func @branch
// CHECK:         plan.if %arg0 {{.*}} storage [#plan.output<0>]
// CHECK:           %[[MADE:.+]] = plan.launch @k({{.*}} storage [#plan.output<0>]
// CHECK-NEXT:      plan.return %[[MADE]]
// CHECK:           %[[COPY:.+]] = plan.copy %arg1 storage [#plan.output<0>]
// CHECK-NEXT:      plan.return %[[COPY]]
func.func @branch(%c: tensor<i1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = plan.if %c dims [affine_map<() -> (4)>] : tensor<i1> -> tensor<4xf32> then {
    %1 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32>
    plan.return %1 : tensor<4xf32>
  } else {
    plan.return %x : tensor<4xf32>
  }
  plan.return %0 : tensor<4xf32>
}

// -----

kernel.func @k inputs 1 dims [affine_map<() -> (4)>, affine_map<() -> (4)>] {
^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
  kernel.yield %d : tensor<4xf32>
}

// What a body reads from outside is needed until the loop ends: the body's own value
// does not take its place. What is carried is copied to one place.
// CHECK-LABEL: func @loop
// CHECK:         %[[OUTER:.+]] = plan.launch @k(%arg0) {{.*}} storage [#plan.arena<() -> (0)>]
// CHECK:         %[[INIT:.+]] = plan.copy %arg0 storage [#[[PLACE:.+]]]
// CHECK:         plan.loop {{.*}} carries %[[INIT]] {{.*}} storage [#plan.arena<{{.*}}>, #[[PLACE]]]
// CHECK:           plan.launch @k(%[[OUTER]]) {{.*}} storage [#plan.arena<() -> ([[INNER:.+]])>]
// CHECK-NOT:       #plan.arena<() -> (0)>
// CHECK:           plan.copy %{{.+}} storage [#[[PLACE]]]
// CHECK:         plan.copy %{{.+}} storage [#plan.output<0>]
func.func @loop(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32>
  %1 = plan.loop trips affine_map<() -> (3)> carries %x : tensor<4xf32> dims [affine_map<() -> (4)>] -> tensor<4xf32> do {
  ^bb0(%count: tensor<i64>, %v: tensor<4xf32>):
    %2 = plan.launch @k(%0) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>] : (tensor<4xf32>) -> tensor<4xf32>
    plan.return %2 : tensor<4xf32>
  }
  plan.return %1 : tensor<4xf32>
}

// -----

// Values that change places are saved before the first is overwritten.
// CHECK-LABEL: func @swap
// CHECK:         ^bb0(%{{.+}}: tensor<i64>, %[[A:.+]]: tensor<4xf32>, %[[B:.+]]: tensor<4xf32>):
// CHECK-NEXT:      %[[SAVED_B:.+]] = plan.copy %[[B]]
// CHECK-NEXT:      %[[SAVED_A:.+]] = plan.copy %[[A]]
// CHECK-NEXT:      plan.copy %[[SAVED_B]]
// CHECK-NEXT:      plan.copy %[[SAVED_A]]
func.func @swap(%x: tensor<4xf32>, %y: tensor<4xf32>) {
  plan.loop trips affine_map<() -> (3)> carries %x, %y : tensor<4xf32>, tensor<4xf32>
      dims [affine_map<() -> (4)>, affine_map<() -> (4)>] -> tensor<4xf32>, tensor<4xf32> do {
  ^bb0(%count: tensor<i64>, %a: tensor<4xf32>, %b: tensor<4xf32>):
    plan.return %b, %a : tensor<4xf32>, tensor<4xf32>
  }
  plan.return
}

// -----

kernel.func @k inputs 0 dims [affine_map<()[s0] -> (s0)>] {
^bb0(%d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// A size that data gives has no place in the arena; a row is inserted where the rows
// are that are carried.
// CHECK-LABEL: func @grows
// CHECK-SAME:    plan.arena_size = #[[SIZE:[a-z0-9]+]]
// CHECK:         plan.read_symbol
// CHECK:         %[[INIT:.+]] = plan.launch @k() {{.*}} storage [#plan.heap<0>]
// CHECK:         plan.loop {{.*}} carries %[[INIT]] {{.*}} storage [#{{.*}}, #plan.heap<0>]
// CHECK:           %[[ROWS:.+]] = plan.insert {{.*}} storage [#plan.heap<0>]
// CHECK-NEXT:      plan.return %[[ROWS]]
func.func @grows(%n: tensor<i64>, %row: tensor<1xf32>) attributes {tenon.symbols = ["n"]} {
  plan.read_symbol 0 from %n[0] : tensor<i64>
  %0 = plan.launch @k() symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0)>] : () -> tensor<?xf32>
  %1 = plan.loop trips affine_map<()[s0] -> (s0)> carries %0 : tensor<?xf32> dims [affine_map<()[s0] -> (s0)>] -> tensor<?xf32> do {
  ^bb0(%count: tensor<i64>, %rows: tensor<?xf32>):
    plan.read_symbol 0 from %count[0] : tensor<i64>
    %2 = plan.insert %row into %rows at affine_map<()[s0] -> (s0)> dims affine_map<()[s0] -> (s0 + 1)>
        : tensor<1xf32> into tensor<?xf32> -> tensor<?xf32>
    plan.return %2 : tensor<?xf32>
  }
  plan.return
}
