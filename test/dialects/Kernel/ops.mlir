// RUN: tenon-opt %s | tenon-opt | FileCheck %s
// RUN: tenon-opt %s -mlir-print-op-generic | tenon-opt | FileCheck %s

// CHECK-LABEL: func @ops
// CHECK:         kernel.launch(%{{.+}}) symbols #{{.+}} dims [#{{.+}}, #{{.+}}] : (tensor<?x4xf32>) -> tensor<?x4xf32> {
// CHECK:           kernel.symbol #
// CHECK:           kernel.yield %{{.+}} : tensor<?x4xf32>
// CHECK:         kernel.view %{{.+}} dims #{{.+}} : tensor<?x4xf32> -> tensor<?x2x2xf32>
// CHECK:         kernel.host_tensor #{{.+}} : tensor<2xi64>
// CHECK:         kernel.weight "w" dense<1.000000e+00> : tensor<4xf32> : tensor<4xf32>
func.func @ops(%x: tensor<?x4xf32>) {
  %0 = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)>
      dims [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>]
      : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%a: tensor<?x4xf32>, %d: tensor<?x4xf32>):
    %rows = kernel.symbol affine_map<()[s0] -> (s0)>
    %r = linalg.exp ins(%a : tensor<?x4xf32>) outs(%d : tensor<?x4xf32>) -> tensor<?x4xf32>
    kernel.yield %r : tensor<?x4xf32>
  }
  %1 = kernel.view %0 dims affine_map<()[s0] -> (s0, 2, 2)> : tensor<?x4xf32> -> tensor<?x2x2xf32>
  %2 = kernel.host_tensor affine_map<()[s0] -> (1, s0)> : tensor<2xi64>
  %3 = kernel.weight "w" dense<1.0> : tensor<4xf32> : tensor<4xf32>
  return
}
