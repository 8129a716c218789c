// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(join-launches))' -mlir-print-local-scope | FileCheck %s

#x = affine_map<()[s0] -> (s0, 8)>
#w = affine_map<()[s0] -> (8, 6)>
#y = affine_map<()[s0] -> (s0, 6)>
#c = affine_map<()[s0] -> (9, 6)>
#r = affine_map<()[s0] -> (1, 6)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i, j) -> (i, j)>

// Products of the same rows are one launch; a weight in between moves before it.
// CHECK-LABEL: @same_rows
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x6xf32>)
func.func @same_rows(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK: %[[V:.*]] = kernel.weight "v"
  // CHECK: %[[P:.*]]:2 = kernel.launch(%[[X]], %[[W]], %[[V]]) symbols affine_map<()[s0] -> (s0)>
  // CHECK-NEXT: ^bb0(%{{.*}}: tensor<?x8xf32>, %{{.*}}: tensor<8x6xf32>, %{{.*}}: tensor<8x6xf32>, %[[TO:.*]]: tensor<?x6xf32>, %[[TO2:.*]]: tensor<?x6xf32>):
  // CHECK: %[[FIRST:.*]] = linalg.generic {{.*}} outs(%[[TO]]
  // CHECK: %[[SECOND:.*]] = linalg.generic {{.*}} outs(%[[TO2]]
  // CHECK: kernel.yield %[[FIRST]], %[[SECOND]]
  // CHECK-NOT: kernel.launch
  // CHECK: return %[[P]]#0, %[[P]]#1
  %p = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %v = kernel.weight "v" dense<1.0> : tensor<8x6xf32> : tensor<8x6xf32>
  %q = kernel.launch(%x, %v) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q : tensor<?x6xf32>, tensor<?x6xf32>
}

// Rows of other tensors: what one launch reads twice is not the same.
// CHECK-LABEL: @other_rows
func.func @other_rows(%x: tensor<?x8xf32>, %x2: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK-COUNT-2: kernel.launch
  %p = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %q = kernel.launch(%x2, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q : tensor<?x6xf32>, tensor<?x6xf32>
}

// Five would be too much code for one launch.
// CHECK-LABEL: @five
func.func @five(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK: :4 = kernel.launch
  // CHECK: = kernel.launch
  // CHECK-NOT: kernel.launch
  %p0 = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %p1 = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %p2 = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %p3 = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %p4 = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p0, %p1, %p2, %p3, %p4 : tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>
}

// Neighbours with parallel loops are one launch, where none needs the other.
// CHECK-LABEL: @neighbours
func.func @neighbours(%x: tensor<?x6xf32>, %y: tensor<?x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK: :2 = kernel.launch(%arg0, %arg1)
  // CHECK-NOT: kernel.launch
  %p = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %q = kernel.launch(%y) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q : tensor<?x6xf32>, tensor<?x6xf32>
}

// CHECK-LABEL: @dependent
func.func @dependent(%x: tensor<?x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK-COUNT-2: kernel.launch
  %p = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %q = kernel.launch(%p) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q : tensor<?x6xf32>, tensor<?x6xf32>
}

// Those that are no neighbours stay where their operands are still in cache.
// CHECK-LABEL: @interrupted
func.func @interrupted(%y: tensor<?x6xf32>, %x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK-COUNT-3: kernel.launch
  %p = kernel.launch(%y) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %q = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %z: f32, %o: f32):
      %s = arith.mulf %u, %z : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %t0 = kernel.launch(%y) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q, %t0 : tensor<?x6xf32>, tensor<?x6xf32>, tensor<?x6xf32>
}

// Each appends to a cache of its own, in place.
// CHECK-LABEL: @appends
// CHECK-SAME: %[[K:.*]]: tensor<9x6xf32>, %[[V:.*]]: tensor<9x6xf32>, %[[ROW:.*]]: tensor<1x6xf32>)
func.func @appends(%k: tensor<9x6xf32>, %v: tensor<9x6xf32>, %row: tensor<1x6xf32>) -> (tensor<9x6xf32>, tensor<9x6xf32>) {
  // CHECK: :2 = kernel.launch(%[[K]], %[[ROW]], %[[V]]) {{.*}} in_place [0, 2]
  // CHECK-NOT: kernel.launch
  %p = kernel.launch(%k, %row) symbols affine_map<()[s0] -> (s0)> dims [#c, #r, #c] in_place [0] : (tensor<9x6xf32>, tensor<1x6xf32>) -> tensor<9x6xf32> {
  ^bb0(%a: tensor<9x6xf32>, %b: tensor<1x6xf32>, %d: tensor<9x6xf32>):
    %r = tensor.insert_slice %b into %d[2, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<9x6xf32>
    kernel.yield %r : tensor<9x6xf32>
  }
  %q = kernel.launch(%v, %row) symbols affine_map<()[s0] -> (s0)> dims [#c, #r, #c] in_place [0] : (tensor<9x6xf32>, tensor<1x6xf32>) -> tensor<9x6xf32> {
  ^bb0(%a: tensor<9x6xf32>, %b: tensor<1x6xf32>, %d: tensor<9x6xf32>):
    %r = tensor.insert_slice %b into %d[2, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<9x6xf32>
    kernel.yield %r : tensor<9x6xf32>
  }
  return %p, %q : tensor<9x6xf32>, tensor<9x6xf32>
}

// What a result takes the place of is an input of its own, read nowhere else.
// CHECK-LABEL: @appends_to_copies
func.func @appends_to_copies(%k: tensor<9x6xf32>, %row: tensor<1x6xf32>) -> (tensor<9x6xf32>, tensor<9x6xf32>) {
  // CHECK: :2 = kernel.launch(%arg0, %arg1, %arg0) {{.*}} in_place [0, 2]
  %p = kernel.launch(%k, %row) symbols affine_map<()[s0] -> (s0)> dims [#c, #r, #c] in_place [0] : (tensor<9x6xf32>, tensor<1x6xf32>) -> tensor<9x6xf32> {
  ^bb0(%a: tensor<9x6xf32>, %b: tensor<1x6xf32>, %d: tensor<9x6xf32>):
    %r = tensor.insert_slice %b into %d[2, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<9x6xf32>
    kernel.yield %r : tensor<9x6xf32>
  }
  %q = kernel.launch(%k, %row) symbols affine_map<()[s0] -> (s0)> dims [#c, #r, #c] in_place [0] : (tensor<9x6xf32>, tensor<1x6xf32>) -> tensor<9x6xf32> {
  ^bb0(%a: tensor<9x6xf32>, %b: tensor<1x6xf32>, %d: tensor<9x6xf32>):
    %r = tensor.insert_slice %b into %d[2, 0] [1, 6] [1, 1] : tensor<1x6xf32> into tensor<9x6xf32>
    kernel.yield %r : tensor<9x6xf32>
  }
  return %p, %q : tensor<9x6xf32>, tensor<9x6xf32>
}

// A size that is read from data stays before those who ask for it.
// CHECK-LABEL: @size_from_data
func.func @size_from_data(%x: tensor<?x6xf32>, %n: tensor<1xi64>) -> (tensor<?x6xf32>, tensor<?x6xf32>) attributes {tenon.symbols = ["n"]} {
  // CHECK: kernel.launch
  // CHECK: plan.read_symbol
  // CHECK: kernel.launch
  %p = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  plan.read_symbol 0 from %n[0] : tensor<1xi64>
  %q = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %q : tensor<?x6xf32>, tensor<?x6xf32>
}
