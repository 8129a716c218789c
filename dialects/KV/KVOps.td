#ifndef TENON_DIALECTS_KV_KVOPS_TD
#define TENON_DIALECTS_KV_KVOPS_TD

include "dialects/KV/KVTypes.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class KV_Op<string mnemonic, list<Trait> traits = []>
    : Op<KV_Dialect, mnemonic, traits>;

def KV_StateOp : KV_Op<"state", [
    Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A cache or a recurrent state that lives as long as the session";
  let description = [{
    All entries that use the state use this type of it.

    Constraints:
    - (state-C1) what its type's `share` names is a `kv.state` of the same type without
      `share`, so that nobody shares from one who shares.

    ```mlir
    kv.state @layer0 : !kv.cache<...>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<AnyTypeOf<[KV_CacheType, KV_RecurrentType]>>:$type);
  let assemblyFormat = "$sym_name `:` $type attr-dict";
}

def KV_BindOp : KV_Op<"bind", [
    Pure, AttrSizedOperandSegments, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The state as the call finds it";
  let description = [{
    `rows`, where given, are the function's arguments that stand for the rows of each
    stream, [B, heads, T, width]; without them the call begins a new sequence.
    `table` is where the layout asks for one.

    Constraints:
    - (bind-C1) `state` names a `kv.state` of the result's type.
    - (bind-C2) there are no rows, or an argument of the function for each stream, of
      its width and element type and of the cache's heads.
    - (bind-C3) there is a `table` exactly if the layout has pages.

    ```mlir
    %c = kv.bind @layer0(%past_key, %past_value)
        : (tensor<?x3x?x64xf32>, tensor<?x3x?x64xf32>) -> !kv.cache<...>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$state, Variadic<AnyRankedTensor>:$rows,
                       Optional<AnyRankedTensor>:$table);
  let results = (outs KV_CacheType:$cache);
  let assemblyFormat = [{
    $state `(` $rows `)` (`table` $table^ `:` type($table))? attr-dict `:`
    functional-type($rows, $cache)
  }];
  let hasVerifier = 1;
}

def KV_AppendOp : KV_Op<"append", [
    Pure, AttrSizedOperandSegments, AllTypesMatch<["cache", "result"]>]> {
  let summary = "Puts rows into a cache";
  let description = [{
    `rows` has for each stream [B, heads, S, width], or [B, S, heads * width]. They
    go to the slots from `first` ([1] or [B], of i64) on, or behind those that are
    there. `positions`, [B, S] of i64, are their tokens' positions.

    What is appended to a cache that shares its rows is what the call appends to the
    owner: a session writes it once.

    Without `grows` the tensors bound to the cache are the whole buffers, whose size
    stays.

    Constraints:
    - (append-C1) there are rows for each stream, of the ranks 3 or 4.
    - (append-C2) there are `positions` exactly if those of the cache are explicit.
    - (append-C3) a cache that does not grow is given `first`.

    ```mlir
    %1 = kv.append %0(%k, %v) grows : (tensor<?x?x192xf32>, tensor<?x?x192xf32>) -> !kv.cache<...>
    ```
  }];
  let arguments = (ins KV_CacheType:$cache, Variadic<AnyRankedTensor>:$rows,
                       Optional<AnyRankedTensor>:$first,
                       Optional<AnyRankedTensor>:$positions, UnitAttr:$grows);
  let results = (outs KV_CacheType:$result);
  let assemblyFormat = [{
    $cache `(` $rows `)` (`first` $first^ `:` type($first))?
    (`positions` $positions^ `:` type($positions))? (`grows` $grows^)? attr-dict `:`
    functional-type($rows, $result)
  }];
  let hasVerifier = 1;
}

def KV_RowsOp : KV_Op<"rows", [Pure]> {
  let summary = "The rows of a stream as a tensor";
  let description = [{
    [B, heads, T, width], in the order of the slots. A result of the function that is
    this only says what the cache holds: a session keeps the cache in its place.

    Constraints:
    - (rows-C1) the cache has a stream of this name.

    ```mlir
    %present = kv.rows %1 "key" : !kv.cache<...> -> tensor<?x3x?x64xf32>
    ```
  }];
  let arguments = (ins KV_CacheType:$cache, StrAttr:$stream);
  let results = (outs AnyRankedTensor:$tensor);
  let assemblyFormat = "$cache $stream attr-dict `:` type($cache) `->` type($tensor)";
  let hasVerifier = 1;
}

def KV_AttendOp : KV_Op<"attend", [Pure, AttrSizedOperandSegments]> {
  let summary = "Attends to a cache";
  let description = [{
    What `onnx.tenon.Attention` is to tensors, with the streams "key" and "value" of the
    cache for K and V; `node_attributes` are that operator's. `mask` is by slot.

    Constraints:
    - (attend-C1) the cache has the streams "key" and "value".
    - (attend-C2) with explicit positions there is no `mask`: which key a query sees is
      said by the positions, the lengths and the windows; and there are
      `q_positions`.

    ```mlir
    %y = kv.attend %q, %1 q_positions %p : tensor<1xi64>
        {is_causal = 1 : i64, q_num_heads = 9 : i64}
        : (tensor<?x?x576xf32>, !kv.cache<...>) -> tensor<?x?x576xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$query, KV_CacheType:$cache,
                       Optional<AnyRankedTensor>:$mask,
                       Optional<AnyRankedTensor>:$lengths,
                       Optional<AnyRankedTensor>:$q_positions,
                       Optional<AnyRankedTensor>:$sinks,
                       DictionaryAttr:$node_attributes);
  let results = (outs AnyRankedTensor:$y, Optional<AnyRankedTensor>:$lse);
  let assemblyFormat = [{
    $query `,` $cache (`mask` $mask^ `:` type($mask))?
    (`lengths` $lengths^ `:` type($lengths))?
    (`q_positions` $q_positions^ `:` type($q_positions))?
    (`sinks` $sinks^ `:` type($sinks))? $node_attributes attr-dict `:`
    `(` type($query) `,` type($cache) `)` `->` `(` type($y) (`,` type($lse)^)? `)`
  }];
  let hasVerifier = 1;
}

def KV_ReadOp : KV_Op<"read", [
    Pure, AllTypesMatch<["bound", "value"]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A recurrent state's value as the call finds it";
  let description = [{
    `bound` is the function's argument that stands for it. In a session it is what the
    call before gave to `kv.replace`, and zeros at first.

    Constraints:
    - (read-C1) `state` names a `kv.state` of a `!kv.recurrent` of the tensor's element
      type, whose sizes the tensor has or fixes.
    - (read-C2) `bound` is an argument of the function.

    ```mlir
    %value = kv.read @conv0(%past) : tensor<?x64x3xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$state, AnyRankedTensor:$bound);
  let results = (outs AnyRankedTensor:$value);
  let assemblyFormat = "$state `(` $bound `)` attr-dict `:` type($value)";
  let hasVerifier = 1;
}

def KV_ReplaceOp : KV_Op<"replace", [
    Pure, AllTypesMatch<["value", "replaced"]>, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Replaces a recurrent state's value";
  let description = [{
    `value` is what the next call finds; a function need not have read the state. A result of the function that is `replaced`
    only shows it: a session keeps it in its place.

    Constraints:
    - (replace-C1) as (read-C1).

    ```mlir
    %present = kv.replace @conv0(%next) : tensor<?x64x3xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$state, AnyRankedTensor:$value);
  let results = (outs AnyRankedTensor:$replaced);
  let assemblyFormat = "$state `(` $value `)` attr-dict `:` type($replaced)";
}

#endif // TENON_DIALECTS_KV_KVOPS_TD
