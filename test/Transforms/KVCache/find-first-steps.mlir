// RUN: tenon-opt %s -split-input-file -find-caches | FileCheck %s

// What a first step returns without an append is a cache where another function has
// it, whichever comes first.
// CHECK:       kv.state @"0"
// CHECK-LABEL: func @first
// CHECK-DAG:     %[[ROWS:.+]] = kv.append %{{.+}}(%arg1, %arg2) grows
// CHECK-DAG:     %[[BOUND:.+]] = kv.bind @"0"()
// CHECK:         %[[KEY:.+]] = kv.rows %[[ROWS]] "key"
// CHECK:         %[[VALUE:.+]] = kv.rows %[[ROWS]] "value"
// CHECK:         %[[Y:.+]] = kv.attend %arg0, %[[ROWS]]
// CHECK:         return %[[Y]], %[[KEY]], %[[VALUE]]
// CHECK-LABEL: func @next
func.func @first(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %v: tensor<?x?x16xf32>) -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %y = onnx.tenon.Attention(%q, %k, %v) {q_num_heads = 2 : i64, kv_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> tensor<?x?x16xf32>
  %shape = onnx.Constant {value = dense<[0, 0, 2, 8]> : tensor<4xi64>} : tensor<4xi64>
  %0 = onnx.Reshape(%k, %shape) : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x2x8xf32>
  %1 = onnx.Transpose(%0) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x8xf32>) -> tensor<?x2x?x8xf32>
  %2 = onnx.Reshape(%v, %shape) : (tensor<?x?x16xf32>, tensor<4xi64>) -> tensor<?x?x2x8xf32>
  %3 = onnx.Transpose(%2) {perm = array<i64: 0, 2, 1, 3>} : (tensor<?x?x2x8xf32>) -> tensor<?x2x?x8xf32>
  return %y, %1, %3 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
func.func @next(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %v: tensor<?x?x16xf32>, %key: tensor<?x2x?x8xf32> {onnx.name = "past.0.key"}, %value: tensor<?x2x?x8xf32> {onnx.name = "past.0.value"})
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %0 = onnx.tenon.CacheAppend(%key, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%value, %v) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %y = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y, %0, %1 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// Outputs that no other function has a cache for are outputs.
// CHECK-LABEL: func @alone
// CHECK-NOT:     kv.
// CHECK:         return
func.func @alone(%q: tensor<?x2x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) -> (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %y = onnx.tenon.Attention(%q, %k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y, %k, %v : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// Nor are those of another size, or under another name.
// CHECK-LABEL: func @another_size
// CHECK:         onnx.tenon.Attention
// CHECK-LABEL: func @another_name
// CHECK:         onnx.tenon.Attention
// CHECK-LABEL: func @next
func.func @another_size(%q: tensor<?x2x?x4xf32>, %k: tensor<?x2x?x4xf32>, %v: tensor<?x2x?x4xf32>) -> (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x4xf32> {onnx.name = "present.0.value"}) {
  %y = onnx.tenon.Attention(%q, %k, %v) : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  return %y, %k, %v : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}
func.func @another_name(%q: tensor<?x2x?x8xf32>, %k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) -> (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> {onnx.name = "shown.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "shown.0.value"}) {
  %y = onnx.tenon.Attention(%q, %k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y, %k, %v : tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
func.func @next(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %v: tensor<?x?x16xf32>, %key: tensor<?x2x?x8xf32> {onnx.name = "past.0.key"}, %value: tensor<?x2x?x8xf32> {onnx.name = "past.0.value"})
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %0 = onnx.tenon.CacheAppend(%key, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%value, %v) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %y = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y, %0, %1 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
