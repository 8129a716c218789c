// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s --check-prefix=KEYS
// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel{split-attention=false}))' | FileCheck %s --check-prefix=WHOLE

// A part of the keys has 256 of them, or parts are left to the kernel.
// KEYS-LABEL:  func.func @one_query(
// KEYS:          kernel.attention {{.*}} -> (tensor<128x1x32x1x128xf32>, tensor<128x1x32x1xf32>)
// WHOLE-LABEL: func.func @one_query(
// WHOLE:         kernel.attention {{.*}} -> tensor<1x32x1x128xf16>
// WHOLE-NOT:     kernel.attention
// WHOLE:         return
func.func @one_query(%q: tensor<1x32x1x128xf16> {onnx.name = "q"}, %k: tensor<1x8x32768x128xf16> {onnx.name = "k"}) -> tensor<1x32x1x128xf16> {
  %0 = onnx.tenon.Attention(%q, %k, %k) : (tensor<1x32x1x128xf16>, tensor<1x8x32768x128xf16>, tensor<1x8x32768x128xf16>) -> tensor<1x32x1x128xf16>
  return %0 : tensor<1x32x1x128xf16>
}

// A part has 256 keys whatever the batch is.
// KEYS-LABEL:  func.func @many_batches(
// KEYS:          kernel.attention {{.*}} -> (tensor<2x64x32x1x128xf32>, tensor<2x64x32x1xf32>)
func.func @many_batches(%q: tensor<64x32x1x128xf16> {onnx.name = "q"}, %k: tensor<64x8x512x128xf16> {onnx.name = "k"}) -> tensor<64x32x1x128xf16> {
  %0 = onnx.tenon.Attention(%q, %k, %k) : (tensor<64x32x1x128xf16>, tensor<64x8x512x128xf16>, tensor<64x8x512x128xf16>) -> tensor<64x32x1x128xf16>
  return %0 : tensor<64x32x1x128xf16>
}
