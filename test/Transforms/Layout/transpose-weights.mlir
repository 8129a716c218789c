// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(transpose-weights))" --split-input-file --mlir-print-local-scope | FileCheck %s

#id = affine_map<()[s0] -> (s0, 64)>
#w = affine_map<()[s0] -> (64, 96)>
#y = affine_map<()[s0] -> (s0, 96)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A contraction's weight gets what is summed last.
// CHECK-LABEL: @matrix
func.func @matrix(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // CHECK: %[[W:.*]] = kernel.weight "w" dense<1.0{{.*}}> : tensor<64x96xf32> encoding "lines:0:64" : tensor<96x64xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x96xf32> : tensor<64x96xf32>
  // CHECK: kernel.launch(%{{.*}}, %[[W]]) {{.*}} tensor<96x64xf32>) ->
  // CHECK: indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>,
  %y = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#id, #w, #y] : (tensor<?x64xf32>, tensor<64x96xf32>) -> tensor<?x96xf32> {
  ^bb0(%a: tensor<?x64xf32>, %b: tensor<64x96xf32>, %d: tensor<?x96xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<?x64xf32>, tensor<64x96xf32>) outs(%d : tensor<?x96xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %s = arith.mulf %p, %q : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x96xf32>
    kernel.yield %r : tensor<?x96xf32>
  }
  return %y : tensor<?x96xf32>
}

// -----

// A weight with a reader of another kind stays.
// CHECK-LABEL: @other
func.func @other(%x: tensor<64x96xf32>) -> tensor<64x96xf32> {
  // CHECK: kernel.weight "w" dense<1.0{{.*}}> : tensor<64x96xf32> : tensor<64x96xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x96xf32> : tensor<64x96xf32>
  %y = kernel.launch(%x, %w) symbols affine_map<() -> ()> dims [affine_map<() -> (64, 96)>, affine_map<() -> (64, 96)>, affine_map<() -> (64, 96)>] : (tensor<64x96xf32>, tensor<64x96xf32>) -> tensor<64x96xf32> {
  ^bb0(%a: tensor<64x96xf32>, %b: tensor<64x96xf32>, %d: tensor<64x96xf32>):
    %r = linalg.add ins(%a, %b : tensor<64x96xf32>, tensor<64x96xf32>) outs(%d : tensor<64x96xf32>) -> tensor<64x96xf32>
    kernel.yield %r : tensor<64x96xf32>
  }
  return %y : tensor<64x96xf32>
}

// -----

#id = affine_map<()[s0] -> (s0, 64)>
#w = affine_map<()[s0] -> (96, 64)>
#y = affine_map<()[s0] -> (s0, 96)>

// What is summed lies last already.
// CHECK-LABEL: @last
func.func @last(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // CHECK: kernel.weight "w" dense<1.0{{.*}}> : tensor<96x64xf32> : tensor<96x64xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<96x64xf32> : tensor<96x64xf32>
  %y = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#id, #w, #y] : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
  ^bb0(%a: tensor<?x64xf32>, %b: tensor<96x64xf32>, %d: tensor<?x96xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<?x64xf32>, tensor<96x64xf32>) outs(%d : tensor<?x96xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %s = arith.mulf %p, %q : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x96xf32>
    kernel.yield %r : tensor<?x96xf32>
  }
  return %y : tensor<?x96xf32>
}
