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

    Constraints:
    - (launch-C1) the region has an argument of the right type for each input and
      then for each result.
    - (launch-C2) `dims` has a map for each region argument, with a result for
      each dimension, and as many symbols as `symbols` has results; where the
      type's dimension is static the map's result is that constant.
    - (launch-C3) `kernel.yield` yields one value of each result's type.

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
                       AffineMapArrayAttr:$dims);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `(` $inputs `)` `symbols` $symbols `dims` $dims attr-dict `:`
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
    are inputs, the others destinations; `dims` is as there. `schedule` holds what
    the schedule chose, by name.

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
                       OptionalAttr<DictionaryAttr>:$schedule);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name `inputs` $num_inputs `dims` $dims (`schedule` $schedule^)?
    attr-dict-with-keyword $body
  }];
  let extraClassDeclaration = [{
    /// Dimensions of region argument `index` over the kernel's own symbols.
    ::mlir::AffineMap getArgumentDims(unsigned index) {
      return ::llvm::cast<::mlir::AffineMapAttr>(getDims()[index]).getValue();
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
    the result's bytes come from the value's: "panels:WIDTH:DIM" (docs/artifact.md).

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
