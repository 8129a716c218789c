// RUN: tenon-opt %s -pass-pipeline='builtin.module(round-products{to=tf32})' | FileCheck %s
// RUN: tenon-opt %s -pass-pipeline='builtin.module(round-products{to=ieee})' | FileCheck %s --check-prefix=IEEE
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(round-products{to=fp8})' 2>&1 | FileCheck %s --check-prefix=TO

// IEEE-NOT: f32_products
// TO: expected round-products to ieee, tf32 or bf16x3, but got 'fp8'

// A product of matrices of f32 says how it may be rounded.
// CHECK-LABEL: kernel.func @product
// CHECK-SAME:    schedule {f32_products = "tf32"}
kernel.func @product inputs 2 dims [affine_map<() -> (4, 4)>, affine_map<() -> (4, 4)>, affine_map<() -> (4, 4)>] {
^bb0(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>, %d: tensor<4x4xf32>):
  %y = linalg.matmul ins(%a, %b : tensor<4x4xf32>, tensor<4x4xf32>) outs(%d : tensor<4x4xf32>) -> tensor<4x4xf32>
  kernel.yield %y : tensor<4x4xf32>
}

// Factors of 16 bits are exact in f32.
// CHECK-LABEL: kernel.func @halves
// CHECK-NOT:     f32_products
kernel.func @halves inputs 2 dims [affine_map<() -> (4, 4)>, affine_map<() -> (4, 4)>, affine_map<() -> (4, 4)>] {
^bb0(%a: tensor<4x4xbf16>, %b: tensor<4x4xbf16>, %d: tensor<4x4xf32>):
  %y = linalg.matmul ins(%a, %b : tensor<4x4xbf16>, tensor<4x4xbf16>) outs(%d : tensor<4x4xf32>) -> tensor<4x4xf32>
  kernel.yield %y : tensor<4x4xf32>
}

// An elementwise product is summed by nothing.
// CHECK-LABEL: kernel.func @elementwise
// CHECK-NOT:     f32_products
kernel.func @elementwise inputs 2 dims [affine_map<() -> (4)>, affine_map<() -> (4)>, affine_map<() -> (4)>] {
^bb0(%a: tensor<4xf32>, %b: tensor<4xf32>, %d: tensor<4xf32>):
  %y = linalg.mul ins(%a, %b : tensor<4xf32>, tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
  kernel.yield %y : tensor<4xf32>
}

// A sum has one factor.
// CHECK-LABEL: kernel.func @sum
// CHECK-NOT:     f32_products
kernel.func @sum inputs 1 dims [affine_map<() -> (4, 4)>, affine_map<() -> (4)>] {
^bb0(%a: tensor<4x4xf32>, %d: tensor<4xf32>):
  %y = linalg.reduce ins(%a : tensor<4x4xf32>) outs(%d : tensor<4xf32>) dimensions = [1]
    (%in: f32, %out: f32) {
      %s = arith.addf %in, %out : f32
      linalg.yield %s : f32
    }
  kernel.yield %y : tensor<4xf32>
}
