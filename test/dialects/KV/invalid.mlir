// RUN: tenon-opt %s -split-input-file -verify-diagnostics

// int8-C1: a group has elements.
// expected-error @below {{expected floats in groups of one at least, but got 'f32' and 0}}
func.func private @f() attributes {e = #kv.int8<f32, group = 0>}

// -----

// paged-C1: a page has slots.
// expected-error @below {{expected one slot and one page at least, but got 0 and 4}}
func.func private @f() attributes {e = #kv.paged<page = 0, pages = 4>}

// -----

// cache-C1: groups fill the width.
// expected-error @below {{expected streams of different names and of widths that their encodings take, but got}}
func.func private @f(!kv.cache<heads = 2, streams = [#kv.stream<"key", 6, #kv.int8<f32, group = 4>>], layout = #kv.contiguous, positions = sequential>)

// -----

// cache-C1: there is a head.
// expected-error @below {{expected one head at least, but got 0}}
func.func private @f(!kv.cache<heads = 0, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>)

// -----

// bind-C1: the state is of this type.
func.func @f() {
  // expected-error @below {{expected a kv.state of}}
  %0 = kv.bind @s() : () -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// bind-C2: rows are arguments of the right width.
kv.state @s : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
func.func @f(%x: tensor<?x2x?x4xf32>) {
  // expected-error @below {{expected an argument of the function for rows of}}
  %0 = kv.bind @s(%x) : (tensor<?x2x?x4xf32>) -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// bind-C2: each stream has rows.
kv.state @s : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
func.func @f(%x: tensor<?x2x?x8xf32>) {
  // expected-error @below {{expected rows of 2 streams, but got 1}}
  %0 = kv.bind @s(%x) : (tensor<?x2x?x8xf32>) -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// bind-C3: pages need a table.
kv.state @s : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>
func.func @f() {
  // expected-error @below {{expected a table exactly if the layout has pages}}
  %0 = kv.bind @s() : () -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>
  return
}

// -----

// append-C1: each stream has rows.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>, %x: tensor<?x2x?x8xf32>) {
  // expected-error @below {{expected rows of rank 3 or 4 for each of 2 streams, but got 1}}
  %0 = kv.append %c(%x) grows : (tensor<?x2x?x8xf32>) -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// append-C2: sequential positions are not given.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>, %x: tensor<?x2x?x8xf32>, %p: tensor<?x?xi64>) {
  // expected-error @below {{expected positions exactly if the cache's are explicit}}
  %0 = kv.append %c(%x) positions %p : tensor<?x?xi64> grows : (tensor<?x2x?x8xf32>) -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// append-C3: where rows enter a buffer is said.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>, %x: tensor<?x2x?x8xf32>) {
  // expected-error @below {{expected the first slot of a cache that does not grow, but got none}}
  %0 = kv.append %c(%x) : (tensor<?x2x?x8xf32>) -> !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
  return
}

// -----

// rows-C1: the stream is one of the cache.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>) {
  // expected-error @below {{expected a stream of the cache, but got 'value'}}
  %0 = kv.rows %c "value" : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential> -> tensor<?x2x?x8xf32>
  return
}

// -----

// attend-C1: there are keys and values.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>, %x: tensor<?x2x?x8xf32>) {
  // expected-error @below {{expected the streams 'key' and 'value', but got}}
  %0 = kv.attend %x, %c {} : (tensor<?x2x?x8xf32>, !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>) -> (tensor<?x2x?x8xf32>)
  return
}

// -----

// attend-C2: explicit positions say what is seen.
func.func @f(%c: !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>, %x: tensor<?x2x?x8xf32>) {
  // expected-error @below {{expected q_positions and no mask where positions are explicit}}
  %0 = kv.attend %x, %c {} : (tensor<?x2x?x8xf32>, !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.int8<f32, group = 4>>, #kv.stream<"value", 8, #kv.plain<f32>>], layout = #kv.paged<page = 4, pages = 6>, positions = explicit>) -> (tensor<?x2x?x8xf32>)
  return
}

// -----

// cache-C2: a budget has a slot.
// expected-error @below {{expected a budget of one slot at least, but got 0}}
func.func private @f(!kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, budget = 0>)

// -----

// state-C1: what is shared is a state.
// expected-error @below {{expected to share the rows of a kv.state of '!kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>', but got @a, which is none}}
kv.state @b : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>

// -----

// state-C1: it is of the same type.
kv.state @a : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, budget = 8>
// expected-error @below {{but got @a of another type}}
kv.state @b : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>

// -----

// state-C1: and shares from nobody, itself least of all.
kv.state @a : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
kv.state @b : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>
// expected-error @below {{but got @b of another type}}
kv.state @c : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @b>

// -----

// expected-error @below {{but got @a of another type}}
kv.state @a : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential, share = @a>

// -----

// recurrent-C1: the batch alone is dynamic.
// expected-error @below {{expected numbers of one dimension at least, of which the batch's alone is dynamic, but got 'tensor<?x?x4xf32>'}}
func.func private @f(!kv.recurrent<?x?x4xf32>)

// -----

// recurrent-C1: there is a dimension.
// expected-error @below {{expected numbers of one dimension at least}}
func.func private @f(!kv.recurrent<f32>)

// -----

// recurrent-C1: elements are numbers.
// expected-error @below {{expected numbers of one dimension at least}}
func.func private @f(!kv.recurrent<4xtuple<f32>>)

// -----

// recurrent-C2: there cannot be less than no snapshots.
// expected-error @below {{expected snapshots, but got -1}}
func.func private @f(!kv.recurrent<4xf32, snapshots = -1>)

// -----

// read-C1: the state is recurrent.
kv.state @s : !kv.cache<heads = 2, streams = [#kv.stream<"key", 8, #kv.plain<f32>>], layout = #kv.contiguous, positions = sequential>
func.func @f(%past: tensor<4xf32>) {
  // expected-error @below {{expected a kv.state of a recurrent type that takes 'tensor<4xf32>', but got @s of '!kv.cache}}
  %0 = kv.read @s(%past) : tensor<4xf32>
  return
}

// -----

// read-C1: and takes the tensor.
kv.state @s : !kv.recurrent<?x4xf32>
func.func @f(%past: tensor<?x5xf32>) {
  // expected-error @below {{that takes 'tensor<?x5xf32>', but got @s of '!kv.recurrent<?x4xf32>'}}
  %0 = kv.read @s(%past) : tensor<?x5xf32>
  return
}

// -----

// read-C2: what is bound is an argument.
kv.state @s : !kv.recurrent<4xf32>
func.func @f(%past: tensor<4xf32>) {
  %0 = onnx.Neg(%past) : (tensor<4xf32>) -> tensor<4xf32>
  // expected-error @below {{expected an argument of the function, but got a 'tensor<4xf32>' made in it}}
  %1 = kv.read @s(%0) : tensor<4xf32>
  return
}

// -----

// replace-C1: there is such a state.
func.func @f(%next: tensor<4xf32>) {
  // expected-error @below {{expected a kv.state of a recurrent type that takes 'tensor<4xf32>', but got @s}}
  %0 = kv.replace @s(%next) : tensor<4xf32>
  return
}
