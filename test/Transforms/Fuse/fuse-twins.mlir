// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(fuse-epilogues{twins}))' -split-input-file -mlir-print-local-scope | FileCheck %s
// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(fuse-epilogues))' -split-input-file | FileCheck %s --check-prefix=ALONE

// Without being asked for, products stay apart.
// ALONE-LABEL: @gate
// ALONE: kernel.launch
// ALONE: kernel.launch
// ALONE: return

#x = affine_map<()[s0] -> (s0, 8)>
#w = affine_map<()[s0] -> (8, 6)>
#y = affine_map<()[s0] -> (s0, 6)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
#id = affine_map<(i, j) -> (i, j)>

// A gate and what it gates, products of the same rows, are one launch of both sums.
// CHECK-LABEL: @gate
// CHECK-SAME: %[[X:.*]]: tensor<?x8xf32>, %[[W:.*]]: tensor<8x6xf32>, %[[V:.*]]: tensor<8x6xf32>
func.func @gate(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>, %v: tensor<8x6xf32>) -> tensor<?x6xf32> {
  // CHECK: %[[BOTH:.*]] = kernel.launch(%[[X]], %[[W]], %[[V]])
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel", "reduction"]}
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel", "reduction"]}
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel"]}
  // CHECK-NOT: kernel.launch
  // CHECK: return %[[BOTH]]
  %g = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %t: f32, %o: f32):
      %s = arith.mulf %u, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %u = kernel.launch(%x, %v) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%q: f32, %t: f32, %o: f32):
      %s = arith.mulf %q, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %z = kernel.launch(%g, %u) symbols affine_map<()[s0] -> (s0)> dims [#y, #y, #y] : (tensor<?x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %c: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%a, %c : tensor<?x6xf32>, tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%q: f32, %t: f32, %o: f32):
      %s = arith.mulf %q, %t : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %z : tensor<?x6xf32>
}

// Products of other rows stay apart: one launch would read both.
// CHECK-LABEL: @gate_of_other_rows
func.func @gate_of_other_rows(%x: tensor<?x8xf32>, %x2: tensor<?x8xf32>, %w: tensor<8x6xf32>, %v: tensor<8x6xf32>) -> tensor<?x6xf32> {
  // CHECK-COUNT-2: kernel.launch
  %g = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %t: f32, %o: f32):
      %s = arith.mulf %u, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %z = kernel.launch(%x2, %v, %g) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y, #y] : (tensor<?x8xf32>, tensor<8x6xf32>, tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x8xf32>, %c: tensor<8x6xf32>, %e: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x8xf32>, tensor<8x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%q: f32, %t: f32, %o: f32):
      %s = arith.mulf %q, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    %m = linalg.generic {indexing_maps = [#id, #id, #id], iterator_types = ["parallel", "parallel"]}
        ins(%r, %e : tensor<?x6xf32>, tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%q: f32, %t: f32, %o: f32):
      %s = arith.mulf %q, %t : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %m : tensor<?x6xf32>
  }
  return %z : tensor<?x6xf32>
}

// A product whose result is a factor of the next one must be complete before it.
// CHECK-LABEL: @factor
func.func @factor(%x: tensor<?x6xf32>, %w: tensor<6x6xf32>) -> tensor<?x6xf32> {
  // CHECK-COUNT-2: kernel.launch
  %g = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#y, affine_map<()[s0] -> (6, 6)>, #y] : (tensor<?x6xf32>, tensor<6x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %c: tensor<6x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x6xf32>, tensor<6x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %t: f32, %o: f32):
      %s = arith.mulf %u, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  %z = kernel.launch(%g, %w) symbols affine_map<()[s0] -> (s0)> dims [#y, affine_map<()[s0] -> (6, 6)>, #y] : (tensor<?x6xf32>, tensor<6x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %c: tensor<6x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %c : tensor<?x6xf32>, tensor<6x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%q: f32, %t: f32, %o: f32):
      %s = arith.mulf %q, %t : f32
      %p = arith.addf %o, %s : f32
      linalg.yield %p : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %z : tensor<?x6xf32>
}
