// RUN: tenon-opt %s | tenon-opt | FileCheck %s
// RUN: tenon-opt %s -mlir-print-op-generic | tenon-opt | FileCheck %s

!plain = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
!paged = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>

// CHECK:       kv.state @plain : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
// CHECK:       kv.state @paged : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>
// CHECK:       kv.state @limited : !kv.cache<{{.+}}, positions = sequential, budget = 64>
// CHECK:       kv.state @shared : !kv.cache<{{.+}}, positions = sequential, budget = 64, share = @limited>
// CHECK:       kv.state @convolution : !kv.recurrent<?x16x3xf32>
// CHECK:       kv.state @hidden : !kv.recurrent<1x4xf16, snapshots = 2>
kv.state @plain : !plain
kv.state @paged : !paged
kv.state @limited : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, budget = 64>
kv.state @shared : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, budget = 64, share = @limited>
kv.state @convolution : !kv.recurrent<?x16x3xf32>
kv.state @hidden : !kv.recurrent<1x4xf16, snapshots = 2>

// CHECK-LABEL: func @contiguous
// CHECK:         kv.bind @plain(%arg0, %arg1) :
// CHECK:         kv.append %{{.+}}(%arg2, %arg2) grows :
// CHECK:         kv.attend %arg2, %{{.+}} {is_causal = 1 : i64, q_num_heads = 2 : i64} :
// CHECK:         kv.rows %{{.+}} "key" :
func.func @contiguous(%k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>, %x: tensor<?x?x16xf32>) {
  %0 = kv.bind @plain(%k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !plain
  %1 = kv.append %0(%x, %x) grows : (tensor<?x?x16xf32>, tensor<?x?x16xf32>) -> !plain
  %y = kv.attend %x, %1 {is_causal = 1 : i64, q_num_heads = 2 : i64} : (tensor<?x?x16xf32>, !plain) -> (tensor<?x?x16xf32>)
  %2 = kv.rows %1 "key" : !plain -> tensor<?x2x?x8xf32>
  return
}

// CHECK-LABEL: func @in_pages
// CHECK:         kv.bind @paged() table %arg0 : tensor<?x?xi64>
// CHECK:         kv.append %{{.+}}(%arg1, %arg1) first %arg2 : tensor<1xi64> positions %arg3 : tensor<?x?xi64>
// CHECK:         kv.attend %arg1, %{{.+}} q_positions %arg3 : tensor<?x?xi64> {} :
func.func @in_pages(%table: tensor<?x?xi64>, %x: tensor<?x2x?x8xf32>, %first: tensor<1xi64>, %p: tensor<?x?xi64>) {
  %0 = kv.bind @paged() table %table : tensor<?x?xi64> : () -> !paged
  %1 = kv.append %0(%x, %x) first %first : tensor<1xi64> positions %p : tensor<?x?xi64> : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !paged
  %y = kv.attend %x, %1 q_positions %p : tensor<?x?xi64> {} : (tensor<?x2x?x8xf32>, !paged) -> (tensor<?x2x?x8xf32>)
  return
}

// A function may fix the batch of a state.
// CHECK-LABEL: func @replaced
// CHECK:         kv.read @convolution(%arg0) : tensor<1x16x3xf32>
// CHECK:         kv.replace @convolution(%arg1) : tensor<1x16x3xf32>
func.func @replaced(%past: tensor<1x16x3xf32>, %x: tensor<1x16x3xf32>) -> tensor<1x16x3xf32> {
  %0 = kv.read @convolution(%past) : tensor<1x16x3xf32>
  %1 = kv.replace @convolution(%x) : tensor<1x16x3xf32>
  return %1 : tensor<1x16x3xf32>
}
