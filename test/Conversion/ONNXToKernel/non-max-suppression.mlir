// RUN: tenon-opt %s -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// Each box that is taken becomes a row of batch, class and box; how many there are is
// known when the kernel has run.
// CHECK-LABEL: func @boxes_become_rows
// CHECK:         kernel.launch
// CHECK:           tensor.insert %{{.+}} into %[[ROWS:.+]][%[[ROW:.+]], %{{.+}}] : tensor<?x3xi64>
// CHECK:           tensor.insert %{{.+}} into %{{.+}}[%[[ROW]], %{{.+}}] : tensor<?x3xi64>
// CHECK:           tensor.insert %{{.+}} into %{{.+}}[%[[ROW]], %{{.+}}] : tensor<?x3xi64>
// CHECK:         plan.read_symbol
func.func @boxes_become_rows(%boxes: tensor<1x?x4xf32> {onnx.dims = ["", "n", ""], onnx.name = "boxes"},
                             %scores: tensor<1x1x?xf32> {onnx.dims = ["", "", "n"], onnx.name = "scores"}) -> tensor<*xi64> {
  %most = onnx.Constant {value = dense<3> : tensor<1xi64>} : tensor<1xi64>
  %overlap = onnx.Constant {value = dense<0.5> : tensor<1xf32>} : tensor<1xf32>
  %0 = onnx.NonMaxSuppression(%boxes, %scores, %most, %overlap) {center_point_box = 0 : i64} : (tensor<1x?x4xf32>, tensor<1x1x?xf32>, tensor<1xi64>, tensor<1xf32>) -> tensor<*xi64>
  return %0 : tensor<*xi64>
}
