// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(pack-weights))" --split-input-file --mlir-print-local-scope | FileCheck %s

#id = affine_map<()[s0] -> (s0, 64)>
#w = affine_map<()[s0] -> (64, 96)>
#y = affine_map<()[s0] -> (s0, 96)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A contraction's weight goes into panels of 32 columns.
// CHECK-LABEL: @matrix
func.func @matrix(%x: tensor<?x64xf32>) -> tensor<?x96xf32> {
  // CHECK: %[[W:.*]] = kernel.weight "w" dense<1.0{{.*}}> : tensor<64x96xf32> encoding "panels:32:1" : tensor<3x64x32xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x96xf32> : tensor<64x96xf32>
  // CHECK: kernel.launch(%{{.*}}, %[[W]]) {{.*}} tensor<3x64x32xf32>) ->
  // CHECK: indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1 floordiv 32, d2, d1 mod 32)>,
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

#id = affine_map<()[s0] -> (s0, 64)>
#w = affine_map<()[s0] -> (96, 64)>
#y = affine_map<()[s0] -> (s0, 96)>
#rows = affine_map<()[s0] -> (s0)>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#mn = affine_map<(m, n, k) -> (m, n)>

// A table that rows are gathered from follows the contraction that shares it.
// CHECK-LABEL: @table
func.func @table(%x: tensor<?x64xf32>, %i: tensor<?xindex>) -> (tensor<?x64xf32>, tensor<?x96xf32>) {
  // CHECK: kernel.weight {{.*}} encoding "panels:32:0" : tensor<3x64x32xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<96x64xf32> : tensor<96x64xf32>
  %g = kernel.launch(%w, %i) symbols affine_map<()[s0] -> (s0)> dims [#w, #rows, #id] : (tensor<96x64xf32>, tensor<?xindex>) -> tensor<?x64xf32> {
  ^bb0(%t: tensor<96x64xf32>, %at: tensor<?xindex>, %d: tensor<?x64xf32>):
    %r = linalg.generic {indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}
        ins(%at : tensor<?xindex>) outs(%d : tensor<?x64xf32>) {
    ^bb1(%row: index, %o: f32):
      %column = linalg.index 1 : index
      // CHECK: %[[PANEL:.*]] = arith.divui %[[ROW:.*]], %{{.*}} : index
      // CHECK: %[[WITHIN:.*]] = arith.remui %[[ROW]], %{{.*}} : index
      // CHECK: tensor.extract %{{.*}}[%[[PANEL]], %{{.*}}, %[[WITHIN]]]
      %e = tensor.extract %t[%row, %column] : tensor<96x64xf32>
      linalg.yield %e : f32
    } -> tensor<?x64xf32>
    kernel.yield %r : tensor<?x64xf32>
  }
  %y = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#id, #w, #y] : (tensor<?x64xf32>, tensor<96x64xf32>) -> tensor<?x96xf32> {
  ^bb0(%a: tensor<?x64xf32>, %b: tensor<96x64xf32>, %d: tensor<?x96xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #nk, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<?x64xf32>, tensor<96x64xf32>) outs(%d : tensor<?x96xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %s = arith.mulf %p, %q : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x96xf32>
    kernel.yield %r : tensor<?x96xf32>
  }
  return %g, %y : tensor<?x64xf32>, tensor<?x96xf32>
}

// -----

#id = affine_map<()[s0] -> (s0, 64)>
#w = affine_map<()[s0] -> (64, 33)>
#y = affine_map<()[s0] -> (s0, 33)>
#mk = affine_map<(m, n, k) -> (m, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>

// 33 columns in two panels would be nearly twice the bytes.
// CHECK-LABEL: @too_much_padding
func.func @too_much_padding(%x: tensor<?x64xf32>) -> tensor<?x33xf32> {
  // CHECK: kernel.weight "w" dense<{{.*}}> : tensor<64x33xf32> : tensor<64x33xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x33xf32> : tensor<64x33xf32>
  %y = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#id, #w, #y] : (tensor<?x64xf32>, tensor<64x33xf32>) -> tensor<?x33xf32> {
  ^bb0(%a: tensor<?x64xf32>, %b: tensor<64x33xf32>, %d: tensor<?x33xf32>):
    %r = linalg.generic {indexing_maps = [#mk, #kn, #mn], iterator_types = ["parallel", "parallel", "reduction"]}
        ins(%a, %b : tensor<?x64xf32>, tensor<64x33xf32>) outs(%d : tensor<?x33xf32>) {
    ^bb1(%p: f32, %q: f32, %o: f32):
      %s = arith.mulf %p, %q : f32
      %t = arith.addf %o, %s : f32
      linalg.yield %t : f32
    } -> tensor<?x33xf32>
    kernel.yield %r : tensor<?x33xf32>
  }
  return %y : tensor<?x33xf32>
}

// -----

// A weight that is returned keeps its layout: not every reader can follow.
// CHECK-LABEL: @returned
func.func @returned() -> tensor<64x96xf32> {
  // CHECK: kernel.weight "w" dense<{{.*}}> : tensor<64x96xf32> : tensor<64x96xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x96xf32> : tensor<64x96xf32>
  return %w : tensor<64x96xf32>
}

// -----

#w = affine_map<()[s0] -> (64, 96)>

// A weight that is only added is no contraction's.
// CHECK-LABEL: @added
func.func @added(%x: tensor<64x96xf32>) -> tensor<64x96xf32> {
  // CHECK: kernel.weight "w" dense<{{.*}}> : tensor<64x96xf32> : tensor<64x96xf32>
  %w = kernel.weight "w" dense<1.0> : tensor<64x96xf32> : tensor<64x96xf32>
  %y = kernel.launch(%x, %w) symbols affine_map<()[s0] -> (s0)> dims [#w, #w, #w] : (tensor<64x96xf32>, tensor<64x96xf32>) -> tensor<64x96xf32> {
  ^bb0(%a: tensor<64x96xf32>, %b: tensor<64x96xf32>, %d: tensor<64x96xf32>):
    %r = linalg.add ins(%a, %b : tensor<64x96xf32>, tensor<64x96xf32>) outs(%d : tensor<64x96xf32>) -> tensor<64x96xf32>
    kernel.yield %r : tensor<64x96xf32>
  }
  return %y : tensor<64x96xf32>
}
