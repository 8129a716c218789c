// RUN: tenon-opt %s -split-input-file -verify-diagnostics

// launch-C1: the region has an argument for each input and each result.
func.func @launch_without_destination(%x: tensor<4xf32>) {
  // expected-error @below {{expected a region argument for each input and result, but got 1 arguments for 2}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    kernel.yield %a : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: a map for each region argument.
func.func @launch_with_one_map(%x: tensor<4xf32>) {
  // expected-error @below {{expected 2 maps in 'dims', but got 1}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield %d : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: a static size is that constant.
func.func @launch_with_another_size(%x: tensor<4xf32>) {
  // expected-error @below {{expected 'dims' of argument 1 to describe 'tensor<4xf32>'}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (5)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield %d : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: maps range over the kernel's own symbols.
func.func @launch_with_foreign_symbols(%x: tensor<?xf32>) {
  // expected-error @below {{expected 'dims' of argument 0 to describe 'tensor<?xf32>'}}
  %0 = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)>
      dims [affine_map<()[s0, s1] -> (s1)>, affine_map<()[s0] -> (s0)>]
      : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    kernel.yield %d : tensor<?xf32>
  }
  return
}

// -----

// launch-C3: the yielded values are the results.
func.func @launch_that_yields_nothing(%x: tensor<4xf32>) {
  // expected-error @below {{expected kernel.yield of the results' types}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield
  }
  return
}
