// RUN: tenon-opt %s -split-input-file -lower-caches='mode=session' -verify-diagnostics

!cache = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
!shared = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>
kv.state @a : !cache
kv.state @b : !shared
func.func @other_rows(%x: tensor<?x2x?x8xf32>, %y: tensor<?x2x?x8xf32>) {
  %0 = kv.bind @a() : () -> !cache
  %1 = kv.bind @b() : () -> !shared
  // expected-note @below {{namely here}}
  %2 = kv.append %0(%x, %x) grows : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !cache
  // expected-error @below {{expected the rows that its storage, that of state 'a', is given elsewhere}}
  %3 = kv.append %1(%x, %y) grows : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !shared
  return
}

// -----

!cache = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
!shared = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>
kv.state @a : !cache
kv.state @b : !shared
func.func @bound_differently(%k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) {
  // expected-note @below {{which is bound here}}
  %0 = kv.bind @a() : () -> !cache
  // expected-error @below {{expected rows, a table and appends as of 'a', with which it shares its rows}}
  %1 = kv.bind @b(%k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !shared
  return
}

// -----

!cache = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
kv.state @a : !cache
func.func @read_elsewhere(%k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32> {
  // expected-error @below {{expected bound rows to be asked for their shape alone, but got a use by onnx.Neg}}
  %0 = kv.bind @a(%k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !cache
  %1 = onnx.Neg(%k) : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %1 : tensor<?x2x?x8xf32>
}

// -----

!cache = !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, budget = 4>
kv.state @a : !cache
func.func @buffer_with_a_budget(%k: tensor<?x2x?x8xf32>, %v: tensor<?x2x?x8xf32>, %first: tensor<1xi64>) {
  // expected-error @below {{expected a plain, contiguous cache without a budget where the model gives the buffer}}
  %0 = kv.bind @a(%k, %v) : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !cache
  %1 = kv.append %0(%k, %v) first %first : tensor<1xi64> : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> !cache
  return
}

// -----

kv.state @a : !kv.recurrent<4xf32>
func.func @replaced_twice(%past: tensor<4xf32>) {
  %0 = kv.read @a(%past) : tensor<4xf32>
  %1 = kv.replace @a(%0) : tensor<4xf32>
  // expected-error @below {{expected one kv.replace of state 'a' in a function, but got two}}
  %2 = kv.replace @a(%1) : tensor<4xf32>
  return
}

// -----

kv.state @a : !kv.recurrent<4xf32>
func.func @read_alone(%past: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error @below {{expected a state that the function replaces as well, but it reads 'a' alone}}
  %0 = kv.read @a(%past) : tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

kv.state @a : !kv.recurrent<?x4xf32>
func.func @unknown_batch(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @below {{expected a batch that an input has, but got a result without 'onnx.dims'}}
  %0 = kv.replace @a(%x) : tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}
