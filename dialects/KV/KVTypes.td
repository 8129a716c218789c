#ifndef TENON_DIALECTS_KV_KVTYPES_TD
#define TENON_DIALECTS_KV_KVTYPES_TD

include "dialects/KV/KVAttrs.td"

def KV_CacheType : TypeDef<KV_Dialect, "Cache"> {
  let mnemonic = "cache";
  let summary = "A cache of attention";
  let description = [{
    For each batch and each of `heads` heads, slots that hold a row of every stream.
    `layout` says where slots lie. With `positions = explicit` a slot also holds the
    position of its token, which need not be the slot's number. `budget` is how many
    slots a batch may have at most. `share` names the state whose rows this one's are.

    Constraints:
    - (cache-C1) `heads` and every stream's width are at least 1; streams are
      `#kv.stream`s of different names, one at least.
    - (cache-C2) a `budget` is at least 1.

    ```mlir
    !kv.cache<heads = 3, streams = [#kv.stream<"key", 64, #kv.plain<f32>>,
                                    #kv.stream<"value", 64, #kv.plain<f32>>],
              layout = #kv.contiguous, positions = sequential, budget = 1024>
    ```
  }];
  let parameters = (ins "int64_t":$heads, "::mlir::ArrayAttr":$streams,
                        "::tenon::kv::LayoutInterface":$layout,
                        EnumParameter<KV_Positions>:$positions,
                        OptionalParameter<"::std::optional<int64_t>">:$budget,
                        OptionalParameter<"::mlir::FlatSymbolRefAttr">:$share);
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
    /// The same with rows of state `owner`, or of its own if that is null.
    CacheType withShare(::mlir::FlatSymbolRefAttr owner) const;
  }];
}

def KV_RecurrentType : TypeDef<KV_Dialect, "Recurrent"> {
  let mnemonic = "recurrent";
  let summary = "A state of fixed size that each call replaces";
  let description = [{
    Of a convolution, a recurrent layer or linear attention: a tensor, zeros at first.
    The dynamic dimension is the batch's. `snapshots` earlier values are kept, so that as
    many calls can be taken back.

    Constraints:
    - (recurrent-C1) there is a dimension, one of them at most is dynamic, and elements
      are numbers.
    - (recurrent-C2) `snapshots` is not negative.

    ```mlir
    !kv.recurrent<?x64x3xf32, snapshots = 2>
    ```
  }];
  let parameters = (ins ArrayRefParameter<"int64_t">:$shape, "::mlir::Type":$element,
                        DefaultValuedParameter<"int64_t", "0">:$snapshots);
  let assemblyFormat = [{
    `<` custom<SizesAndElement>($shape, $element)
    (`,` `snapshots` `=` $snapshots^)? `>`
  }];
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    /// Whether `tensor` is of this type, or fixes the size of its batch.
    bool takes(::mlir::RankedTensorType tensor) const;
  }];
}

#endif // TENON_DIALECTS_KV_KVTYPES_TD
