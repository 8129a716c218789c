#ifndef TENON_DIALECTS_KERNEL_KERNELOPS_TD
#define TENON_DIALECTS_KERNEL_KERNELOPS_TD

include "dialects/Kernel/KernelDialect.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Kernel_Op<string mnemonic, list<Trait> traits = []>
    : Op<Kernel_Dialect, mnemonic, traits>;

def Kernel_LaunchOp : Kernel_Op<"launch", [
    Pure, IsolatedFromAbove, SingleBlock
  ]> {
  let summary = "Runs one kernel";
  let description = [{
    Computes `results` from `inputs`. The region's arguments are the inputs, then
    one destination tensor for each result, of the result's type and of
    unspecified contents; `kernel.yield` ends it.

    `symbols` maps the function's symbols to the kernel's own; `dims` has, for each
    region argument, a map from the kernel's own symbols to its dimensions.

    `in_place` has for each result the number of an input, or -1. The destination of
    such a result begins with that input's contents and is the input's own memory: the
    region writes over a part of it, of which it may read what it writes over.

    Constraints:
    - (launch-C1) the region has an argument of the right type for each input and
      then for each result.
    - (launch-C2) `dims` has a map for each region argument, with a result for
      each dimension, and as many symbols as `symbols` has results; where the
      type's dimension is static the map's result is that constant.
    - (launch-C3) `kernel.yield` yields one value of each result's type.
    - (launch-C4) `in_place` has a number for each result; an input that it names has
      the result's type and dimensions, and its region argument is not used.

    ```mlir
    %y = kernel.launch(%x) symbols affine_map<()[s0] -> (s0)>
        dims [affine_map<()[s0] -> (s0, 4)>, affine_map<()[s0] -> (s0, 4)>]
        : (tensor<?x4xf32>) -> tensor<?x4xf32> {
    ^bb0(%a: tensor<?x4xf32>, %d: tensor<?x4xf32>):
      %r = linalg.exp ins(%a : tensor<?x4xf32>) outs(%d : tensor<?x4xf32>) -> tensor<?x4xf32>
      kernel.yield %r : tensor<?x4xf32>
    }
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$inputs, AffineMapAttr:$symbols,
                       AffineMapArrayAttr:$dims,
                       OptionalAttr<DenseI64ArrayAttr>:$in_place);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` `symbols` $symbols `dims` $dims (`in_place` $in_place^)? attr-dict `:`
    functional-type($inputs, $results) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The region's arguments that stand for the results.
    ::llvm::ArrayRef<::mlir::BlockArgument> getDestinations() {
      return getBody().getArguments().drop_front(getInputs().size());
    }
    /// Dimensions of region argument `index` over the kernel's own symbols.
    ::mlir::AffineMap getArgumentDims(unsigned index) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getDims()[index]).getValue();
    }
    /// Dimensions of result `index` over the function's symbols.
    ::mlir::AffineMap getResultDims(unsigned index);
  }];
}

def Kernel_YieldOp : Kernel_Op<"yield", [
    Pure, Terminator, ReturnLike,
    ParentOneOf<["LaunchOp", "FuncOp"]>]> {
  let summary = "Ends a kernel and names its results";
  let description = [{
    Yields the tensors that become the results of the enclosing kernel.

    ```mlir
    kernel.yield %r : tensor<4xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def Kernel_FuncOp : Kernel_Op<"func", [IsolatedFromAbove, Symbol, SingleBlock]> {
  let summary = "A kernel that launches share";
  let description = [{
    The outlined form of `kernel.launch`: the region's first `num_inputs` arguments
    are inputs, the others destinations; `dims` and `in_place` are as there. `weights`
    has the numbers of inputs that are weights in all launches: no launch writes them.
    `step_symbols` has the numbers of the kernel's own symbols that change from call to call of
    a session (`mark-steps`): a GPU's code reads them from memory, so that a call like the
    one before is the same launches. `schedule` holds what the schedule chose, by name.

    ```mlir
    kernel.func @exp_f32 inputs 1 dims [affine_map<()[s0] -> (s0)>, affine_map<()[s0] -> (s0)>] {
    ^bb0(%a: tensor<?xf32>, %d: tensor<?xf32>):
      %r = linalg.exp ins(%a : tensor<?xf32>) outs(%d : tensor<?xf32>) -> tensor<?xf32>
      kernel.yield %r : tensor<?xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, I64Attr:$num_inputs,
                       AffineMapArrayAttr:$dims,
                       OptionalAttr<DenseI64ArrayAttr>:$in_place,
                       OptionalAttr<DenseI64ArrayAttr>:$weights,
                       OptionalAttr<DenseI64ArrayAttr>:$step_symbols,
                       OptionalAttr<DictionaryAttr>:$schedule);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `inputs` $num_inputs `dims` $dims (`in_place` $in_place^)?
    (`weights` $weights^)? (`step_symbols` $step_symbols^)? (`schedule` $schedule^)?
    attr-dict-with-keyword $body
  }];
  let extraClassDeclaration = [{
    /// Dimensions of region argument `index` over the kernel's own symbols.
    ::mlir::AffineMap getArgumentDims(unsigned index) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getDims()[index]).getValue();
    }
    /// Whether the argument is a destination that holds an input's contents.
    bool isInPlace(unsigned argument) {
      return getInPlace() && argument >= getNumInputs() &&
             (*getInPlace())[argument - getNumInputs()] >= 0;
    }
    /// Whether the argument is a weight in all launches.
    bool isWeight(unsigned argument) {
      return getWeights() && ::llvm::is_contained(*getWeights(), int64_t(argument));
    }
    /// Whether the kernel's own symbol changes from call to call.
    bool isStepSymbol(unsigned symbol) {
      return getStepSymbols() &&
             ::llvm::is_contained(*getStepSymbols(), int64_t(symbol));
    }
    /// How many symbols of its own the kernel takes.
    unsigned getNumKernelSymbols() {
      return getDims().empty() ? 0 : getArgumentDims(0).getNumSymbols();
    }
  }];
}

def Kernel_SymbolOp : Kernel_Op<"symbol", [Pure]> {
  let summary = "The value of an expression over the kernel's own symbols";
  let description = [{
    ```mlir
    %n = kernel.symbol affine_map<()[s0, s1] -> (s0 + s1)>
    ```
  }];
  let arguments = (ins AffineMapAttr:$expr);
  let results = (outs Index:$result);
  let assemblyFormat = "$expr attr-dict";
}

def Kernel_AttentionOp : Kernel_Op<"attention", [Pure, AttrSizedOperandSegments]> {
  let summary = "Attends without holding the scores";
  let description = [{
    For each batch b, head h and query s, with `p = positions[b] + s` (0 + s without
    `positions`) and each key t that `p` sees,

        score[t] = cap(scale * dot(query[b, h, s], key[b, h / group, t])) + mask[b, h, s, t]
        result[b, h, s] = sum over t of softmax(score)[t] * value[b, h / group, t]
        lse[b, h, s] = log(sum over t of exp(score[t]))

    where `group` is the number of query heads over that of key heads, `scale` is one
    over the root of the number of features unless it is given, and `cap(x)` is
    `softcap * tanh(x / softcap)`, or x if `softcap` is 0. A key is seen if it is under
    `lengths[b]`, is at most `p` if `causal`, and lies within `left_window` before and
    `right_window` after `p` (-1: no bound). `sinks[h]` is the score of one more key,
    whose value is zero. A boolean mask says which keys are seen;
    keys past its end are not. A row that sees no key is zero with `zero_empty`, else
    NaN; its `lse` is -inf. `keys`, over the kernel's symbols, says how many keys there
    are where the tensors have room for more.

    `maps` says where the element of (b, h, s or t, d) lies in query, key, value and
    result, and that of (b, h, s, t) in the mask. A constant in the map of query, key or
    value says which part the operand is of a tensor that has several (as the projection
    of Q, K and V by one matrix). A result of rank 5 has a leading
    dimension of splits: split i attends to the i-th part of the keys, rows without
    any are zero, and results merge by `lse`, which then has that dimension too.
    Sums are f32, or f64 for f64 operands.

    Constraints:
    - (attention-C1) query, key and value are of rank 4, or 5 if one of a part, and the
      result of 4 or 5.
    - (attention-C2) `maps` has a map of four dimensions for each of query, key, value
      and result, a permutation, for the first three with a constant of at least 0 in it
      where the rank is 5, then one for the mask, if there is one.
    - (attention-C3) there is a destination for the result and at most one more, for
      `lse`; the results have the destinations' types.
    - (attention-C4) `keys` has one result.

    ```mlir
    %y = kernel.attention ins(%q, %k, %v) outs(%d)
        maps [affine_map<(b, h, s, d) -> (b, s, h, d)>, affine_map<(b, h, s, d) -> (b, h, s, d)>,
              affine_map<(b, h, s, d) -> (b, h, s, d)>, affine_map<(b, h, s, d) -> (b, s, h, d)>]
        {scale = 0.125 : f64, causal}
        : (tensor<1x5x9x64xf32>, tensor<1x3x5x64xf32>, tensor<1x3x5x64xf32>, tensor<1x5x9x64xf32>)
        -> tensor<1x5x9x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$query, AnyRankedTensor:$key,
      AnyRankedTensor:$value, Optional<AnyRankedTensor>:$mask,
      Optional<AnyRankedTensor>:$lengths, Optional<AnyRankedTensor>:$positions,
      Optional<AnyRankedTensor>:$sinks, Variadic<AnyRankedTensor>:$destinations,
      AffineMapArrayAttr:$maps, OptionalAttr<F64Attr>:$scale,
      DefaultValuedAttr<F64Attr, "0.0">:$softcap, UnitAttr:$causal,
      DefaultValuedAttr<I64Attr, "-1">:$left_window,
      DefaultValuedAttr<I64Attr, "-1">:$right_window, UnitAttr:$zero_empty,
      OptionalAttr<AffineMapAttr>:$keys);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    `ins` `(` $query `,` $key `,` $value `)` (`mask` `(` $mask^ `)`)?
    (`lengths` `(` $lengths^ `)`)? (`positions` `(` $positions^ `)`)?
    (`sinks` `(` $sinks^ `)`)? `outs` `(` $destinations `)` `maps` $maps attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    enum Operand { OfQuery, OfKey, OfValue, OfResult, OfMask };
    ::mlir::AffineMap getMap(Operand operand) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getMaps()[operand]).getValue();
    }
    bool isSplit() {
      return ::llvm::cast<::mlir::RankedTensorType>(getDestinations()[0].getType())
                 .getRank() == 5;
    }
  }];
}

def Kernel_BlockProductOp : Kernel_Op<"block_product", [Pure, AttrSizedOperandSegments]> {
  let summary = "Multiplies by a matrix of blocks of small integers";
  let description = [{
    result[m, n] = bias[n] + sum over k of rows[m, k] * scale * (integer - zero), where
    row n of `bytes` holds the integers of `bits` bits for k = 0, 1, ..., the first in
    a byte's low bits, in blocks of `block`; they are unsigned, or in two's complement
    if `signed`. A block has one scale, in row n of `scales`, and one zero: the middle
    of the integers' range unless `zeros` has it, as floats in the form of `scales` or
    as integers packed like the others. A single row of scales or zeros serves all n.
    The last block may go on after the last k. Sums are f32.

    Constraints:
    - (block-product-C1) all but `bias` are of rank 2.
    - (block-product-C2) `bits` is 2, 4 or 8 and `block` a multiple of 16.

    ```mlir
    %y = kernel.block_product ins(%x, %w, %s) outs(%d) bits 4 block 32
        : (tensor<?x576xf32>, tensor<192x288xi8>, tensor<192x18xf32>, tensor<?x192xf32>)
        -> tensor<?x192xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$rows, AnyRankedTensor:$bytes,
      AnyRankedTensor:$scales, Optional<AnyRankedTensor>:$zeros,
      Optional<AnyRankedTensor>:$bias, AnyRankedTensor:$destination,
      I64Attr:$bits, I64Attr:$block, UnitAttr:$is_signed);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    `ins` `(` $rows `,` $bytes `,` $scales `)` (`zeros` `(` $zeros^ `)`)?
    (`bias` `(` $bias^ `)`)? `outs` `(` $destination `)` `bits` $bits `block` $block
    (`signed` $is_signed^)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_TopKOp : Kernel_Op<"top_k", [Pure]> {
  let summary = "The first elements of rows in their order";
  let description = [{
    Of each row of `source`, which is [outer, n, inner] and has its rows along n, the
    first k elements from the largest (`largest`) or the smallest on, and their numbers in
    the row; k is the size of the destinations there. NaN is larger than every number,
    zeros of both signs are equal, and of equal elements the first comes first. Integers
    are signed unless `unsigned`.

    Constraints:
    - (top-k-C1) all are of rank 3 and the numbers 64-bit integers; the results have the
      destinations' types.

    ```mlir
    %v, %i = kernel.top_k ins(%x) outs(%dv, %di) largest
        : (tensor<4x100x1xf32>, tensor<4x5x1xf32>, tensor<4x5x1xi64>)
        -> (tensor<4x5x1xf32>, tensor<4x5x1xi64>)
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, AnyRankedTensor:$values_destination,
                       AnyRankedTensor:$indices_destination, UnitAttr:$largest,
                       UnitAttr:$is_unsigned);
  let results = (outs AnyRankedTensor:$values, AnyRankedTensor:$indices);
  let assemblyFormat = [{
    `ins` `(` $source `)` `outs` `(` $values_destination `,` $indices_destination `)`
    (`largest` $largest^)? (`unsigned` $is_unsigned^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_ScanOp : Kernel_Op<"scan", [Pure]> {
  let summary = "Running sums or products of rows";
  let description = [{
    Element i of each row, along n of [outer, n, inner], is the sum (with `product`, the
    product) of the row's elements up to i, without i itself if `exclusive`; with
    `reverse`, of those from i on. Floats under 32 bits are summed in f32, in a fixed order.

    Constraints:
    - (scan-C1) both are of rank 3; the result has the destination's type and the source's
      element type.

    ```mlir
    %y = kernel.scan ins(%x) outs(%d) exclusive
        : (tensor<4x100x1xf32>, tensor<4x100x1xf32>) -> tensor<4x100x1xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, AnyRankedTensor:$destination,
                       UnitAttr:$product, UnitAttr:$exclusive, UnitAttr:$reverse);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    `ins` `(` $source `)` `outs` `(` $destination `)` (`product` $product^)?
    (`exclusive` $exclusive^)? (`reverse` $reverse^)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Kernel_ViewOp : Kernel_Op<"view", [Pure]> {
  let summary = "The same bytes under another shape";
  let description = [{
    `dims` gives the result's dimensions over the function's symbols. The number of
    elements is that of `source` and the element type has the same width.

    ```mlir
    %1 = kernel.view %0 dims affine_map<()[s0] -> (s0, 9, 64)> : tensor<?x576xf32> -> tensor<?x9x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, AffineMapAttr:$dims);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source `dims` $dims attr-dict `:` type($source) `->` type($result)";
}

def Kernel_HostTensorOp : Kernel_Op<"host_tensor", [Pure]> {
  let summary = "A small integer tensor whose elements are expressions";
  let description = [{
    `elements` maps the function's symbols to the elements, in row-major order.

    ```mlir
    %0 = kernel.host_tensor affine_map<()[s0] -> (1, s0)> : tensor<2xi64>
    ```
  }];
  let arguments = (ins AffineMapAttr:$elements);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$elements attr-dict `:` type($result)";
}

def Kernel_WeightOp : Kernel_Op<"weight", [Pure]> {
  let summary = "A constant that is stored in the artifact";
  let description = [{
    `value` is an elements attribute or a reference into the weight store; `weight`
    is the name by which the artifact knows it. `encoding`, where present, says how
    the result's bytes come from the value's: "panels:WIDTH:DIM",
    "lines:DIM:LENGTH" or "taps:CHANNELS:ROW" (docs/artifact.md).

    ```mlir
    %0 = kernel.weight "fc.weight" dense<1.0> : tensor<4xf32> : tensor<4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$weight, TypedAttrInterface:$value,
                       OptionalAttr<StrAttr>:$encoding);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $weight $value (`encoding` $encoding^)? attr-dict `:` type($result)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$type, "::mlir::StringAttr":$weight,
                                 "::mlir::TypedAttr":$value), [{
    build($_builder, $_state, type, weight, value, /*encoding=*/::mlir::StringAttr());
  }]>];
}

#endif // TENON_DIALECTS_KERNEL_KERNELOPS_TD
