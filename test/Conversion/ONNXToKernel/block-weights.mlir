// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// The weights stay as they are stored; rows of all batches are one matrix.
// CHECK-LABEL: func @product
// CHECK:         kernel.view %arg0 dims #{{.*}} : tensor<?x?x64xf32> -> tensor<?x64xf32>
// CHECK:         kernel.view %arg1 dims #{{.*}} : tensor<8x2x16xi8> -> tensor<8x32xi8>
// CHECK:         kernel.block_product ins(%{{.*}}, %{{.*}}, %{{.*}}) outs(%{{.*}}) bits 4 block 32
func.func @product(%x: tensor<?x?x64xf32> {onnx.dims = ["b", "s", ""]}, %w: tensor<8x2x16xui8>, %s: tensor<16xf32>) -> tensor<?x?x8xf32> {
  %0 = onnx.ms.MatMulNBits(%x, %w, %s) {K = 64 : i64, N = 8 : i64, bits = 4 : i64, block_size = 32 : i64}
      : (tensor<?x?x64xf32>, tensor<8x2x16xui8>, tensor<16xf32>) -> tensor<?x?x8xf32>
  return %0 : tensor<?x?x8xf32>
}

// -----

// An order of columns is not supported.
func.func @order(%x: tensor<1x64xf32>, %w: tensor<8x2x16xui8>, %s: tensor<16xf32>, %g: tensor<64xi32>) -> tensor<1x8xf32> {
  // expected-error @below {{expected no 'g_idx', but got one}}
  %0 = onnx.ms.MatMulNBits(%x, %w, %s, none, %g) {K = 64 : i64, N = 8 : i64, bits = 4 : i64, block_size = 32 : i64}
      : (tensor<1x64xf32>, tensor<8x2x16xui8>, tensor<16xf32>, tensor<64xi32>) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}

// -----

// Too few scales would be read past their end.
func.func @scales(%x: tensor<1x64xf32>, %w: tensor<8x2x16xui8>, %s: tensor<8xf32>) -> tensor<1x8xf32> {
  // expected-error @below {{expected 'scales' of 16 elements, but got 'tensor<8xf32>'}}
  %0 = onnx.ms.MatMulNBits(%x, %w, %s) {K = 64 : i64, N = 8 : i64, bits = 4 : i64, block_size = 32 : i64}
      : (tensor<1x64xf32>, tensor<8x2x16xui8>, tensor<8xf32>) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}
