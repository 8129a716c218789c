#ifndef TENON_DIALECTS_KV_KVINTERFACES_TD
#define TENON_DIALECTS_KV_KVINTERFACES_TD

include "mlir/IR/OpBase.td"

def KV_EncodingInterface : AttrInterface<"EncodingInterface"> {
  let cppNamespace = "::tenon::kv";
  let description = [{
    How a row of a stream is stored: as one or more tensors, of which each row is a
    row too. A row is [W] floats; rows come as [B, H, S, W].
  }];
  let methods = [
    InterfaceMethod<"The element type of rows as they enter and leave.",
      "::mlir::Type", "getRowType">,
    InterfaceMethod<"The tensors that hold rows of `width`; the first has no name.",
      "::llvm::SmallVector<::tenon::kv::StoredPart>", "getParts",
      (ins "int64_t":$width)>,
    InterfaceMethod<"Rows [B, H, S, W] as each part's [B, H, S, part's width].",
      "::llvm::SmallVector<::mlir::Value>", "encode",
      (ins "::tenon::NodeBuilder &":$nodes, "::mlir::Value":$rows,
           "int64_t":$width)>,
    InterfaceMethod<"The rows that parts of any number of rows hold.",
      "::mlir::Value", "decode",
      (ins "::tenon::NodeBuilder &":$nodes, "::mlir::ValueRange":$parts,
           "int64_t":$width)>,
    InterfaceMethod<"Whether a stored row is the row itself.", "bool", "isPlain",
      (ins), [{}], [{ return false; }]>,
  ];
}

def KV_LayoutInterface : AttrInterface<"LayoutInterface"> {
  let cppNamespace = "::tenon::kv";
  let description = [{
    Where the slots of a cache lie in the tensor that holds a part of it. A slot is
    one row of each head of one batch; slots are numbered in the order in which rows
    were appended.
  }];
  let methods = [
    InterfaceMethod<[{The type and the dimensions' names ("" for none) of the tensor
      for `heads` rows of `width` elements a slot.}],
      "::tenon::kv::StateShape", "getShape",
      (ins "int64_t":$heads, "int64_t":$width, "::mlir::Type":$element)>,
    InterfaceMethod<"The tensor after rows [B, H, S, W] were written from slot `first` "
      "([1] or [B]) on.",
      "::mlir::Value", "append",
      (ins "::tenon::NodeBuilder &":$nodes, "::mlir::Value":$storage,
           "::mlir::Value":$rows, "::mlir::Value":$first, "::mlir::Value":$table)>,
    InterfaceMethod<"All slots in their order, [B, H, slots, W].",
      "::mlir::Value", "fetch",
      (ins "::tenon::NodeBuilder &":$nodes, "::mlir::Value":$storage,
           "::mlir::Value":$table)>,
    InterfaceMethod<"Slots of one page, where a table says which page is where; else 0.",
      "int64_t", "getPageSize", (ins), [{}], [{ return 0; }]>,
    InterfaceMethod<"Whether the tensor is [B, H, slots, W] itself.", "bool",
      "isContiguous", (ins), [{}], [{ return false; }]>,
  ];
}

#endif // TENON_DIALECTS_KV_KVINTERFACES_TD
