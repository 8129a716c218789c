// RUN: tenon-opt %s -split-input-file -find-caches | FileCheck %s
// RUN: tenon-opt %s -split-input-file -find-caches='int8-group=4 page=4 pages=6' -o - | FileCheck %s --check-prefix=PAGED
// RUN: not tenon-opt %s -split-input-file -find-caches='page=4' 2>&1 | FileCheck %s --check-prefix=PAGES

// PAGES: expected 'page' and 'pages' together, but got 4 and 0

// Two appends between arguments and results that one attention reads.
// CHECK:       kv.state @"0" : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
// CHECK-LABEL: func @main
// CHECK-NOT:     onnx.tenon
// CHECK:         %[[BOUND:.+]] = kv.bind @"0"(%arg2, %arg3)
// CHECK:         %[[CACHE:.+]] = kv.append %[[BOUND]](%arg1, %arg1) grows
// CHECK:         %[[KEY:.+]] = kv.rows %[[CACHE]] "key"
// CHECK:         %[[VALUE:.+]] = kv.rows %[[CACHE]] "value"
// CHECK:         %[[Y:.+]] = kv.attend %arg0, %[[CACHE]] q_positions %{{.+}} {{{.*}}is_causal = 1 : i64
// CHECK:         return %[[Y]], %[[KEY]], %[[VALUE]]
// PAGED:       kv.state @"0" : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.int8<f32, group = 4>>], layout = #kv.paged<page = 4, pages = 6>, positions = sequential>
// PAGED-LABEL: func @main
// PAGED-SAME:    %arg4: tensor<?x?xi64> {onnx.dims = ["", "page_count"], onnx.name = "page_table"}
// PAGED:         kv.bind @"0"(%arg2, %arg3) table %arg4
func.func @main(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %past_key: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "past", ""], onnx.name = "past.0.key"}, %past_value: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "past", ""], onnx.name = "past.0.value"})
    -> (tensor<?x?x16xf32> {onnx.name = "y"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %0 = onnx.tenon.CacheAppend(%past_key, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%past_value, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %p = onnx.Shape(%past_key) {start = 2 : i64, end = 3 : i64} : (tensor<?x2x?x8xf32>) -> tensor<1xi64>
  %y = onnx.tenon.Attention(%q, %0, %1, none, none, %p) {is_causal = 1 : i64, q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<1xi64>) -> tensor<?x?x16xf32>
  return %y, %0, %1 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// A past that something else reads is no cache of a session.
// CHECK-LABEL: func @read_elsewhere
// CHECK-NOT:     kv.
// CHECK:         onnx.tenon.Attention
func.func @read_elsewhere(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %past: tensor<?x2x?x8xf32>, %other: tensor<?x2x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) {
  %0 = onnx.tenon.CacheAppend(%past, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%other, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %y = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  %z = onnx.Neg(%past) : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y, %0, %1, %z : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// An append whose result is no output stays.
// CHECK-LABEL: func @not_returned
// CHECK-NOT:     kv.
// CHECK:         onnx.tenon.Attention
func.func @not_returned(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %past: tensor<?x2x?x8xf32>, %other: tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32> {
  %0 = onnx.tenon.CacheAppend(%past, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%other, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %y = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y : tensor<?x?x16xf32>
}
