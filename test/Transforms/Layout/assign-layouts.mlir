// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(assign-layouts))" --split-input-file --mlir-print-local-scope | FileCheck %s

#s = affine_map<()[s0] -> (s0)>
#first = affine_map<()[s0] -> (s0, 4, 6, 5)>
#last = affine_map<()[s0] -> (s0, 6, 5, 4)>
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#to_last = affine_map<(d0, d1, d2, d3) -> (d0, d3, d1, d2)>
#to_first = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3, d1)>

// What lies between two turns has channels last, and neither is left.
// CHECK-LABEL: @between
// CHECK-SAME:    (%[[X:.*]]: tensor<?x6x5x4xf32>)
// CHECK:         %[[Y:.*]] = kernel.launch(%[[X]])
// CHECK-SAME:      (tensor<?x6x5x4xf32>) -> tensor<?x6x5x4xf32>
// CHECK:           indexing_maps = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>]
// CHECK:           math.absf
// CHECK-NOT:     kernel.launch
// CHECK:         return %[[Y]]
func.func @between(%x: tensor<?x6x5x4xf32>) -> tensor<?x6x5x4xf32> {
  %0 = kernel.launch(%x) symbols #s dims [#last, #first] {kernel.turns_channels = false} : (tensor<?x6x5x4xf32>) -> tensor<?x4x6x5xf32> {
  ^bb0(%a: tensor<?x6x5x4xf32>, %d: tensor<?x4x6x5xf32>):
    %r = linalg.generic {indexing_maps = [#to_first, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x6x5x4xf32>) outs(%d : tensor<?x4x6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x4x6x5xf32>
    kernel.yield %r : tensor<?x4x6x5xf32>
  }
  %1 = kernel.launch(%0) symbols #s dims [#first, #first] : (tensor<?x4x6x5xf32>) -> tensor<?x4x6x5xf32> {
  ^bb0(%a: tensor<?x4x6x5xf32>, %d: tensor<?x4x6x5xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x4x6x5xf32>) outs(%d : tensor<?x4x6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      %t = math.absf %p : f32
      linalg.yield %t : f32
    } -> tensor<?x4x6x5xf32>
    kernel.yield %r : tensor<?x4x6x5xf32>
  }
  %2 = kernel.launch(%1) symbols #s dims [#first, #last] {kernel.turns_channels = true} : (tensor<?x4x6x5xf32>) -> tensor<?x6x5x4xf32> {
  ^bb0(%a: tensor<?x4x6x5xf32>, %d: tensor<?x6x5x4xf32>):
    %r = linalg.generic {indexing_maps = [#to_last, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x4x6x5xf32>) outs(%d : tensor<?x6x5x4xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x6x5x4xf32>
    kernel.yield %r : tensor<?x6x5x4xf32>
  }
  return %2 : tensor<?x6x5x4xf32>
}

// -----

#s = affine_map<()[s0] -> (s0)>
#first = affine_map<()[s0] -> (s0, 4, 6, 5)>
#last = affine_map<()[s0] -> (s0, 6, 5, 4)>
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#to_first = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3, d1)>

// The caller's result has channels first: one launch turns it, behind what followed.
// CHECK-LABEL: @returned
// CHECK:         %[[Y:.*]] = kernel.launch(%arg0)
// CHECK-SAME:      -> tensor<?x6x5x4xf32>
// CHECK:           math.absf
// CHECK:         %[[BACK:.*]] = kernel.launch(%[[Y]])
// CHECK-SAME:      (tensor<?x6x5x4xf32>) -> tensor<?x4x6x5xf32>
// CHECK:         return %[[BACK]]
func.func @returned(%x: tensor<?x6x5x4xf32>) -> tensor<?x4x6x5xf32> {
  %0 = kernel.launch(%x) symbols #s dims [#last, #first] {kernel.turns_channels = false} : (tensor<?x6x5x4xf32>) -> tensor<?x4x6x5xf32> {
  ^bb0(%a: tensor<?x6x5x4xf32>, %d: tensor<?x4x6x5xf32>):
    %r = linalg.generic {indexing_maps = [#to_first, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x6x5x4xf32>) outs(%d : tensor<?x4x6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x4x6x5xf32>
    kernel.yield %r : tensor<?x4x6x5xf32>
  }
  %1 = kernel.launch(%0) symbols #s dims [#first, #first] : (tensor<?x4x6x5xf32>) -> tensor<?x4x6x5xf32> {
  ^bb0(%a: tensor<?x4x6x5xf32>, %d: tensor<?x4x6x5xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x4x6x5xf32>) outs(%d : tensor<?x4x6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      %t = math.absf %p : f32
      linalg.yield %t : f32
    } -> tensor<?x4x6x5xf32>
    kernel.yield %r : tensor<?x4x6x5xf32>
  }
  return %1 : tensor<?x4x6x5xf32>
}

// -----

#s = affine_map<()[s0] -> (s0)>
#first = affine_map<()[s0] -> (s0, 4, 6, 5)>
#wide = affine_map<()[s0] -> (s0, 4, 8, 7)>
#last = affine_map<()[s0] -> (s0, 6, 5, 4)>
#id = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
#to_first = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3, d1)>

// Pads follow their dimensions.
// CHECK-LABEL: @padded
// CHECK:         tensor.pad %{{.*}} low[0, 1, 1, 0] high[0, 1, 1, 0]
// CHECK:         tensor<?x6x5x4xf32> to tensor<?x8x7x4xf32>
func.func @padded(%x: tensor<?x6x5x4xf32>) -> tensor<?x4x8x7xf32> {
  %0 = kernel.launch(%x) symbols #s dims [#last, #first] {kernel.turns_channels = false} : (tensor<?x6x5x4xf32>) -> tensor<?x4x6x5xf32> {
  ^bb0(%a: tensor<?x6x5x4xf32>, %d: tensor<?x4x6x5xf32>):
    %r = linalg.generic {indexing_maps = [#to_first, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x6x5x4xf32>) outs(%d : tensor<?x4x6x5xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x4x6x5xf32>
    kernel.yield %r : tensor<?x4x6x5xf32>
  }
  %1 = kernel.launch(%0) symbols #s dims [#first, #wide] : (tensor<?x4x6x5xf32>) -> tensor<?x4x8x7xf32> {
  ^bb0(%a: tensor<?x4x6x5xf32>, %d: tensor<?x4x8x7xf32>):
    %zero = arith.constant 0.0 : f32
    %pad = tensor.pad %a low[0, 0, 1, 1] high[0, 0, 1, 1] {
    ^bb1(%i: index, %j: index, %k: index, %l: index):
      tensor.yield %zero : f32
    } : tensor<?x4x6x5xf32> to tensor<?x4x8x7xf32>
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel", "parallel", "parallel", "parallel"]}
        ins(%pad : tensor<?x4x8x7xf32>) outs(%d : tensor<?x4x8x7xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x4x8x7xf32>
    kernel.yield %r : tensor<?x4x8x7xf32>
  }
  return %1 : tensor<?x4x8x7xf32>
}

// -----

#s = affine_map<()[s0] -> (s0)>
#first = affine_map<()[s0] -> (s0, 4, 6)>
#last = affine_map<()[s0] -> (s0, 6, 4)>
#two = affine_map<()[s0] -> (s0, 8, 6)>
#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#turn = affine_map<(d0, d1, d2) -> (d0, d2, d1)>

// A concatenation that another value takes part in, which nobody can turn, stays, and reads
// the image turned back.
// CHECK-LABEL: @beside_an_argument
// CHECK:         %[[BACK:.*]] = kernel.launch(%arg0)
// CHECK-SAME:      -> tensor<?x4x6xf32>
// CHECK:         kernel.launch(%[[BACK]], %arg1)
// CHECK-SAME:      -> tensor<?x8x6xf32>
// CHECK:         tensor.insert_slice %{{.*}}[0, 4, 0]
func.func @beside_an_argument(%x: tensor<?x6x4xf32>, %other: tensor<?x4x6xf32>) -> tensor<?x8x6xf32> {
  %0 = kernel.launch(%x) symbols #s dims [#last, #first] {kernel.turns_channels = false} : (tensor<?x6x4xf32>) -> tensor<?x4x6xf32> {
  ^bb0(%a: tensor<?x6x4xf32>, %d: tensor<?x4x6xf32>):
    %r = linalg.generic {indexing_maps = [#turn, #id], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%a : tensor<?x6x4xf32>) outs(%d : tensor<?x4x6xf32>) {
    ^bb1(%p: f32, %o: f32):
      linalg.yield %p : f32
    } -> tensor<?x4x6xf32>
    kernel.yield %r : tensor<?x4x6xf32>
  }
  %1 = kernel.launch(%0, %other) symbols #s dims [#first, #first, #two] : (tensor<?x4x6xf32>, tensor<?x4x6xf32>) -> tensor<?x8x6xf32> {
  ^bb0(%a: tensor<?x4x6xf32>, %b: tensor<?x4x6xf32>, %d: tensor<?x8x6xf32>):
    %n = kernel.symbol affine_map<()[s0] -> (s0)>
    %p = tensor.insert_slice %a into %d[0, 0, 0] [%n, 4, 6] [1, 1, 1] : tensor<?x4x6xf32> into tensor<?x8x6xf32>
    %q = tensor.insert_slice %b into %p[0, 4, 0] [%n, 4, 6] [1, 1, 1] : tensor<?x4x6xf32> into tensor<?x8x6xf32>
    kernel.yield %q : tensor<?x8x6xf32>
  }
  return %1 : tensor<?x8x6xf32>
}

// -----

#s = affine_map<()[s0] -> (s0)>
#first = affine_map<()[s0] -> (s0, 4, 6)>
#last = affine_map<()[s0] -> (s0, 6, 4)>
#weight = affine_map<()[s0] -> (6, 6)>
#id = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
#turn = affine_map<(d0, d1, d2) -> (d0, d2, d1)>
#a = affine_map<(b, m, n, k) -> (b, m, k)>
#b = affine_map<(b, m, n, k) -> (k, n)>
#c = affine_map<(b, m, n, k) -> (b, m, n)>

// A product's result does not get the layout of what it reads.
// CHECK-LABEL: @product
// CHECK:         %[[Y:.*]] = kernel.launch(%{{.*}}, %arg1)
// CHECK-SAME:      -> tensor<?x4x6xf32>
// CHECK:         return %[[Y]]
func.func @product(%x: tensor<?x6x4xf32>, %w: tensor<6x6xf32>) -> tensor<?x4x6xf32> {
  %0 = kernel.launch(%x) symbols #s dims [#last, #first] {kernel.turns_channels = false} : (tensor<?x6x4xf32>) -> tensor<?x4x6xf32> {
  ^bb0(%p: tensor<?x6x4xf32>, %d: tensor<?x4x6xf32>):
    %r = linalg.generic {indexing_maps = [#turn, #id], iterator_types = ["parallel", "parallel", "parallel"]}
        ins(%p : tensor<?x6x4xf32>) outs(%d : tensor<?x4x6xf32>) {
    ^bb1(%q: f32, %o: f32):
      linalg.yield %q : f32
    } -> tensor<?x4x6xf32>
    kernel.yield %r : tensor<?x4x6xf32>
  }
  %1 = kernel.launch(%0, %w) symbols #s dims [#first, #weight, #first] : (tensor<?x4x6xf32>, tensor<6x6xf32>) -> tensor<?x4x6xf32> {
  ^bb0(%p: tensor<?x4x6xf32>, %q: tensor<6x6xf32>, %d: tensor<?x4x6xf32>):
    %zero = arith.constant 0.0 : f32
    %f = linalg.fill ins(%zero : f32) outs(%d : tensor<?x4x6xf32>) -> tensor<?x4x6xf32>
    %r = linalg.generic {indexing_maps = [#a, #b, #c], iterator_types = ["parallel", "parallel", "parallel", "reduction"]}
        ins(%p, %q : tensor<?x4x6xf32>, tensor<6x6xf32>) outs(%f : tensor<?x4x6xf32>) {
    ^bb1(%u: f32, %v: f32, %o: f32):
      %m = arith.mulf %u, %v : f32
      %t = arith.addf %o, %m : f32
      linalg.yield %t : f32
    } -> tensor<?x4x6xf32>
    kernel.yield %r : tensor<?x4x6xf32>
  }
  return %1 : tensor<?x4x6xf32>
}
