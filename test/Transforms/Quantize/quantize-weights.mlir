// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(quantize-weights{bits=4 group=16 min-elements=32})' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(quantize-weights{bits=8 group=-1 min-elements=32 symmetric=false})' | FileCheck %s --check-prefix=COLUMN
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(quantize-weights{group=16 min-elements=32})' -remark-format=emitRemark -remarks-filter=quantize-weights 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(quantize-weights{bits=5})' 2>&1 | FileCheck %s --check-prefix=BITS
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(quantize-weights{group=24})' 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(quantize-weights{rounding=up})' 2>&1 | FileCheck %s --check-prefix=ROUNDING

// BITS: expected quantize-weights with bits of 4 or 8, but got 5
// GROUP: expected quantize-weights with a group of -1 or a power of two of 16 at least, but got 24
// ROUNDING: expected quantize-weights with a rounding of rtn, but got 'up'

// Blocks lie along the summed dimension; 17 rows are two blocks of 16, the second
// one short. The file form becomes new enough to say so.
// CHECK:       module attributes {onnx.ir_version = 10 : i64, onnx.opset = 21 : i64}
// CHECK-LABEL: func @product
// CHECK:         %[[Q:.*]] = onnx.Constant {value = dense<-8> : tensor<17x4xi4>} : tensor<17x4xi4>
// CHECK:         %[[S:.*]] = onnx.Constant {value = dense<-1.250000e-01> : tensor<2x4xf32>} : tensor<2x4xf32>
// CHECK:         %[[W:.*]] = onnx.DequantizeLinear(%[[Q]], %[[S]]) {axis = 0 : i64, block_size = 16 : i64, {{.*}}}
// CHECK:         onnx.MatMul(%arg0, %[[W]])
// COLUMN-LABEL: func @product
// COLUMN:         %[[Q:.*]] = onnx.Constant {value = dense<255> : tensor<17x4xui8>} : tensor<17x4xui8>
// COLUMN:         %[[S:.*]] = onnx.Constant {value = dense<0.00392156886> : tensor<4xf32>} : tensor<4xf32>
// COLUMN:         %[[Z:.*]] = onnx.Constant {value = dense<0> : tensor<4xui8>} : tensor<4xui8>
// COLUMN:         onnx.DequantizeLinear(%[[Q]], %[[S]], %[[Z]]) {axis = 1 : i64, block_size = 0 : i64, {{.*}}}
// REMARK: remark: {{.*}}'w' in 4 bits, groups of 16: relative error 0.0000
module attributes {onnx.opset = 17 : i64, onnx.ir_version = 8 : i64} {
  func.func @product(%x: tensor<3x17xf32>) -> tensor<3x4xf32> {
    %w = onnx.Constant {value = dense<1.0> : tensor<17x4xf32>} : tensor<17x4xf32> loc("w")
    %y = onnx.MatMul(%x, %w) : (tensor<3x17xf32>, tensor<17x4xf32>) -> tensor<3x4xf32>
    return %y : tensor<3x4xf32>
  }
}

// -----

// What is quantized has no need of a newer file where the file is as new.
// CHECK:       module attributes {onnx.ir_version = 11 : i64, onnx.opset = 22 : i64}
// CHECK-LABEL: func @gemm
// CHECK:         %[[W:.*]] = onnx.DequantizeLinear({{.*}}) {axis = 1 : i64, block_size = 16 : i64, {{.*}}} : (tensor<4x32xi4>, tensor<4x2xf16>)
// CHECK:         onnx.Gemm(%arg0, %[[W]])
module attributes {onnx.opset = 22 : i64, onnx.ir_version = 11 : i64} {
  func.func @gemm(%x: tensor<3x32xf16>) -> tensor<3x4xf16> {
    %w = onnx.Constant {value = dense<1.0> : tensor<4x32xf16>} : tensor<4x32xf16>
    %y = onnx.Gemm(%x, %w) {transB = 1 : i64} : (tensor<3x32xf16>, tensor<4x32xf16>) -> tensor<3x4xf16>
    return %y : tensor<3x4xf16>
  }
}

// -----

// Rows that are read by position and multiplied by are stored once.
// CHECK-LABEL: func @tied
// CHECK:         %[[W:.*]] = onnx.DequantizeLinear({{.*}}) {axis = 1 : i64, block_size = 16 : i64, {{.*}}} : (tensor<8x32xi4>, tensor<8x2xf32>)
// CHECK:         onnx.Gather(%[[W]], %arg0)
// CHECK:         onnx.Transpose(%[[W]])
func.func @tied(%ids: tensor<3xi64>) -> tensor<3x8xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<8x32xf32>} : tensor<8x32xf32>
  %x = onnx.Gather(%w, %ids) : (tensor<8x32xf32>, tensor<3xi64>) -> tensor<3x32xf32>
  %t = onnx.Transpose(%w) {perm = array<i64: 1, 0>} : (tensor<8x32xf32>) -> tensor<32x8xf32>
  %y = onnx.MatMul(%x, %t) : (tensor<3x32xf32>, tensor<32x8xf32>) -> tensor<3x8xf32>
  return %y : tensor<3x8xf32>
}

// -----

// A row that a Gather takes would come out of many groups.
// CHECK-LABEL: func @gather_across_groups
// CHECK-NOT:     DequantizeLinear
// REMARK:        'across' stays: a Gather takes rows of it, which lie across the groups
func.func @gather_across_groups(%x: tensor<3x32xf32>, %ids: tensor<3xi64>) -> (tensor<3x8xf32>, tensor<3x8xf32>) {
  %w = onnx.Constant {value = dense<1.0> : tensor<32x8xf32>} : tensor<32x8xf32> loc("across")
  %r = onnx.Gather(%w, %ids) : (tensor<32x8xf32>, tensor<3xi64>) -> tensor<3x8xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x32xf32>, tensor<32x8xf32>) -> tensor<3x8xf32>
  return %r, %y : tensor<3x8xf32>, tensor<3x8xf32>
}

// -----

// A sum with a weight is no product.
// CHECK-LABEL: func @another_reader
// CHECK-NOT:     DequantizeLinear
// REMARK:        'summed' stays: an operator that is no product reads it
func.func @another_reader(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<32x32xf32>} : tensor<32x32xf32> loc("summed")
  %y = onnx.MatMul(%x, %w) : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %z = onnx.Add(%y, %w) : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  return %z : tensor<32x32xf32>
}

// -----

// Groups cannot lie both ways.
// CHECK-LABEL: func @both_ways
// CHECK-NOT:     DequantizeLinear
// REMARK:        'both' stays: products sum over either axis
func.func @both_ways(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<32x32xf32>} : tensor<32x32xf32> loc("both")
  %t = onnx.Transpose(%w) : (tensor<32x32xf32>) -> tensor<32x32xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  %z = onnx.MatMul(%y, %t) : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  return %z : tensor<32x32xf32>
}

// -----

// A weight on the left is no weight of the product, and nobody is told.
// CHECK-LABEL: func @on_the_left
// CHECK-NOT:     DequantizeLinear
// REMARK-NOT:    'left'
func.func @on_the_left(%x: tensor<32x32xf32>) -> tensor<32x32xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<32x32xf32>} : tensor<32x32xf32> loc("left")
  %y = onnx.MatMul(%w, %x) : (tensor<32x32xf32>, tensor<32x32xf32>) -> tensor<32x32xf32>
  return %y : tensor<32x32xf32>
}

// -----

// 20 elements are too few.
// CHECK-LABEL: func @few
// CHECK-NOT:     DequantizeLinear
// REMARK:        'few' stays: it has few elements
func.func @few(%x: tensor<3x5xf32>) -> tensor<3x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<5x4xf32>} : tensor<5x4xf32> loc("few")
  %y = onnx.MatMul(%x, %w) : (tensor<3x5xf32>, tensor<5x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func @infinite
// CHECK-NOT:     DequantizeLinear
// REMARK:        'infinite' stays: an element is not finite
func.func @infinite(%x: tensor<3x16xf32>) -> tensor<3x4xf32> {
  %w = onnx.Constant {value = dense<0x7F800000> : tensor<16x4xf32>} : tensor<16x4xf32> loc("infinite")
  %y = onnx.MatMul(%x, %w) : (tensor<3x16xf32>, tensor<16x4xf32>) -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func @doubles
// CHECK-NOT:     DequantizeLinear
// REMARK:        'doubles' stays: its elements are no floats of 16 or 32 bits
func.func @doubles(%x: tensor<3x16xf64>) -> tensor<3x4xf64> {
  %w = onnx.Constant {value = dense<1.0> : tensor<16x4xf64>} : tensor<16x4xf64> loc("doubles")
  %y = onnx.MatMul(%x, %w) : (tensor<3x16xf64>, tensor<16x4xf64>) -> tensor<3x4xf64>
  return %y : tensor<3x4xf64>
}

// -----

// CHECK-LABEL: func @stack
// CHECK-NOT:     DequantizeLinear
// REMARK:        'stack' stays: it is no matrix
func.func @stack(%x: tensor<2x3x16xf32>) -> tensor<2x3x4xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<2x16x4xf32>} : tensor<2x16x4xf32> loc("stack")
  %y = onnx.MatMul(%x, %w) : (tensor<2x3x16xf32>, tensor<2x16x4xf32>) -> tensor<2x3x4xf32>
  return %y : tensor<2x3x4xf32>
}
