#ifndef TENON_DIALECTS_KV_KVATTRS_TD
#define TENON_DIALECTS_KV_KVATTRS_TD

include "dialects/KV/KVDialect.td"
include "dialects/KV/KVInterfaces.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class KV_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<KV_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

def KV_PlainAttr : KV_Attr<"Plain", "plain", [
    DeclareAttrInterfaceMethods<KV_EncodingInterface, ["isPlain"]>]> {
  let summary = "rows as they come";
  let description = [{
    ```mlir
    #kv.plain<f32>
    ```
  }];
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def KV_Int8Attr : KV_Attr<"Int8", "int8", [
    DeclareAttrInterfaceMethods<KV_EncodingInterface>]> {
  let summary = "rows of signed bytes, a scale for each group";
  let description = [{
    A group of `group` neighbouring elements of a row is stored as
    `round(x / scale)` in -127..127 with `scale = max |x| / 127` in f32, in two parts:
    the bytes, and the "scale"s. The error of an element is at most half its scale.

    Constraints:
    - (int8-C1) `group` is at least 1.

    ```mlir
    #kv.int8<f32, group = 32>
    ```
  }];
  let parameters = (ins "::mlir::Type":$element, "int64_t":$group);
  let assemblyFormat = "`<` $element `,` `group` `=` $group `>`";
  let genVerifyDecl = 1;
}

def KV_ContiguousAttr : KV_Attr<"Contiguous", "contiguous", [
    DeclareAttrInterfaceMethods<KV_LayoutInterface, ["isContiguous"]>]> {
  let summary = "a head's slots side by side";
  let description = [{
    [B, H, capacity, W]: slot t of head h is row t.

    ```mlir
    #kv.contiguous
    ```
  }];
}

def KV_PagedAttr : KV_Attr<"Paged", "paged", [
    DeclareAttrInterfaceMethods<KV_LayoutInterface, ["getPageSize"]>]> {
  let summary = "slots in pages, whose places a table gives";
  let description = [{
    A pool [pages, H, page, W] for all batches; slot t of batch b is row t mod `page` of
    page `table[b, t floordiv page]`. The table, [B, pages of a batch] of i64, is an
    operand of `kv.bind`.

    Constraints:
    - (paged-C1) `page` and `pages` are at least 1.

    ```mlir
    #kv.paged<page = 16, pages = 64>
    ```
  }];
  let parameters = (ins "int64_t":$page, "int64_t":$pages);
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def KV_StreamAttr : KV_Attr<"Stream", "stream"> {
  let summary = "one of the vectors that a slot holds for each head";
  let description = [{
    ```mlir
    #kv.stream<"key", 64, #kv.plain<f32>>
    ```
  }];
  let parameters = (ins "::mlir::StringAttr":$name, "int64_t":$width,
                        "::tenon::kv::EncodingInterface":$encoding);
  let assemblyFormat = "`<` $name `,` $width `,` $encoding `>`";
}

def KV_Positions : I32EnumAttr<"Positions", "whether a slot's number is its position", [
    I32EnumAttrCase<"Sequential", 0, "sequential">,
    I32EnumAttrCase<"Explicit", 1, "explicit">,
  ]> {
  let cppNamespace = "::tenon::kv";
  let genSpecializedAttr = 0;
}
def KV_PositionsAttr : EnumAttr<KV_Dialect, KV_Positions, "positions"> {
  let assemblyFormat = "$value";
}

#endif // TENON_DIALECTS_KV_KVATTRS_TD
