// RUN: tenon-opt %s -split-input-file -verify-diagnostics

// launch-C1: the region has an argument for each input and each result.
func.func @launch_without_destination(%x: tensor<4xf32>) {
  // expected-error @below {{expected a region argument for each input and result, but got 1 arguments for 2}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>):
    kernel.yield %a : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: a map for each region argument.
func.func @launch_with_one_map(%x: tensor<4xf32>) {
  // expected-error @below {{expected 2 maps in 'dims', but got 1}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield %d : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: a static size is that constant.
func.func @launch_with_another_size(%x: tensor<4xf32>) {
  // expected-error @below {{expected 'dims' of argument 1 to describe 'tensor<4xf32>'}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (5)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield %d : tensor<4xf32>
  }
  return
}

// -----

// launch-C2: maps range over the kernel's own symbols.
func.func @launch_with_foreign_symbols(%x: tensor<?xf32>) {
  // expected-error @below {{expected 'dims' of argument 0 to describe 'tensor<?xf32>'}}
  %0 = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)>
      dims [affine_map<()[s0, s1] -> (s1)>, affine_map<()[s0] -> (s0)>]
      : (tensor<?xf32>) -> tensor<?xf32> {
  ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
    kernel.yield %d : tensor<?xf32>
  }
  return
}

// -----

// launch-C3: the yielded values are the results.
func.func @launch_that_yields_nothing(%x: tensor<4xf32>) {
  // expected-error @below {{expected kernel.yield of the results' types}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield
  }
  return
}

// -----

// attention-C1: heads and tokens are dimensions of their own.
func.func @attention_of_rank_3(%q: tensor<1x5x64xf32>, %k: tensor<1x1x5x64xf32>) {
  // expected-error @below {{expected query of rank 4 or 5, but got 'tensor<1x5x64xf32>'}}
  %0 = kernel.attention ins(%q, %k, %k) outs(%k)
      maps [affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
            affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>]
      : (tensor<1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>) -> tensor<1x1x5x64xf32>
  return
}

// -----

// attention-C2: a map says where each of the four is.
func.func @attention_with_a_repeated_dimension(%q: tensor<1x1x5x64xf32>) {
  // expected-error @below {{expected 4 maps that fit the operands}}
  %0 = kernel.attention ins(%q, %q, %q) outs(%q)
      maps [affine_map<(b, h, s, d) -> (b, h, s, s)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
            affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>]
      : (tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>) -> tensor<1x1x5x64xf32>
  return
}

// -----

// attention-C2: an operand of rank 5 is one part of several.
func.func @attention_of_two_parts(%q: tensor<1x1x5x64xf32>, %k: tensor<1x5x3x1x64xf32>) {
  // expected-error@+1 {{expected 4 maps that fit the operands, but got}}
  %0 = kernel.attention ins(%q, %k, %k) outs(%q)
      maps [affine_map<(b, h, t, d) -> (b, h, t, d)>, affine_map<(b, h, t, d) -> (b, t, 1, 0, d)>,
            affine_map<(b, h, t, d) -> (b, t, 2, h, d)>, affine_map<(b, h, t, d) -> (b, h, t, d)>]
      : (tensor<1x1x5x64xf32>, tensor<1x5x3x1x64xf32>, tensor<1x5x3x1x64xf32>, tensor<1x1x5x64xf32>)
      -> tensor<1x1x5x64xf32>
  return
}

// -----

// attention-C3: a result has its destination's type.
func.func @attention_of_another_type(%q: tensor<1x1x5x64xf32>) {
  // expected-error @below {{expected a destination of the type of each of one or two results}}
  %0 = kernel.attention ins(%q, %q, %q) outs(%q)
      maps [affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
            affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>]
      : (tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>) -> tensor<1x1x5x32xf32>
  return
}

// -----

// block-product-C1: a row of bytes for each column of the result.
func.func @block_product_of_rank_3(%x: tensor<2x64xf32>, %w: tensor<8x2x16xi8>, %s: tensor<8x2xf32>, %y: tensor<2x8xf32>) {
  // expected-error @below {{expected operands of rank 2, but got 'tensor<8x2x16xi8>'}}
  %0 = kernel.block_product ins(%x, %w, %s) outs(%y) bits 4 block 32
      : (tensor<2x64xf32>, tensor<8x2x16xi8>, tensor<8x2xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// block-product-C2: blocks are whole vectors of bytes.
func.func @block_product_of_blocks_of_24(%x: tensor<2x48xf32>, %w: tensor<8x24xi8>, %s: tensor<8x2xf32>, %y: tensor<2x8xf32>) {
  // expected-error @below {{blocks of a multiple of 16, but got 4 and 24}}
  %0 = kernel.block_product ins(%x, %w, %s) outs(%y) bits 4 block 24
      : (tensor<2x48xf32>, tensor<8x24xi8>, tensor<8x2xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// block-product-C2: integers fill bytes.
func.func @block_product_of_3_bits(%x: tensor<2x64xf32>, %w: tensor<8x32xi8>, %s: tensor<8x2xf32>, %y: tensor<2x8xf32>) {
  // expected-error @below {{expected bits of 2, 4 or 8 and blocks of a multiple of 16, but got 3 and 32}}
  %0 = kernel.block_product ins(%x, %w, %s) outs(%y) bits 3 block 32
      : (tensor<2x64xf32>, tensor<8x32xi8>, tensor<8x2xf32>, tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// top-k-C1: numbers of elements are of 64 bits.
func.func @top_k_of_short_numbers(%x: tensor<4x9x1xf32>, %v: tensor<4x5x1xf32>, %i: tensor<4x5x1xi32>) {
  // expected-error @below {{expected operands of rank 3, values of the source's type and i64 numbers, but got}}
  %0:2 = kernel.top_k ins(%x) outs(%v, %i)
      : (tensor<4x9x1xf32>, tensor<4x5x1xf32>, tensor<4x5x1xi32>) -> (tensor<4x5x1xf32>, tensor<4x5x1xi32>)
  return
}

// -----

// scan-C1: rows lie along the second of three dimensions.
func.func @scan_of_rank_2(%x: tensor<4x9xf32>) {
  // expected-error @below {{expected operands of rank 3 and one element type, but got 'tensor<4x9xf32>'}}
  %0 = kernel.scan ins(%x) outs(%x) : (tensor<4x9xf32>, tensor<4x9xf32>) -> tensor<4x9xf32>
  return
}

// -----

// launch-C4: what is written over is not read.
func.func @launch_that_reads_what_it_writes(%x: tensor<4xf32>) {
  // expected-error @below {{expected 'in_place' of result 0 to name an input of its type and dimensions that the region does not read, but got 0}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      in_place [0] : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    %r = linalg.exp ins(%a : tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
    kernel.yield %r : tensor<4xf32>
  }
  return
}

// -----

// launch-C4: each result says whether it is in place.
func.func @launch_with_two_numbers(%x: tensor<4xf32>) {
  // expected-error @below {{expected 1 numbers in 'in_place', but got 2}}
  %0 = kernel.launch(%x) symbols affine_map<() -> ()> dims [affine_map<() -> (4)>, affine_map<() -> (4)>]
      in_place [0, -1] : (tensor<4xf32>) -> tensor<4xf32> {
  ^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
    kernel.yield %d : tensor<4xf32>
  }
  return
}

// -----

// attention-C4: there is one number of keys.
func.func @attention_of_two_numbers_of_keys(%q: tensor<1x1x5x64xf32>) {
  // expected-error @below {{expected one number of keys, but got 2}}
  %0 = kernel.attention ins(%q, %q, %q) outs(%q)
      maps [affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
            affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>]
      {keys = affine_map<()[s0, s1] -> (s0, s1)>}
      : (tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>, tensor<1x1x5x64xf32>) -> tensor<1x1x5x64xf32>
  return
}
