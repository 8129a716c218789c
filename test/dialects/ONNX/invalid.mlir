// RUN: tenon-opt %s --split-input-file --verify-diagnostics

// A required operand may not be absent.
func.func @absent_required(%x: tensor<4xf32>) {
  // expected-error @+1 {{expected inputs and outputs of signature '11' and '1'}}
  %y = onnx.Add(%x, none) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @too_many(%x: tensor<4xf32>) {
  // expected-error @+1 {{expected inputs and outputs of signature '1' and '1'}}
  %y = onnx.Neg(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// constant-C1: one element type, compatible shapes.
func.func @constant_of_other_type() {
  // expected-error @+1 {{expected a value of type 'tensor<4xf32>', but got 'tensor<4xf16>'}}
  %y = onnx.Constant {value = dense<1.0> : tensor<4xf16>} : tensor<4xf32>
  return
}

// -----

func.func @stored_of_wrong_size() {
  // expected-error @+1 {{expected 16 bytes for 'tensor<4xf32>', but got 8}}
  %y = onnx.Constant {value = #onnx.stored<"w", "f", 0, 8> : tensor<4xf32>} : tensor<4xf32>
  return
}
