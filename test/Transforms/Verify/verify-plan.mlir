// RUN: tenon-opt %s -split-input-file -verify-plan -verify-diagnostics

// A symbol that data sets is read before it is used.
func.func @level(%n: tensor<1xi64>) -> tensor<1xi64>
    attributes {plan.arena_size = affine_map<()[s0] -> (0)>, tenon.symbols = ["n"]} {
  plan.read_symbol 0 from %n[0] : tensor<1xi64>
  %0 = plan.host_tensor affine_map<()[s0] -> (s0 + 1)> storage [#plan.output<0>] : tensor<1xi64>
  plan.return %0 : tensor<1xi64>
}

// -----

// Not after it.
func.func @late(%n: tensor<1xi64>) -> tensor<1xi64>
    attributes {plan.arena_size = affine_map<()[s0] -> (0)>, tenon.symbols = ["n"]} {
  // expected-error @below {{expected symbols that are read before, but got 'n'}}
  %0 = plan.host_tensor affine_map<()[s0] -> (s0 + 1)> storage [#plan.output<0>] : tensor<1xi64>
  plan.read_symbol 0 from %n[0] : tensor<1xi64>
  plan.return %0 : tensor<1xi64>
}

// -----

// Bytes have a place.
func.func @unplaced(%x: tensor<4xf32>) attributes {plan.arena_size = affine_map<() -> (0)>} {
  // expected-error @below {{expected planned memory, but got no 'storage'}}
  %0 = plan.copy %x : tensor<4xf32>
  plan.return
}

// -----

// The arena has a size.
// expected-error @below {{expected planned memory, but got no 'plan.arena_size'}}
func.func @no_arena(%x: tensor<4xf32>) {
  plan.return
}

// -----

// Launches are outlined.
func.func @other(%x: tensor<4xf32>) attributes {plan.arena_size = affine_map<() -> (0)>} {
  // expected-error @below {{expected an operation of the plan level, but got kernel.view}}
  %0 = kernel.view %x dims affine_map<() -> (2, 2)> : tensor<4xf32> -> tensor<2x2xf32>
  plan.return
}
