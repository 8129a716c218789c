// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// Mode nearest is one launch, whatever the number of axes.
// CHECK-LABEL: func @nearest
// CHECK-COUNT-1: kernel.launch
// CHECK-NOT:     kernel.launch
func.func @nearest(%x: tensor<1x3x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}) -> tensor<1x3x?x?xf32> {
  %s = onnx.Constant {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  %0 = "onnx.Resize"(%x, %s) {mode = "nearest", operandSegmentSizes = array<i32: 1, 0, 1, 0>} : (tensor<1x3x?x?xf32>, tensor<4xf32>) -> tensor<1x3x?x?xf32>
  return %0 : tensor<1x3x?x?xf32>
}

// -----

// Mode linear has a launch for each axis that changes, and none for the others.
// CHECK-LABEL: func @linear
// CHECK-COUNT-2: kernel.launch
// CHECK-NOT:     kernel.launch
func.func @linear(%x: tensor<1x3x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}) -> tensor<1x3x?x?xf32> {
  %s = onnx.Constant {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  %0 = "onnx.Resize"(%x, %s) {mode = "linear", operandSegmentSizes = array<i32: 1, 0, 1, 0>} : (tensor<1x3x?x?xf32>, tensor<4xf32>) -> tensor<1x3x?x?xf32>
  return %0 : tensor<1x3x?x?xf32>
}

// -----

// A crop without the region to crop is refused.
func.func @no_region(%x: tensor<1x3x4x4xf32> {onnx.name = "x"}) -> tensor<1x3x8x8xf32> {
  %s = onnx.Constant {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  // expected-error @below {{expected a 'roi' for tf_crop_and_resize, but got none}}
  %0 = "onnx.Resize"(%x, %s) {mode = "linear", coordinate_transformation_mode = "tf_crop_and_resize", operandSegmentSizes = array<i32: 1, 0, 1, 0>} : (tensor<1x3x4x4xf32>, tensor<4xf32>) -> tensor<1x3x8x8xf32>
  return %0 : tensor<1x3x8x8xf32>
}

// -----

// TensorFlow's old transformation is to the pixel's middle, and not half of one back.
// CHECK-LABEL: func @middle_of_pixel
// CHECK:         %[[MIDDLE:.*]] = arith.addf
// CHECK:         %[[PLACE:.*]] = arith.divf %[[MIDDLE]]
// CHECK:         %[[ORIGIN:.*]] = arith.select %{{.*}}, %{{.*}}, %[[PLACE]]
// CHECK:         math.floor %[[ORIGIN]]
func.func @middle_of_pixel(%x: tensor<1x3x?x?xf32> {onnx.dims = ["", "", "h", "w"], onnx.name = "x"}) -> tensor<1x3x?x?xf32> {
  %s = onnx.Constant {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  %0 = "onnx.Resize"(%x, %s) {coordinate_transformation_mode = "tf_half_pixel_for_nn", mode = "nearest", nearest_mode = "floor", operandSegmentSizes = array<i32: 1, 0, 1, 0>} : (tensor<1x3x?x?xf32>, tensor<4xf32>) -> tensor<1x3x?x?xf32>
  return %0 : tensor<1x3x?x?xf32>
}

// -----

// A transformation that no opset names is refused.
func.func @unknown_transformation(%x: tensor<1x3x4x4xf32> {onnx.name = "x"}) -> tensor<1x3x8x8xf32> {
  %s = onnx.Constant {value = dense<[1.0, 1.0, 2.0, 2.0]> : tensor<4xf32>} : tensor<4xf32>
  // expected-error @below {{expected a known coordinate_transformation_mode, but got sideways}}
  %0 = "onnx.Resize"(%x, %s) {coordinate_transformation_mode = "sideways", mode = "nearest", operandSegmentSizes = array<i32: 1, 0, 1, 0>} : (tensor<1x3x4x4xf32>, tensor<4xf32>) -> tensor<1x3x8x8xf32>
  return %0 : tensor<1x3x8x8xf32>
}
