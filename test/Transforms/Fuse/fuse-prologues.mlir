// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(fuse-prologues))' -mlir-print-local-scope | FileCheck %s

#x = affine_map<()[s0] -> (s0, 8)>
#i = affine_map<(i, j) -> (i)>
#ij = affine_map<(i, j) -> (i, j)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// The product makes the rows that it alone reads.
// CHECK-LABEL: @norm
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x6xf32>)
func.func @norm(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> tensor<?x6xf32> {
  // CHECK: %[[Y:.*]] = kernel.launch(%[[X]], %[[W]])
  // CHECK: linalg.generic {{.*}} ["parallel", "reduction"]}
  // CHECK: %[[ROWS:.*]] = linalg.generic {{.*}} ["parallel", "parallel"]}
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel", "reduction"]} ins(%[[ROWS]],
  // CHECK-NOT: kernel.launch
  // CHECK: return %[[Y]]
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<?x8xf32>) outs(%f : tensor<?xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.mulf %u, %u : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a, %s : tensor<?x8xf32>, tensor<?xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %g: f32, %o: f32):
      %m = arith.divf %u, %g : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  %y = kernel.launch(%h, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, affine_map<()[s0] -> (8, 6)>, affine_map<()[s0] -> (s0, 6)>] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.mulf %u, %v : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %y : tensor<?x6xf32>
}

// Rows that are read twice are made once.
// CHECK-LABEL: @two_readers
func.func @two_readers(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x8xf32>) {
  // CHECK-COUNT-2: kernel.launch
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<?x8xf32>) outs(%f : tensor<?xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.mulf %u, %u : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a, %s : tensor<?x8xf32>, tensor<?xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %g: f32, %o: f32):
      %m = arith.divf %u, %g : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  %y = kernel.launch(%h, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, affine_map<()[s0] -> (8, 6)>, affine_map<()[s0] -> (s0, 6)>] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.mulf %u, %v : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %y, %h : tensor<?x6xf32>, tensor<?x8xf32>
}

// With so many columns too many blocks would make each row.
// CHECK-LABEL: @many_columns
func.func @many_columns(%x: tensor<?x8xf32>, %w: tensor<8x8193xf32>) -> tensor<?x8193xf32> {
  // CHECK-COUNT-2: kernel.launch
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<?x8xf32>) outs(%f : tensor<?xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.mulf %u, %u : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a, %s : tensor<?x8xf32>, tensor<?xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %g: f32, %o: f32):
      %m = arith.divf %u, %g : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  %y = kernel.launch(%h, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, affine_map<()[s0] -> (8, 8193)>, affine_map<()[s0] -> (s0, 8193)>] : (tensor<?x8xf32>, tensor<8x8193xf32>) -> tensor<?x8193xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x8193xf32>, %d: tensor<?x8193xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x8193xf32>) outs(%d : tensor<?x8193xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.mulf %u, %v : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x8193xf32>
    kernel.yield %r : tensor<?x8193xf32>
  }
  return %y : tensor<?x8193xf32>
}

// Rows without sums over their elements are no prologue.
// CHECK-LABEL: @no_sums
func.func @no_sums(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> tensor<?x6xf32> {
  // CHECK-COUNT-2: kernel.launch
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %r = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x8xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.negf %u : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  %y = kernel.launch(%h, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, affine_map<()[s0] -> (8, 6)>, affine_map<()[s0] -> (s0, 6)>] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.mulf %u, %v : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %y : tensor<?x6xf32>
}

// What does more with the rows than multiply them needs them in memory.
// CHECK-LABEL: @no_product
func.func @no_product(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // CHECK-COUNT-2: kernel.launch
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
    %s = linalg.generic {indexing_maps = [#ij, #i], iterator_types = ["parallel", "reduction"]}
        ins(%a : tensor<?x8xf32>) outs(%f : tensor<?xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.mulf %u, %u : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?xf32>
    %r = linalg.generic {indexing_maps = [#ij, #i, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a, %s : tensor<?x8xf32>, tensor<?xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %g: f32, %o: f32):
      %m = arith.divf %u, %g : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  %y = kernel.launch(%h) symbols affine_map<()[s0] -> (s0)> dims [#x, #x] : (tensor<?x8xf32>) -> tensor<?x8xf32> {
  ^bb0(%a: tensor<?x8xf32>, %d: tensor<?x8xf32>):
    %r = linalg.generic {indexing_maps = [#ij, #ij], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x8xf32>) outs(%d : tensor<?x8xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.negf %u : f32
      linalg.yield %m : f32
    } -> tensor<?x8xf32>
    kernel.yield %r : tensor<?x8xf32>
  }
  return %y : tensor<?x8xf32>
}

// Rows whose leading dimensions a view makes one are read by way of it.
// CHECK-LABEL: @behind_view
func.func @behind_view(%x: tensor<?x2x8xf32>, %w: tensor<8x6xf32>) -> tensor<?x6xf32> {
  // CHECK: kernel.launch
  // CHECK: %[[FLAT:.*]] = tensor.collapse_shape {{.*}} {{\[\[}}0, 1], [2]] : tensor<?x2x8xf32> into tensor<?x8xf32>
  // CHECK: linalg.generic {{.*}} ins(%[[FLAT]],
  // CHECK-NOT: kernel.launch
  %h = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)> dims [affine_map<()[s0] -> (s0, 2, 8)>, affine_map<()[s0] -> (s0, 2, 8)>] : (tensor<?x2x8xf32>) -> tensor<?x2x8xf32> {
  ^bb0(%a: tensor<?x2x8xf32>, %d: tensor<?x2x8xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty(%n) : tensor<?x2xf32>
    %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x2xf32>) -> tensor<?x2xf32>
    %s = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j)>], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a : tensor<?x2x8xf32>) outs(%f : tensor<?x2xf32>) {
    ^bb1(%u: f32, %o: f32):
      %m = arith.mulf %u, %u : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?x2xf32>
    %r = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j)>, affine_map<(i, j, k) -> (i, j, k)>], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%a, %s : tensor<?x2x8xf32>, tensor<?x2xf32>) outs(%d : tensor<?x2x8xf32>) {
    ^bb1(%u: f32, %g: f32, %o: f32):
      %m = arith.divf %u, %g : f32
      linalg.yield %m : f32
    } -> tensor<?x2x8xf32>
    kernel.yield %r : tensor<?x2x8xf32>
  }
  %flat = kernel.view %h dims affine_map<()[s0] -> (s0 * 2, 8)> : tensor<?x2x8xf32> -> tensor<?x8xf32>
  %y = kernel.launch(%flat, %w) symbols affine_map<()[s0] -> (s0 * 2)> dims [#x, affine_map<()[s0] -> (8, 6)>, affine_map<()[s0] -> (s0, 6)>] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.mulf %u, %v : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %y : tensor<?x6xf32>
}
