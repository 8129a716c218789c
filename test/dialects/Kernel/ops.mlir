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

// CHECK-LABEL: func @attention
// CHECK:         kernel.attention ins(%arg0, %arg1, %arg1) mask(%arg2) lengths(%arg3) outs(%arg0) maps [#{{.+}}, #{{.+}}, #{{.+}}, #{{.+}}, #{{.+}}] {causal, scale = 1.250000e-01 : f64, zero_empty}
func.func @attention(%q: tensor<1x5x9x64xf32>, %k: tensor<1x3x7x64xf32>, %mask: tensor<5x7xi1>, %lengths: tensor<1xi64>) {
  %0 = kernel.attention ins(%q, %k, %k) mask(%mask) lengths(%lengths) outs(%q)
      maps [affine_map<(b, h, s, d) -> (b, s, h, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
            affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, s, h, d)>,
            affine_map<(b, h, s, t) -> (s, t)>] {causal, scale = 0.125 : f64, zero_empty}
      : (tensor<1x5x9x64xf32>, tensor<1x3x7x64xf32>, tensor<1x3x7x64xf32>, tensor<5x7xi1>, tensor<1xi64>, tensor<1x5x9x64xf32>) -> tensor<1x5x9x64xf32>
  return
}

// CHECK-LABEL: func @rows
// CHECK:         kernel.top_k ins(%arg0) outs(%arg1, %arg2) largest unsigned :
// CHECK:         kernel.scan ins(%arg0) outs(%arg0) product exclusive reverse :
func.func @rows(%x: tensor<4x100x1xi8>, %v: tensor<4x5x1xi8>, %i: tensor<4x5x1xi64>) {
  %0:2 = kernel.top_k ins(%x) outs(%v, %i) largest unsigned
      : (tensor<4x100x1xi8>, tensor<4x5x1xi8>, tensor<4x5x1xi64>) -> (tensor<4x5x1xi8>, tensor<4x5x1xi64>)
  %1 = kernel.scan ins(%x) outs(%x) product exclusive reverse
      : (tensor<4x100x1xi8>, tensor<4x100x1xi8>) -> tensor<4x100x1xi8>
  return
}

// CHECK-LABEL: func @block_product
// CHECK:         kernel.block_product ins(%arg0, %arg1, %arg2) zeros(%arg3) bias(%arg4) outs(%arg5) bits 4 block 32 signed :
func.func @block_product(%x: tensor<2x64xf32>, %w: tensor<8x32xi8>, %s: tensor<8x2xf32>, %z: tensor<8x1xi8>, %b: tensor<8xf32>, %y: tensor<2x8xf32>) {
  %0 = kernel.block_product ins(%x, %w, %s) zeros(%z) bias(%b) outs(%y) bits 4 block 32 signed
      : (tensor<2x64xf32>, tensor<8x32xi8>, tensor<8x2xf32>, tensor<8x1xi8>, tensor<8xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}
