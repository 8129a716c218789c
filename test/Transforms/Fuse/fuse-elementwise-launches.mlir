// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(fuse-elementwise-launches))' -split-input-file | FileCheck %s

#n = affine_map<()[s0] -> (s0)>
#id = affine_map<(d0) -> (d0)>

// A chain of two elementwise launches is one launch with one generic.
// CHECK-LABEL: @chain
func.func @chain(%x: tensor<?xf32>) -> tensor<?xf32> {
  // CHECK: %[[OUT:.*]] = kernel.launch(%arg0)
  // CHECK: linalg.generic
  // CHECK: math.exp
  // CHECK-NEXT: arith.negf
  // CHECK-NOT: linalg.generic
  // CHECK: return %[[OUT]]
  %e = kernel.launch(%x) symbols #n dims [#n, #n] : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) {
    ^bb1(%v: f32, %o: f32):
      %w = math.exp %v : f32
      linalg.yield %w : f32
    } -> tensor<?xf32>
    kernel.yield %r : tensor<?xf32>
  }
  %y = kernel.launch(%e) symbols #n dims [#n, #n] : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) {
    ^bb1(%v: f32, %o: f32):
      %w = arith.negf %v : f32
      linalg.yield %w : f32
    } -> tensor<?xf32>
    kernel.yield %r : tensor<?xf32>
  }
  return %y : tensor<?xf32>
}

// -----

#n = affine_map<()[s0] -> (s0)>
#id = affine_map<(d0) -> (d0)>

// A launch with two readers stays: both need its result.
// CHECK-LABEL: @two_readers
func.func @two_readers(%x: tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>) {
  // CHECK-COUNT-2: kernel.launch
  %e = kernel.launch(%x) symbols #n dims [#n, #n] : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) {
    ^bb1(%v: f32, %o: f32):
      %w = math.exp %v : f32
      linalg.yield %w : f32
    } -> tensor<?xf32>
    kernel.yield %r : tensor<?xf32>
  }
  %y = kernel.launch(%e) symbols #n dims [#n, #n] : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) {
    ^bb1(%v: f32, %o: f32):
      %w = arith.negf %v : f32
      linalg.yield %w : f32
    } -> tensor<?xf32>
    kernel.yield %r : tensor<?xf32>
  }
  return %e, %y : tensor<?xf32>, tensor<?xf32>
}

// -----

#n = affine_map<()[s0] -> (s0)>
#id = affine_map<(d0) -> (d0)>
#one = affine_map<()[s0] -> ()>

// A reader that picks elements by position keeps the launch before it.
// CHECK-LABEL: @read_by_position
func.func @read_by_position(%x: tensor<?xf32>) -> tensor<f32> {
  // CHECK-COUNT-2: kernel.launch
  %e = kernel.launch(%x) symbols #n dims [#n, #n] : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    %r = linalg.generic {indexing_maps = [#id, #id], iterator_types = ["parallel"]} ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) {
    ^bb1(%v: f32, %o: f32):
      %w = math.exp %v : f32
      linalg.yield %w : f32
    } -> tensor<?xf32>
    kernel.yield %r : tensor<?xf32>
  }
  %y = kernel.launch(%e) symbols #n dims [#n, #one] : (tensor<?xf32>) -> tensor<f32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<f32>):
    %zero = arith.constant 0 : index
    %first = tensor.extract %a[%zero] : tensor<?xf32>
    %r = linalg.fill ins(%first : f32) outs(%d : tensor<f32>) -> tensor<f32>
    kernel.yield %r : tensor<f32>
  }
  return %y : tensor<f32>
}
