// RUN: tenon-opt %s -split-input-file -find-caches | FileCheck %s
// RUN: tenon-opt %s -split-input-file -find-caches -lower-caches='mode=session' | FileCheck %s --check-prefix=SESSION
// RUN: tenon-opt %s -split-input-file -find-caches -lower-caches | FileCheck %s --check-prefix=IO

// Two layers that append the same rows have one cache; in the signature they stay two.
// CHECK:       kv.state @"1" : !kv.cache<{{.+}}, share = @"0">
// CHECK:       kv.state @"0" : !kv.cache<{{.+}}, positions = sequential>
// CHECK-LABEL: func @same_rows
// CHECK:         kv.bind @"0"(%arg2, %arg3)
// CHECK:         kv.bind @"1"(%arg4, %arg5)
// SESSION-LABEL: func @same_rows
// SESSION-SAME:    tenon.replaces = ["past.0.key", "past.1.key"], tenon.state = ["0", "key"]
// SESSION-SAME:    -> ({{.+}}tenon.replaces = ["present.0.key", "present.1.key"], tenon.state = ["0", "key"]
// SESSION-COUNT-2: onnx.tenon.CacheAppend
// SESSION-NOT:     onnx.tenon.CacheAppend
// SESSION-COUNT-2: onnx.tenon.Attention
// IO-LABEL: func @same_rows
// IO-COUNT-4: onnx.tenon.CacheAppend
func.func @same_rows(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>,
    %key0: tensor<?x2x?x8xf32> {onnx.name = "past.0.key"}, %value0: tensor<?x2x?x8xf32> {onnx.name = "past.0.value"},
    %key1: tensor<?x2x?x8xf32> {onnx.name = "past.1.key"}, %value1: tensor<?x2x?x8xf32> {onnx.name = "past.1.value"})
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"},
        tensor<?x2x?x8xf32> {onnx.name = "present.1.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.1.value"}) {
  %0 = onnx.tenon.CacheAppend(%key0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%value0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %2 = onnx.tenon.CacheAppend(%key1, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %3 = onnx.tenon.CacheAppend(%value1, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %x = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  %y = onnx.tenon.Attention(%x, %2, %3) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y, %0, %1, %2, %3 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// Other values are other rows.
// CHECK:       kv.state @"1" : !kv.cache<{{.+}}positions = sequential>
// CHECK-LABEL: func @other_values
func.func @other_values(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %v: tensor<?x?x16xf32>,
    %key0: tensor<?x2x?x8xf32>, %value0: tensor<?x2x?x8xf32>, %key1: tensor<?x2x?x8xf32>, %value1: tensor<?x2x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.1.key"}, tensor<?x2x?x8xf32>) {
  %0 = onnx.tenon.CacheAppend(%key0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%value0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %2 = onnx.tenon.CacheAppend(%key1, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %3 = onnx.tenon.CacheAppend(%value1, %v) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %x = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  %y = onnx.tenon.Attention(%x, %2, %3) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y, %0, %1, %2, %3 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}

// -----

// A layer that begins anew does not have the rows of one with a past.
// CHECK:       kv.state @"1" : !kv.cache<{{.+}}positions = sequential>
// CHECK-LABEL: func @no_past
func.func @no_past(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %key0: tensor<?x2x?x8xf32>, %value0: tensor<?x2x?x8xf32>)
    -> (tensor<?x?x16xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32> {onnx.name = "present.1.key"}, tensor<?x2x?x8xf32>) {
  %0 = onnx.tenon.CacheAppend(%key0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%value0, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %2 = onnx.tenon.CacheAppend(none, %k) {num_heads = 2 : i64} : (tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %3 = onnx.tenon.CacheAppend(none, %k) {num_heads = 2 : i64} : (tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %x = onnx.tenon.Attention(%q, %0, %1) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  %y = onnx.tenon.Attention(%x, %2, %3) {q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x?x16xf32>
  return %y, %0, %1, %2, %3 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
