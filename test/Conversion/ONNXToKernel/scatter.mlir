// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel{for-threads}))' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s --check-prefix=LOOPS

// Columns are taken side by side, and parts of the axis where the columns are few: 1024 over
// 15 * 20 of them. A few processors take what is outside of the axis.
// CHECK-LABEL: func @elements
// CHECK:         kernel.launch({{.*}} in_place [0]
// CHECK:           scf.forall ({{.*}}) in (%c15{{[_0-9]*}}, %c20{{[_0-9]*}}, %c4{{[_0-9]*}})
// CHECK:             tensor.extract_slice
// CHECK:             scf.for
// CHECK:               scf.if
// CHECK:             tensor.parallel_insert_slice
// LOOPS-LABEL: func @elements
// LOOPS:         scf.forall ({{.*}}) in (%c15{{[_0-9]*}})
// LOOPS-NOT:     scf.if
// LOOPS:           scf.for
// LOOPS:             scf.for
func.func @elements(%x: tensor<15x9x20xf32> {onnx.name = "x"}, %i: tensor<15x9x20xi64> {onnx.name = "i"},
                    %u: tensor<15x9x20xf32> {onnx.name = "u"}) -> tensor<15x9x20xf32> {
  %0 = onnx.ScatterElements(%x, %i, %u) {axis = 1 : i64, reduction = "add"} : (tensor<15x9x20xf32>, tensor<15x9x20xi64>, tensor<15x9x20xf32>) -> tensor<15x9x20xf32>
  return %0 : tensor<15x9x20xf32>
}

// -----

// Long slices need nobody to divide the rows, and one processor goes over them in order.
// CHECK-LABEL: func @long_slices
// CHECK:         kernel.launch({{.*}} in_place [0]
// CHECK:           scf.forall ({{.*}}) in (%c2000{{[_0-9]*}})
// CHECK-NOT:         scf.if
// CHECK:             scf.for
// LOOPS-LABEL: func @long_slices
// LOOPS-NOT:     scf.forall
// LOOPS:         scf.for
// LOOPS:           scf.for
func.func @long_slices(%x: tensor<9x2000xf32> {onnx.name = "x"}, %i: tensor<5x1xi64> {onnx.name = "i"},
                       %u: tensor<5x2000xf32> {onnx.name = "u"}) -> tensor<9x2000xf32> {
  %0 = onnx.ScatterND(%x, %i, %u) : (tensor<9x2000xf32>, tensor<5x1xi64>, tensor<5x2000xf32>) -> tensor<9x2000xf32>
  return %0 : tensor<9x2000xf32>
}

// -----

// Updates that all may meet: 512 threads go through them, each for its own part of the data.
// CHECK-LABEL: func @each
// CHECK:         scf.forall ({{.*}}) in (%c1{{[_0-9]*}}, %c512{{[_0-9]*}})
// CHECK:           scf.for
// CHECK:             scf.if
func.func @each(%x: tensor<90x70xf32> {onnx.name = "x"}, %i: tensor<500x2xi64> {onnx.name = "i"},
                %u: tensor<500xf32> {onnx.name = "u"}) -> tensor<90x70xf32> {
  %0 = onnx.ScatterND(%x, %i, %u) : (tensor<90x70xf32>, tensor<500x2xi64>, tensor<500xf32>) -> tensor<90x70xf32>
  return %0 : tensor<90x70xf32>
}
