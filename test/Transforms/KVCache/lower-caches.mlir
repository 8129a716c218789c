// RUN: tenon-opt %s -find-caches -lower-caches | FileCheck %s --check-prefix=IO
// RUN: tenon-opt %s -find-caches -lower-caches='mode=session' | FileCheck %s --check-prefix=SESSION
// RUN: tenon-opt %s -find-caches='int8-group=4' -lower-caches='mode=session' | FileCheck %s --check-prefix=INT8
// RUN: tenon-opt %s -find-caches='page=4 pages=6' -lower-caches='mode=session' | FileCheck %s --check-prefix=PAGED
// RUN: tenon-opt %s -find-caches='budget=32' -lower-caches='mode=session' | FileCheck %s --check-prefix=BUDGET
// RUN: not tenon-opt %s -find-caches='budget=32' -lower-caches 2>&1 | FileCheck %s --check-prefix=ERROR
// RUN: not tenon-opt %s -find-caches='int8-group=4' -lower-caches 2>&1 | FileCheck %s --check-prefix=ERROR
// RUN: not tenon-opt %s -lower-caches='mode=file' 2>&1 | FileCheck %s --check-prefix=MODE

// In the signature a cache is what it was before it was found.
// IO-LABEL: func @main(%arg0: tensor<?x?x16xf32>, %arg1: tensor<?x?x16xf32>, %arg2: tensor<?x2x?x8xf32> {{.+}}, %arg3: tensor<?x2x?x8xf32> {{.+}}) -> (tensor<?x?x16xf32> {{.+}}, tensor<?x2x?x8xf32> {{.+}}, tensor<?x2x?x8xf32>
// IO:         %[[KEY:.+]] = onnx.tenon.CacheAppend(%arg2, %arg1) {{{.*}}grows = 1 : i64
// IO:         %[[VALUE:.+]] = onnx.tenon.CacheAppend(%arg3, %arg1)
// IO:         %[[Y:.+]] = onnx.tenon.Attention(%arg0, %[[KEY]], %[[VALUE]], none, none, %{{.+}})
// IO:         return %[[Y]], %[[KEY]], %[[VALUE]]

// A session's tensors are written in place, and attention reads as many keys as there are.
// SESSION-LABEL: func @main(%arg0: tensor<?x?x16xf32>, %arg1: tensor<?x?x16xf32>,
// SESSION-SAME:    %arg2: tensor<?x2x?x8xf32> {{{.*}}onnx.dims = ["batch", "", "past", ""], tenon.state_rows = "0"},
// SESSION-SAME:    %arg3: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "kv.capacity", ""], tenon.replaces = ["past.0.key"], tenon.state = ["0", "key"]},
// SESSION-SAME:    %arg4: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "kv.capacity", ""], tenon.replaces = ["past.0.value"], tenon.state = ["0", "value"]})
// SESSION-SAME:    -> (tensor<?x?x16xf32> {onnx.name = "y"},
// SESSION-SAME:    tensor<?x2x?x8xf32> {tenon.replaces = ["present.0.key"], tenon.state = ["0", "key"]},
// SESSION-SAME:    tenon.state_length = "0"
// SESSION:         %[[PAST:.+]] = onnx.Shape(%arg2) {end = 3 : i64, start = 2 : i64}
// SESSION:         %[[KEY:.+]] = onnx.tenon.CacheAppend(%arg3, %arg1, %[[PAST]]) {{{.*}}grows = 0 : i64
// SESSION:         %[[VALUE:.+]] = onnx.tenon.CacheAppend(%arg4, %arg1, %[[PAST]])
// SESSION:         %[[NEW:.+]] = onnx.Shape(%arg1) {end = 2 : i64, start = 1 : i64}
// SESSION:         %[[COUNT:.+]] = onnx.Add(%[[PAST]], %[[NEW]])
// SESSION:         %[[Y:.+]] = onnx.tenon.Attention(%arg0, %[[KEY]], %[[VALUE]], none, none, %{{.+}}, none, %[[COUNT]])
// SESSION:         return %[[Y]], %[[KEY]], %[[VALUE]], %[[COUNT]]
// SESSION-NOT:     kv.

// Bytes and their scales are appended, and decoded before attention.
// INT8-LABEL: func @main
// INT8-SAME:    tensor<?x2x?x8xi8> {onnx.dims = ["batch", "", "kv.capacity", ""], tenon.replaces = ["past.0.key"], tenon.state = ["0", "key"]}
// INT8-SAME:    tensor<?x2x?x2xf32> {onnx.dims = ["batch", "", "kv.capacity", ""], tenon.state = ["0", "key.scale"]}
// INT8:         onnx.Round
// INT8:         onnx.tenon.CacheAppend
// INT8:         onnx.Mul
// INT8:         onnx.tenon.Attention

// Pages are found through the table.
// PAGED-LABEL: func @main
// PAGED-SAME:    %arg2: tensor<?x?xi64> {{{.*}}onnx.name = "page_table"
// PAGED-SAME:    tensor<6x2x4x8xf32> {onnx.dims = ["", "", "", ""], tenon.replaces = ["past.0.key"], tenon.state = ["0", "key"]}
// PAGED:         onnx.GatherElements(%arg2
// PAGED:         onnx.ScatterND
// PAGED:         onnx.Gather(%{{.+}}, %arg2)
// PAGED:         onnx.tenon.Attention

// A budget has a capacity of its own.
// BUDGET-LABEL: func @main
// BUDGET-SAME:    %arg3: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "kv.capacity.32", ""], tenon.budget = 32 : i64,

// ERROR: expected a plain, contiguous cache of sequential positions in inputs and outputs, and of no budget
// MODE: expected mode io or session, but got 'file'
func.func @main(%q: tensor<?x?x16xf32>, %k: tensor<?x?x16xf32>, %past_key: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "past", ""], onnx.name = "past.0.key"}, %past_value: tensor<?x2x?x8xf32> {onnx.dims = ["batch", "", "past", ""], onnx.name = "past.0.value"})
    -> (tensor<?x?x16xf32> {onnx.name = "y"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.key"}, tensor<?x2x?x8xf32> {onnx.name = "present.0.value"}) {
  %0 = onnx.tenon.CacheAppend(%past_key, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %1 = onnx.tenon.CacheAppend(%past_value, %k) {num_heads = 2 : i64} : (tensor<?x2x?x8xf32>, tensor<?x?x16xf32>) -> tensor<?x2x?x8xf32>
  %p = onnx.Shape(%past_key) {start = 2 : i64, end = 3 : i64} : (tensor<?x2x?x8xf32>) -> tensor<1xi64>
  %y = onnx.tenon.Attention(%q, %0, %1, none, none, %p) {is_causal = 1 : i64, q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>, tensor<1xi64>) -> tensor<?x?x16xf32>
  return %y, %0, %1 : tensor<?x?x16xf32>, tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>
}
