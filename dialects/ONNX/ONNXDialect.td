#ifndef TENON_DIALECTS_ONNX_ONNXDIALECT_TD
#define TENON_DIALECTS_ONNX_ONNXDIALECT_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def ONNX_Dialect : Dialect {
  let name = "onnx";
  let cppNamespace = "::tenon::onnx";
  let summary = "What the model says, in the newest opset's meaning";
  let description = [{
    One operation per ONNX operator, generated from the schemas of the pinned
    `onnx` package. `onnx.X` is of the default domain, `onnx.ms.X` of
    `com.microsoft`, `onnx.tenon.X` of `ai.tenon`. See README.md beside this file.
  }];
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 1;
  let extraClassDeclaration = [{
    /// The mapped files and spilled results that `#onnx.stored` refers to.
    ::tenon::WeightStore &getWeightStore() { return *weightStore; }

  private:
    std::shared_ptr<::tenon::WeightStore> weightStore;

  public:
  }];
}

//===----------------------------------------------------------------------===//
// Types
//===----------------------------------------------------------------------===//

class ONNX_TypeDef<string name, string keyword> : TypeDef<ONNX_Dialect, name> {
  let mnemonic = keyword;
}

def ONNX_StringType : ONNX_TypeDef<"String", "string"> {
  let summary = "An element type: text";
}
def ONNX_SequenceType : ONNX_TypeDef<"Sequence", "seq"> {
  let summary = "A list of values of one type";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}
def ONNX_OptionalType : ONNX_TypeDef<"Optional", "opt"> {
  let summary = "A value that may be absent at run time";
  let parameters = (ins "::mlir::Type":$element);
  let assemblyFormat = "`<` $element `>`";
}

def ONNX_Value : AnyTypeOf<[AnyTensor, ONNX_SequenceType, ONNX_OptionalType],
                           "tensor, sequence or optional">;

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

/// I64Attr, but its getter is signed.
def ONNX_IntAttr : SignlessIntegerAttrBase<I64, "64-bit integer"> {
  let returnType = "int64_t";
  let convertFromStorage = "$_self.getInt()";
}
/// F32Attr, but its getter gives a float.
def ONNX_FloatAttr : Attr<
    CPred<"::llvm::isa<::mlir::FloatAttr>($_self) && "
          "::llvm::cast<::mlir::FloatAttr>($_self).getType().isF32()">,
    "32-bit float"> {
  let storageType = "::mlir::FloatAttr";
  let returnType = "float";
  let convertFromStorage = "$_self.getValue().convertToFloat()";
  let constBuilderCall = "$_builder.getF32FloatAttr($0)";
  let valueType = F32;
}

def ONNX_StoredAttr : AttrDef<ONNX_Dialect, "Stored", [TypedAttrInterface]> {
  let mnemonic = "stored";
  let summary = "A tensor's value that stays in a file";
  let description = [{
    `length` bytes at `offset` of `file`, in ONNX's layout (little endian, row
    major, elements below eight bits packed), are the elements of a tensor of the
    attribute's type. `name` is the initializer's. The bytes are asked of
    `getBytes` (StoredAttr.h).

    ```mlir
    #onnx.stored<"w", "model.onnx.data", 4096, 64> : tensor<4x4xf32>
    ```
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$file,
                        "uint64_t":$offset, "uint64_t":$length,
                        AttributeSelfTypeParameter<"">:$type);
  let builders = [AttrBuilderWithInferredContext<(ins
    "::mlir::ShapedType":$type, "::llvm::StringRef":$name,
    "::llvm::StringRef":$file, "uint64_t":$offset, "uint64_t":$length), [{
      return $_get(type.getContext(), name, file, offset, length, type);
    }]>];
  let assemblyFormat = "`<` $name `,` $file `,` $offset `,` $length `>`";
  let genVerifyDecl = 1;
}

//===----------------------------------------------------------------------===//
// The interface of every operation that stands for an ONNX node
//===----------------------------------------------------------------------===//

def ONNX_NodeInterface : OpInterface<"NodeInterface"> {
  let description = [{
    An operation seen as ONNX sees it: inputs and outputs by position, with holes.
    Signatures have a letter for each formal: `1` required, `?` optional, `*`
    variadic (only the last).
  }];
  let cppNamespace = "::tenon::onnx";
  let methods = [
    StaticInterfaceMethod<"The ONNX domain, empty for the default one",
                          "::llvm::StringRef", "getOnnxDomain">,
    StaticInterfaceMethod<"The ONNX operator",
                          "::llvm::StringRef", "getOnnxName">,
    StaticInterfaceMethod<"A letter for each formal input",
                          "::llvm::StringRef", "getInputSignature">,
    StaticInterfaceMethod<"A letter for each formal output",
                          "::llvm::StringRef", "getOutputSignature">,
  ];
  let extraSharedClassDeclaration = [{
    /// The inputs at ONNX's positions; an absent one is null.
    ::llvm::SmallVector<::mlir::Value> getOnnxInputs() {
      return ::tenon::onnx::getOnnxInputs($_op, $_op.getInputSignature());
    }
    /// The outputs at ONNX's positions; an absent one is null.
    ::llvm::SmallVector<::mlir::Value> getOnnxOutputs() {
      return ::tenon::onnx::getOnnxOutputs($_op, $_op.getOutputSignature());
    }
  }];
}

class ONNX_Op<string mnemonic, list<Trait> traits = []>
    : Op<ONNX_Dialect, mnemonic, traits>;

/// An operation that stands for an ONNX node.
class ONNX_Node<string mnemonic, string domain, string onnxName, string inputs,
                string outputs, list<Trait> traits = []>
    : ONNX_Op<mnemonic, traits # [ONNX_NodeInterface]> {
  let hasCustomAssemblyFormat = 1;
  // The base declarations; an op that has its own appends to these.
  code nodeDeclaration = [{
    static ::llvm::StringRef getOnnxDomain() { return "}] # domain # [{"; }
    static ::llvm::StringRef getOnnxName() { return "}] # onnxName # [{"; }
    static ::llvm::StringRef getInputSignature() { return "}] # inputs # [{"; }
    static ::llvm::StringRef getOutputSignature() { return "}] # outputs # [{"; }
  }];
  let extraClassDeclaration = nodeDeclaration;
  let extraClassDefinition = [{
    ::mlir::ParseResult $cppClass::parse(::mlir::OpAsmParser &parser,
                                         ::mlir::OperationState &state) {
      return ::tenon::onnx::parseNode(parser, state, getInputSignature(),
                                      getOutputSignature());
    }
    void $cppClass::print(::mlir::OpAsmPrinter &printer) {
      ::tenon::onnx::printNode(printer, *this, getInputSignature(),
                               getOutputSignature());
    }
  }];
}

#endif // TENON_DIALECTS_ONNX_ONNXDIALECT_TD
