// RUN: tenon-opt %s -split-input-file -find-caches | FileCheck %s
// RUN: tenon-opt %s -split-input-file -find-caches -remark-format=emitRemark -remarks-filter=find-caches 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: tenon-opt %s -split-input-file -find-caches -lower-caches='mode=session' | FileCheck %s --check-prefix=SESSION
// RUN: tenon-opt %s -split-input-file -find-caches -lower-caches | FileCheck %s --check-prefix=IO
// RUN: tenon-opt %s -split-input-file -find-caches='snapshots=2' | FileCheck %s --check-prefix=SNAPSHOTS
// RUN: not tenon-opt %s -split-input-file -find-caches='snapshots=-1' 2>&1 | FileCheck %s --check-prefix=ERROR

// SNAPSHOTS: kv.state @conv.0 : !kv.recurrent<?x3xf32, snapshots = 2>
// ERROR: expected snapshots, but got -1

// An input and an output of one size whose names say that they belong together. In a
// session the output is what the state is given, in the signature they stay.
// CHECK:       kv.state @conv.0 : !kv.recurrent<?x3xf32>
// CHECK-LABEL: func @named
// CHECK:         %[[PAST:.+]] = kv.read @conv.0(%arg1) : tensor<?x3xf32>
// CHECK:         %[[SUM:.+]] = onnx.Add(%[[PAST]], %arg0)
// CHECK:         %[[PRESENT:.+]] = kv.replace @conv.0(%[[SUM]])
// CHECK:         return %[[SUM]], %[[PRESENT]]
// SESSION-LABEL: func @named(
// SESSION-SAME:    %arg1: tensor<?x3xf32> {onnx.dims = ["batch", ""], tenon.recurrent = 0 : i64, tenon.replaces = ["past_conv.0"], tenon.state = ["conv.0", "value"]})
// SESSION-SAME:    -> (tensor<?x3xf32> {onnx.name = "y"}, tensor<?x3xf32> {tenon.replaces = ["present_conv.0"], tenon.state = ["conv.0", "value"]})
// SESSION:         %[[SUM:.+]] = onnx.Add(%arg1, %arg0)
// SESSION:         return %[[SUM]], %[[SUM]]
// IO-LABEL: func @named
// IO:         %[[SUM:.+]] = onnx.Add(%arg1, %arg0)
// IO:         return %[[SUM]], %[[SUM]]
func.func @named(%x: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}, %past: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "past_conv.0"})
    -> (tensor<?x3xf32> {onnx.name = "y"}, tensor<?x3xf32> {onnx.name = "present_conv.0"}) {
  %0 = onnx.Add(%past, %x) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0, %0 : tensor<?x3xf32>, tensor<?x3xf32>
}

// -----

// What an operator makes of the state that it takes, whatever the names are.
// CHECK:       kv.state @hn : !kv.recurrent<1x2x5xf32>
// CHECK-LABEL: func @by_operator
// CHECK:         kv.read @hn(%arg3)
// CHECK:         kv.replace @hn(%{{.+}})
func.func @by_operator(%x: tensor<3x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>, %h: tensor<1x2x5xf32> {onnx.name = "h"})
    -> (tensor<3x1x2x5xf32> {onnx.name = "y"}, tensor<1x2x5xf32> {onnx.name = "hn"}) {
  %y, %hn = onnx.RNN(%x, %w, %r, none, none, %h) {hidden_size = 5 : i64} : (tensor<3x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, tensor<1x2x5xf32>) -> (tensor<3x1x2x5xf32>, tensor<1x2x5xf32>)
  return %y, %hn : tensor<3x1x2x5xf32>, tensor<1x2x5xf32>
}

// -----

// An operator's state that something else reads is an input like any other.
// CHECK-LABEL: func @read_elsewhere
// CHECK-NOT:     kv.
// CHECK:         return
func.func @read_elsewhere(%x: tensor<3x2x4xf32>, %w: tensor<1x5x4xf32>, %r: tensor<1x5x5xf32>, %h: tensor<1x2x5xf32> {onnx.name = "h"})
    -> (tensor<1x2x5xf32> {onnx.name = "y"}, tensor<1x2x5xf32> {onnx.name = "hn"}) {
  %y, %hn = onnx.RNN(%x, %w, %r, none, none, %h) {hidden_size = 5 : i64} : (tensor<3x2x4xf32>, tensor<1x5x4xf32>, tensor<1x5x5xf32>, tensor<1x2x5xf32>) -> (tensor<3x1x2x5xf32>, tensor<1x2x5xf32>)
  %0 = onnx.Neg(%h) : (tensor<1x2x5xf32>) -> tensor<1x2x5xf32>
  return %0, %hn : tensor<1x2x5xf32>, tensor<1x2x5xf32>
}

// -----

// Names that do not belong together say nothing.
// CHECK-LABEL: func @other_names
// CHECK-NOT:     kv.
// CHECK:         return
func.func @other_names(%x: tensor<3xf32> {onnx.name = "past_0"}, %y: tensor<3xf32> {onnx.name = "pastry_1"})
    -> (tensor<3xf32> {onnx.name = "present_1"}, tensor<3xf32> {onnx.name = "presentry_0"}) {
  return %x, %y : tensor<3xf32>, tensor<3xf32>
}

// -----

// REMARK: left input 'past_0' as it is: what replaces it may have another size
// CHECK-LABEL: func @another_batch
// CHECK-NOT:     kv.
// CHECK:         return
func.func @another_batch(%x: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}, %past: tensor<?x3xf32> {onnx.dims = ["other", ""], onnx.name = "past_0"})
    -> (tensor<?x3xf32> {onnx.name = "present_0"}) {
  return %x : tensor<?x3xf32>
}

// -----

// REMARK: left input 'past_0' as it is: no other input has its batch
// CHECK-LABEL: func @unknown_batch
// CHECK-NOT:     kv.
// CHECK:         return
func.func @unknown_batch(%past: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "past_0"}) -> (tensor<?x3xf32> {onnx.name = "present_0"}) {
  %0 = onnx.Neg(%past) : (tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// -----

// REMARK: left input 'past_0' as it is: its size is not fixed
// CHECK-LABEL: func @no_fixed_size
// CHECK-NOT:     kv.
// CHECK:         return
func.func @no_fixed_size(%x: tensor<?x?xf32> {onnx.dims = ["batch", "n"], onnx.name = "x"}, %past: tensor<?x?xf32> {onnx.dims = ["batch", "n"], onnx.name = "past_0"})
    -> (tensor<?x?xf32> {onnx.name = "present_0"}) {
  return %x : tensor<?x?xf32>
}

// -----

// One function may fix the batch that another leaves open.
// CHECK:       kv.state @"0" : !kv.recurrent<?x3xf32>
// CHECK-NOT:   kv.state
// CHECK-LABEL: func @one
// CHECK:         kv.read @"0"(%arg1) : tensor<1x3xf32>
// CHECK-LABEL: func @any
// CHECK:         kv.read @"0"(%arg1) : tensor<?x3xf32>
func.func @one(%x: tensor<1x3xf32> {onnx.name = "x"}, %past: tensor<1x3xf32> {onnx.name = "past.0"}) -> (tensor<1x3xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Add(%past, %x) : (tensor<1x3xf32>, tensor<1x3xf32>) -> tensor<1x3xf32>
  return %0 : tensor<1x3xf32>
}
func.func @any(%x: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}, %past: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "past.0"}) -> (tensor<?x3xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Add(%past, %x) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// -----

// REMARK: left input 'past.0' as it is: another state has its name
// CHECK:       kv.state @"0" : !kv.recurrent<3xf32>
// CHECK-NOT:   kv.state
// CHECK-LABEL: func @three
// CHECK:         kv.read @"0"
// CHECK-LABEL: func @four
// CHECK-NOT:     kv.
// CHECK:         return
func.func @three(%past: tensor<3xf32> {onnx.name = "past.0"}) -> (tensor<3xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Neg(%past) : (tensor<3xf32>) -> tensor<3xf32>
  return %0 : tensor<3xf32>
}
func.func @four(%past: tensor<4xf32> {onnx.name = "past.0"}) -> (tensor<4xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Neg(%past) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// An output without an input of its own begins a state that another function reads.
// CHECK:       kv.state @"0" : !kv.recurrent<?x3xf32>
// CHECK-LABEL: func @first
// CHECK:         kv.replace @"0"(%{{.+}}) : tensor<?x3xf32>
// CHECK-LABEL: func @next
// SESSION-LABEL: func @first
// SESSION-SAME:    %arg1: tensor<?x3xf32> {onnx.dims = ["batch", ""], tenon.recurrent = 0 : i64, tenon.state = ["0", "value"]})
// SESSION-SAME:    -> (tensor<?x3xf32> {tenon.replaces = ["present.0"], tenon.state = ["0", "value"]})
func.func @first(%x: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}) -> (tensor<?x3xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Neg(%x) : (tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}
func.func @next(%x: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "x"}, %past: tensor<?x3xf32> {onnx.dims = ["batch", ""], onnx.name = "past.0"}) -> (tensor<?x3xf32> {onnx.name = "present.0"}) {
  %0 = onnx.Add(%past, %x) : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// -----

// It does not if no other function reads one, or one of another size.
// CHECK-LABEL: func @alone
// CHECK-NOT:     kv.
// CHECK:         return
// CHECK-LABEL: func @other_size
// CHECK-NOT:     kv.
// CHECK:         return
// CHECK-LABEL: func @next
func.func @alone(%x: tensor<3xf32>) -> (tensor<3xf32> {onnx.name = "present.1"}) {
  return %x : tensor<3xf32>
}
func.func @other_size(%x: tensor<4xf32>) -> (tensor<4xf32> {onnx.name = "present.0"}) {
  return %x : tensor<4xf32>
}
func.func @next(%past: tensor<3xf32> {onnx.name = "past.0"}) -> (tensor<3xf32> {onnx.name = "present.0"}) {
  return %past : tensor<3xf32>
}
