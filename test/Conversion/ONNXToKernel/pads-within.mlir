// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel{pad-within}))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s --check-prefix=BEFORE

// A convolution of 16 channels pads its windows itself; without the option a launch before does.
// CHECK-LABEL: func @convolution
// CHECK:         kernel.launch(
// CHECK:           tensor.pad
// CHECK:           linalg.generic {{.*}}"reduction"
// CHECK-NOT:     kernel.launch(
// CHECK:         return
// BEFORE-LABEL: func @convolution
// BEFORE:         kernel.launch(
// BEFORE:           tensor.pad
// BEFORE-NOT:       linalg.generic
// BEFORE:         kernel.launch(
// BEFORE-NOT:       tensor.pad
// BEFORE:           linalg.generic {{.*}}"reduction"
func.func @convolution(%x: tensor<1x16x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<8x16x3x3xf32> {onnx.name = "w"}) -> tensor<*xf32> {
  %0 = onnx.Conv(%x, %w) {auto_pad = "NOTSET", group = 1 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x16x?x?xf32>, tensor<8x16x3x3xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// An image of few channels is padded before.
// CHECK-LABEL: func @few_channels
// CHECK:         kernel.launch(
// CHECK:           tensor.pad
// CHECK-NOT:       linalg.generic
// CHECK:         kernel.launch(
// CHECK:           linalg.generic {{.*}}"reduction"
func.func @few_channels(%x: tensor<1x3x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<8x3x3x3xf32> {onnx.name = "w"}) -> tensor<*xf32> {
  %0 = onnx.Conv(%x, %w) {auto_pad = "NOTSET", group = 1 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x3x?x?xf32>, tensor<8x3x3x3xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// Each channel of a convolution of single channels, whatever its type, and of a pool.
// CHECK-LABEL: func @single_channels
// CHECK:         kernel.launch(
// CHECK:           tensor.pad
// CHECK:           linalg.generic {{.*}}"reduction"
// CHECK-NOT:     kernel.launch(
// CHECK:         return
func.func @single_channels(%x: tensor<1x16x?x?xf16> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}, %w: tensor<16x1x3x3xf16> {onnx.name = "w"}) -> tensor<*xf16> {
  %0 = onnx.Conv(%x, %w) {auto_pad = "NOTSET", group = 16 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x16x?x?xf16>, tensor<16x1x3x3xf16>) -> tensor<*xf16>
  return %0 : tensor<*xf16>
}

// -----

// What a maximum never takes is around the image.
// CHECK-LABEL: func @pool
// CHECK:         kernel.launch(
// CHECK:           arith.constant 0xFF800000 : f32
// CHECK:           tensor.pad
// CHECK:           linalg.generic {{.*}}"reduction"
// CHECK-NOT:     kernel.launch(
// CHECK:         return
func.func @pool(%x: tensor<1x16x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}) -> tensor<*xf32> {
  %0 = onnx.MaxPool(%x) {auto_pad = "NOTSET", ceil_mode = 0 : i64, kernel_shape = array<i64: 3, 3>, pads = array<i64: 1, 1, 1, 1>, storage_order = 0 : i64, strides = array<i64: 2, 2>} : (tensor<1x16x?x?xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}
