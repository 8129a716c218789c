// RUN: tenon-opt %s -split-input-file -verify-diagnostics

// launch-C1: the callee is a kernel.
func.func @launch_of_nothing(%x: tensor<4xf32>) {
  // expected-error @below {{expected the name of a kernel.func, but got 'k'}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

kernel.func @k inputs 1 dims [affine_map<() -> (4)>, affine_map<() -> (4)>] {
^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
  kernel.yield %d : tensor<4xf32>
}

// launch-C1: operands and results have the kernel's types.
func.func @launch_of_another_type(%x: tensor<5xf32>) {
  // expected-error @below {{expected the operands and results of kernel 'k', but got others}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      : (tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

kernel.func @k inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
  kernel.yield %d : tensor<?xf32>
}

// launch-C2: each symbol of the kernel has a value.
func.func @launch_without_symbols(%x: tensor<?xf32>) {
  // expected-error @below {{expected 1 symbols for kernel 'k', but got 0}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      : (tensor<?xf32>) -> tensor<?xf32>
  return
}

// -----

// launch-C3: each result has its dimensions.
func.func @launch_without_dims(%x: tensor<4xf32>) {
  // expected-error @below {{expected 1 dimensions of result 0, but got 2}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4, 1)>]
      : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// launch-C4: each result has a place.
func.func @launch_without_a_place(%x: tensor<4xf32>) {
  // expected-error @below {{expected 1 places in 'storage', but got 0}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      storage [] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// launch-C4: a place is in the arena, a state or an output.
func.func @launch_to_nowhere(%x: tensor<4xf32>) {
  // expected-error @below {{expected a place in the arena, the heap, a state or an output, but got 1 : i64}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      storage [1] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

// launch-C5: what is written over has the result's type.
func.func @launch_over_another_type(%x: tensor<4xf32>) {
  // expected-error @below {{expected for each result in 'in_place' an input of its type or -1, but got array<i64: 0>}}
  %0 = plan.launch @k(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (8)>]
      in_place [0] : (tensor<4xf32>) -> tensor<8xf32>
  return
}

// -----

// view-C1: the map gives the result's rank.
func.func @view_of_another_rank(%x: tensor<4xf32>) {
  // expected-error @below {{expected 2 dimensions, but got 1}}
  %0 = plan.view %x dims affine_map<() -> (4)> : tensor<4xf32> -> tensor<2x2xf32>
  return
}

// -----

// view-C2: elements stay as wide as they are.
func.func @view_of_other_elements(%x: tensor<4xf32>) {
  // expected-error @below {{expected elements as wide as 'f32', but got 'i64'}}
  %0 = plan.view %x dims affine_map<() -> (2)> : tensor<4xf32> -> tensor<2xi64>
  return
}

// -----

// host_tensor-C1: an expression for each element.
func.func @host_tensor_short() {
  // expected-error @below {{expected 2 expressions, but got 1}}
  %0 = plan.host_tensor affine_map<() -> (1)> : tensor<2xi64>
  return
}

// -----

// host_tensor-C2: elements are integers.
func.func @host_tensor_of_floats() {
  // expected-error @below {{expected elements of type i64 or i32, but got 'f32'}}
  %0 = plan.host_tensor affine_map<() -> (1)> : tensor<1xf32>
  return
}

// -----

// copy-C1: a copy has the source's type.
func.func @copy_changes_the_type(%x: tensor<4xf32>) {
  // expected-error @below {{failed to verify that all of {source, result} have same type}}
  %0 = "plan.copy"(%x) : (tensor<4xf32>) -> tensor<5xf32>
  return
}

// -----

// read_symbol-C1: a symbol is an integer.
func.func @read_symbol_of_floats(%x: tensor<4xf32>) attributes {tenon.symbols = ["n"]} {
  // expected-error @below {{operand #0 must be tensor of}}
  plan.read_symbol 0 from %x[0] : tensor<4xf32>
  return
}

// -----

// read_symbol-C2: the function has the symbol.
func.func @read_unknown_symbol(%x: tensor<4xi64>) attributes {tenon.symbols = ["n"]} {
  // expected-error @below {{expected a symbol below 1, but got 1}}
  plan.read_symbol 1 from %x[0] : tensor<4xi64>
  return
}

// -----

// check-C1: two sizes are compared.
func.func @check_of_one(%x: tensor<4xi64>) attributes {tenon.symbols = ["n"]} {
  // expected-error @below {{expected two sizes, but got 1}}
  plan.check equal affine_map<()[s0] -> (s0)>
  return
}

// -----

// if-C1: both regions return what the operation does.
func.func @if_of_another_type(%c: tensor<i1>, %x: tensor<4xf32>) {
  // expected-error @below {{expected each region to return the results' types}}
  %0 = plan.if %c dims [affine_map<() -> (4)>] : tensor<i1> -> tensor<4xf32> then {
    plan.return %x : tensor<4xf32>
  } else {
    plan.return
  }
  return
}

// -----

// if-C2: each result has its dimensions.
func.func @if_without_dims(%c: tensor<i1>, %x: tensor<4xf32>) {
  // expected-error @below {{expected 1 maps in 'dims', but got 0}}
  %0 = plan.if %c dims [] : tensor<i1> -> tensor<4xf32> then {
    plan.return %x : tensor<4xf32>
  } else {
    plan.return %x : tensor<4xf32>
  }
  return
}

// -----

// loop-C1: the body takes the count and what is carried.
func.func @loop_without_count(%x: tensor<4xf32>) {
  // expected-error @below {{expected a body of the count and each carried value}}
  %0 = plan.loop trips affine_map<() -> (2)> carries %x : tensor<4xf32> dims [affine_map<() -> (4)>] -> tensor<4xf32> do {
  ^bb0(%v: tensor<4xf32>):
    plan.return %v : tensor<4xf32>
  }
  return
}

// -----

// loop-C2: the body returns what is carried.
func.func @loop_drops_a_value(%x: tensor<4xf32>) {
  // expected-error @below {{expected the body to return the condition and each carried value}}
  %0 = plan.loop trips affine_map<() -> (2)> carries %x : tensor<4xf32> dims [affine_map<() -> (4)>] -> tensor<4xf32> do {
  ^bb0(%count: tensor<i64>, %v: tensor<4xf32>):
    plan.return
  }
  return
}

// -----

// loop-C3: each result has its dimensions.
func.func @loop_without_dims(%x: tensor<4xf32>) {
  // expected-error @below {{expected 1 maps in 'dims', but got 0}}
  %0 = plan.loop trips affine_map<() -> (2)> carries %x : tensor<4xf32> dims [] -> tensor<4xf32> do {
  ^bb0(%count: tensor<i64>, %v: tensor<4xf32>):
    plan.return %v : tensor<4xf32>
  }
  return
}

// -----

// loop-C4: there is one trip count.
func.func @loop_with_two_trip_counts() {
  // expected-error @below {{expected one trip count, but got 2}}
  plan.loop trips affine_map<() -> (1, 2)> carries dims [] do {
  ^bb0(%count: tensor<i64>):
    plan.return
  }
  return
}

// -----

// loop-C5: something ends a loop.
func.func @loop_without_end() {
  // expected-error @below {{expected a condition or a trip count, but got neither}}
  plan.loop carries dims [] do {
  ^bb0(%count: tensor<i64>):
    plan.return
  }
  return
}

// -----

// insert-C1: one element type.
func.func @insert_of_another_type(%row: tensor<4xf64>, %rows: tensor<2x4xf32>) {
  // expected-error @below {{expected elements of type 'f32', but got 'tensor<4xf64>'}}
  %0 = plan.insert %row into %rows at affine_map<() -> (0)> dims affine_map<() -> (2, 4)>
      : tensor<4xf64> into tensor<2x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// insert-C2: each dimension is said.
func.func @insert_without_dims(%row: tensor<4xf32>, %rows: tensor<2x4xf32>) {
  // expected-error @below {{expected 2 dimensions, but got 1}}
  %0 = plan.insert %row into %rows at affine_map<() -> (0)> dims affine_map<() -> (8)>
      : tensor<4xf32> into tensor<2x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// insert-C3: there is one offset.
func.func @insert_at_two_places(%row: tensor<4xf32>, %rows: tensor<2x4xf32>) {
  // expected-error @below {{expected one offset, but got 2}}
  %0 = plan.insert %row into %rows at affine_map<() -> (0, 4)> dims affine_map<() -> (2, 4)>
      : tensor<4xf32> into tensor<2x4xf32> -> tensor<2x4xf32>
  return
}

// -----

// return-C1: a function returns its results.
func.func @return_of_another_type(%x: tensor<4xf32>) -> tensor<5xf32> {
  // expected-error @below {{expected the types of the function's results}}
  plan.return %x : tensor<4xf32>
}

// -----

// An arena's place is one expression.
// expected-error @below {{expected one offset over symbols}}
func.func private @two_offsets() attributes {place = #plan.arena<() -> (1, 2)>}
