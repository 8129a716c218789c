#ifndef TENON_DIALECTS_KV_KVOPS_TD
#define TENON_DIALECTS_KV_KVOPS_TD

include "dialects/KV/KVAttrs.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def KV_CacheType : TypeDef<KV_Dialect, "Cache"> {
  let mnemonic = "cache";
  let summary = "A cache of attention";
  let description = [{
    For each batch and each of `heads` heads, slots that hold a row of every stream.
    `layout` says where slots lie. With `positions = explicit` a slot also holds the
    position of its token, which need not be the slot's number.

    Constraints:
    - (cache-C1) `heads` and every stream's width are at least 1; streams are
      `#kv.stream`s of different names, one at least.

    ```mlir
    !kv.cache<heads = 3, streams = [#kv.stream<"key", 64, #kv.plain<f32>>,
                                    #kv.stream<"value", 64, #kv.plain<f32>>],
              layout = #kv.contiguous, positions = sequential>
    ```
  }];
  let parameters = (ins "int64_t":$heads, "::mlir::ArrayAttr":$streams,
                        "::tenon::kv::LayoutInterface":$layout,
                        EnumParameter<KV_Positions>:$positions);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    StreamAttr getStream(unsigned index) const {
      return ::llvm::cast<StreamAttr>(getStreams()[index]);
    }
    bool hasExplicitPositions() const {
      return getPositions() == Positions::Explicit;
    }
    /// Whether attention can read the streams where they lie.
    bool isPlain() const;
  }];
}

class KV_Op<string mnemonic, list<Trait> traits = []>
    : Op<KV_Dialect, mnemonic, traits>;

def KV_StateOp : KV_Op<"state", [Symbol]> {
  let summary = "A cache that lives as long as the session";
  let description = [{
    All entries that use the state use this type of it.

    ```mlir
    kv.state @layer0 : !kv.cache<...>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<KV_CacheType>:$type);
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

#endif // TENON_DIALECTS_KV_KVOPS_TD
