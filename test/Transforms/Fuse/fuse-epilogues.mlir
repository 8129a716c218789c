// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(fuse-epilogues))' -split-input-file -mlir-print-local-scope | FileCheck %s

#x = affine_map<()[s0] -> (s0, 8)>
#w = affine_map<()[s0] -> (8, 6)>
#y = affine_map<()[s0] -> (s0, 6)>
#b = affine_map<()[s0] -> (6)>
#y3 = affine_map<()[s0, s1] -> (s0, s1, 6)>
#b3 = affine_map<()[s0, s1] -> (6)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A bias behind a reshape: the reshape moves behind both.
// CHECK-LABEL: @bias_behind_view
func.func @bias_behind_view(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>, %bias: tensor<6xf32>) -> tensor<?x?x6xf32> {
  // CHECK: %[[SUM:.*]] = kernel.launch(%arg0, %arg1, %arg2) symbols affine_map<()[s0, s1] -> (s0 * s1)>
  // CHECK: arith.mulf
  // CHECK: linalg.generic {{.*}} ["parallel", "parallel"]}
  // CHECK: %[[VIEW:.*]] = kernel.view %[[SUM]] {{.*}} : tensor<?x6xf32> -> tensor<?x?x6xf32>
  // CHECK-NOT: kernel.launch
  // CHECK: return %[[VIEW]]
  %p = kernel.launch(%x, %w) symbols affine_map<()[s0, s1] -> (s0 * s1)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
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
  %q = kernel.view %p dims affine_map<()[s0, s1] -> (s0, s1, 6)> : tensor<?x6xf32> -> tensor<?x?x6xf32>
  %z = kernel.launch(%q, %bias) symbols affine_map<()[s0, s1] -> (s0, s1)> dims [#y3, #b3, #y3] : (tensor<?x?x6xf32>, tensor<6xf32>) -> tensor<?x?x6xf32> {
  ^bb0(%a: tensor<?x?x6xf32>, %c: tensor<6xf32>, %d: tensor<?x?x6xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(i, j, n) -> (i, j, n)>, affine_map<(i, j, n) -> (n)>, affine_map<(i, j, n) -> (i, j, n)>], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%a, %c : tensor<?x?x6xf32>, tensor<6xf32>) outs(%d : tensor<?x?x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %s = arith.addf %u, %v : f32
      linalg.yield %s : f32
    } -> tensor<?x?x6xf32>
    kernel.yield %r : tensor<?x?x6xf32>
  }
  return %z : tensor<?x?x6xf32>
}

// -----

#x = affine_map<()[s0] -> (s0, 8)>
#w = affine_map<()[s0] -> (8, 6)>
#y = affine_map<()[s0] -> (s0, 6)>
#t = affine_map<()[s0] -> (6, s0)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A reader that transposes, and a sum that is read twice, stay on their own.
// CHECK-LABEL: @transposed
func.func @transposed(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> tensor<6x?xf32> {
  // CHECK-COUNT-2: kernel.launch
  %p = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
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
  %z = kernel.launch(%p) symbols affine_map<()[s0] -> (s0)> dims [#y, #t] : (tensor<?x6xf32>) -> tensor<6x?xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<6x?xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (j, i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<6x?xf32>) {
    ^bb1(%u: f32, %o: f32):
      linalg.yield %u : f32
    } -> tensor<6x?xf32>
    kernel.yield %r : tensor<6x?xf32>
  }
  return %z : tensor<6x?xf32>
}
// CHECK-LABEL: @read_twice
func.func @read_twice(%x: tensor<?x8xf32>, %w: tensor<8x6xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  // CHECK-COUNT-2: kernel.launch
  %p = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#x, #w, #y] : (tensor<?x8xf32>, tensor<8x6xf32>) -> tensor<?x6xf32> {
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
  %z = kernel.launch(%p) symbols affine_map<()[s0] -> (s0)> dims [#y, #y] : (tensor<?x6xf32>) -> tensor<?x6xf32> {
  ^bb0(%a: tensor<?x6xf32>, %d: tensor<?x6xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%a : tensor<?x6xf32>) outs(%d : tensor<?x6xf32>) {
    ^bb1(%u: f32, %o: f32):
      %s = arith.negf %u : f32
      linalg.yield %s : f32
    } -> tensor<?x6xf32>
    kernel.yield %r : tensor<?x6xf32>
  }
  return %p, %z : tensor<?x6xf32>, tensor<?x6xf32>
}
