// RUN: tenon-opt %s -split-input-file -verify-kernel -verify-diagnostics
// RUN: not tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(verify-kernel{allow-sizes=true}))' -o /dev/null 2>&1 | FileCheck %s

// With allow-sizes, a kernel may compute a size; other errors stay.
// CHECK-NOT: expected a size that the host computes
// CHECK: expected an operation of the kernel level

// A size read from data is legal.
func.func @level(%n: tensor<1xi64>) attributes {tenon.symbols = ["n"]} {
  plan.read_symbol 0 from %n[0] : tensor<1xi64>
  %0 = kernel.host_tensor affine_map<()[s0] -> (s0)> : tensor<1xi64>
  return
}

// -----

// Nothing of the onnx level is left.
func.func @node(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{expected an operation of the kernel level, but got onnx.Neg}}
  %0 = onnx.Neg(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// Types do not say what is unsigned.
func.func @unsigned(%x: tensor<4xf32>) {
  // expected-error @below {{expected signless integers, but got 'tensor<4xui8>'}}
  %0 = kernel.weight "w" dense<1> : tensor<4xui8> : tensor<4xui8>
  return
}

// -----

// A launch holds computation, no steps.
func.func @step_inside(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    // expected-error @below {{expected no operation of the host in a launch, but got plan.copy}}
    %1 = plan.copy %a : tensor<4xf32>
    kernel.yield %1 : tensor<4xf32>
  }
  return %0 : tensor<4xf32>
}

// -----

// A kernel does not compute a size of sizes.
func.func @computed_size() attributes {tenon.symbols = ["n", "m"]} {
  %0 = kernel.host_tensor affine_map<()[s0, s1] -> (s0)> : tensor<1xi64>
  %1 = kernel.launch(%0) symbols affine_map<()[s0, s1] -> ()> dims [affine_map<() -> (1)>, affine_map<() -> (1)>]
      : (tensor<1xi64>) -> tensor<1xi64> {
  ^bb0(%a: tensor<1xi64>, %d: tensor<1xi64>):
    kernel.yield %a : tensor<1xi64>
  }
  // expected-error @below {{expected a size that the host computes, but got one of a kernel}}
  plan.read_symbol 1 from %1[0] : tensor<1xi64>
  return
}
