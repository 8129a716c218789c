// RUN: tenon-opt %s -split-input-file -verify-onnx -verify-diagnostics

// Nodes, constants and regions of nodes are the level.
func.func @level(%x: tensor<2xf32>, %c: tensor<i1>) -> tensor<2xf32> {
  %0 = onnx.Constant {value = dense<1.0> : tensor<2xf32>} : tensor<2xf32>
  %1 = onnx.If(%c) : (tensor<i1>) -> tensor<2xf32> {
    onnx.Yield %0 : tensor<2xf32>
  }, {
    %2 = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.Yield %2 : tensor<2xf32>
  }
  return %1 : tensor<2xf32>
}

// -----

// Other dialects are not.
func.func @other(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{expected an operation of the onnx level, but got math.exp}}
  %0 = math.exp %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
