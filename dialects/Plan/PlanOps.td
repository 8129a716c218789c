#ifndef TENON_DIALECTS_PLAN_PLANOPS_TD
#define TENON_DIALECTS_PLAN_PLANOPS_TD

include "dialects/Plan/PlanAttrs.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/CommonTypeConstraints.td"
include "mlir/IR/EnumAttr.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Plan_Op<string mnemonic, list<Trait> traits = []>
    : Op<Plan_Dialect, mnemonic, traits>;

// Where the bytes of each result are; absent until memory is planned.
def Plan_StorageAttr : OptionalAttr<ArrayAttr>;

def Plan_LaunchOp : Plan_Op<"launch", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>
  ]> {
  let summary = "Calls a kernel";
  let description = [{
    Runs the kernel `callee` on `inputs`. `symbols` maps the function's symbols to
    the kernel's own; `dims` has, for each result, a map from the function's
    symbols to its dimensions. `storage` says where each result's bytes are.
    `in_place` has for each result the number of the input whose bytes it writes over
    in part, or -1.

    Constraints:
    - (launch-C1) `callee` names a `kernel.func` whose arguments have the types of
      the inputs and then of the results.
    - (launch-C2) `symbols` has a result for each symbol of the kernel.
    - (launch-C3) `dims` has a map for each result, with a result for each
      dimension.
    - (launch-C4) `storage`, where present, has a `#plan.arena`, `#plan.heap`,
      `#plan.state` or `#plan.output` for each result.
    - (launch-C5) `in_place`, where present, has a number for each result; an input
      that it names has the result's type.

    ```mlir
    %0 = plan.launch @exp_f32_0(%x) symbols affine_map<()[s0] -> (s0)>
        dims [affine_map<()[s0] -> (s0)>] : (tensor<?xf32>) -> tensor<?xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<AnyRankedTensor>:$inputs,
                       AffineMapAttr:$symbols, AffineMapArrayAttr:$dims,
                       OptionalAttr<DenseI64ArrayAttr>:$in_place,
                       Plan_StorageAttr:$storage);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $callee `(` $inputs `)` `symbols` $symbols `dims` $dims (`in_place` $in_place^)?
    (`storage` $storage^)?
    attr-dict `:` functional-type($inputs, $results)
  }];
  let hasVerifier = 1;
}

def Plan_ViewOp : Plan_Op<"view", [Pure]> {
  let summary = "The same bytes under another shape";
  let description = [{
    Costs nothing at run time. `dims` maps the function's symbols to the result's
    dimensions.

    Constraints:
    - (view-C1) `dims` has a result for each dimension of the result.
    - (view-C2) the element types have the same width.

    ```mlir
    %1 = plan.view %0 dims affine_map<()[s0] -> (s0, 9, 64)> : tensor<?x576xf32> -> tensor<?x9x64xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, AffineMapAttr:$dims);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source `dims` $dims attr-dict `:` type($source) `->` type($result)";
  let hasVerifier = 1;
}

def Plan_HostTensorOp : Plan_Op<"host_tensor", [Pure]> {
  let summary = "Fills a small integer tensor from expressions";
  let description = [{
    `elements` maps the function's symbols to the elements, in row-major order.

    Constraints:
    - (host_tensor-C1) `elements` has a result for each element.
    - (host_tensor-C2) the elements are i64 or i32.

    ```mlir
    %0 = plan.host_tensor affine_map<()[s0] -> (1, s0)> : tensor<2xi64>
    ```
  }];
  let arguments = (ins AffineMapAttr:$elements, Plan_StorageAttr:$storage);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = "$elements (`storage` $storage^)? attr-dict `:` type($result)";
  let hasVerifier = 1;
}

def Plan_WeightOp : Plan_Op<"weight", [Pure]> {
  let summary = "A constant that is stored in the artifact";
  let description = [{
    `value` is an elements attribute or a reference into the weight store; `weight`
    is the name by which the artifact knows it. `encoding`, where present, says how
    the result's bytes come from the value's: "panels:WIDTH:DIM" or
    "lines:DIM:LENGTH" (docs/artifact.md).

    ```mlir
    %0 = plan.weight "fc.weight" dense<1.0> : tensor<4xf32> : tensor<4xf32>
    ```
  }];
  let arguments = (ins StrAttr:$weight, TypedAttrInterface:$value,
                       OptionalAttr<StrAttr>:$encoding);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    $weight $value (`encoding` $encoding^)? attr-dict `:` type($result)
  }];
}

def Plan_CopyOp : Plan_Op<"copy", [
    Pure, AllTypesMatch<["source", "result"]>  // copy-C1
  ]> {
  let summary = "Copies a tensor to a place of its own";
  let description = [{
    Needed where a value must be in two places, such as an input that is also an
    output.

    Constraints:
    - (copy-C1) `result` has the type of `source`.

    ```mlir
    %1 = plan.copy %0 storage [#plan.output<0>] : tensor<?xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, Plan_StorageAttr:$storage);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$source (`storage` $storage^)? attr-dict `:` type($source)";
}

def Plan_InsertOp : Plan_Op<"insert", [Pure]> {
  let summary = "Writes a tensor's elements over a part of another";
  let description = [{
    The result has the elements of `target`, in row-major order, but from number
    `offset` on those of `source`. `dims` maps the function's symbols to the result's
    dimensions, which may hold more elements than `target`. Loops gather rows with it:
    the result is in the place of `target`, so nothing else is moved.

    Constraints:
    - (insert-C1) the three have one element type.
    - (insert-C2) `dims` has a result for each dimension of the result.
    - (insert-C3) `offset` has one result.

    ```mlir
    %1 = plan.insert %row into %rows at affine_map<()[s0] -> (s0 * 4)>
        dims affine_map<()[s0] -> (s0 + 1, 4)>
        : tensor<4xf32> into tensor<?x4xf32> -> tensor<?x4xf32>
    ```
  }];
  let arguments = (ins AnyRankedTensor:$source, AnyRankedTensor:$target,
                       AffineMapAttr:$offset, AffineMapAttr:$dims,
                       Plan_StorageAttr:$storage);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = [{
    $source `into` $target `at` $offset `dims` $dims (`storage` $storage^)?
    attr-dict `:` type($source) `into` type($target) `->` type($result)
  }];
  let hasVerifier = 1;
}

def Plan_ReadSymbolOp : Plan_Op<"read_symbol"> {
  let summary = "Gives a symbol the value of an element";
  let description = [{
    Sets symbol number `symbol` of the function to element `element` of `source`.
    Everything after it may use the symbol.

    Constraints:
    - (read_symbol-C1) the elements are i64 or i32.
    - (read_symbol-C2) `symbol` is one of the function's `tenon.symbols`.

    ```mlir
    plan.read_symbol 1 from %count[0] : tensor<1xi64>
    ```
  }];
  let arguments = (ins
    ConfinedAttr<I64Attr, [IntNonNegative]>:$symbol,
    TensorOf<[I64, I32]>:$source,  // read_symbol-C1
    ConfinedAttr<I64Attr, [IntNonNegative]>:$element);
  let assemblyFormat = "$symbol `from` $source `[` $element `]` attr-dict `:` type($source)";
  let hasVerifier = 1;
}

def Plan_SizeRelation : I32EnumAttr<"SizeRelation", "how two sizes belong together", [
    I32EnumAttrCase<"Equal", 0, "equal">,
    I32EnumAttrCase<"Broadcasts", 1, "broadcasts">,
    I32EnumAttrCase<"AtLeast", 2, "at_least">,
  ]> {
  let cppNamespace = "::tenon::plan";
}

def Plan_CheckOp : Plan_Op<"check"> {
  let summary = "Ends the run with an error where two sizes do not belong together";
  let description = [{
    `sizes` maps the function's symbols to two sizes, which `relation` says must be
    equal; or equal or one of them 1 (`broadcasts`); or the first at least the second
    (`at_least`).

    Constraints:
    - (check-C1) `sizes` has two results.

    ```mlir
    plan.check broadcasts affine_map<()[s0, s1] -> (s0, s1)>
    ```
  }];
  let arguments = (ins AffineMapAttr:$sizes, Plan_SizeRelation:$relation);
  let assemblyFormat = "$relation $sizes attr-dict";
  let hasVerifier = 1;
}

def Plan_IfOp : Plan_Op<"if", [
    SingleBlock, NoRegionArguments, RecursiveMemoryEffects
  ]> {
  let summary = "Runs one of two step lists";
  let description = [{
    Runs `then_steps` if the one element of `condition` is true, else `else_steps`.
    `dims` has, for each result, a map from the function's symbols to its
    dimensions.

    Constraints:
    - (if-C1) both regions end in a `plan.return` of the results' types.
    - (if-C2) `dims` has a map for each result, with a result for each dimension.

    ```mlir
    %r = plan.if %c dims [affine_map<() -> (4)>] : tensor<i1> -> tensor<4xf32> then {
      plan.return %a : tensor<4xf32>
    } else {
      plan.return %b : tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins TensorOf<[I1]>:$condition, AffineMapArrayAttr:$dims,
                       Plan_StorageAttr:$storage);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$then_steps, SizedRegion<1>:$else_steps);
  let assemblyFormat = [{
    $condition `dims` $dims (`storage` $storage^)? attr-dict `:` type($condition)
    (`->` type($results)^)? `then` $then_steps `else` $else_steps
  }];
  let hasVerifier = 1;
}

def Plan_LoopOp : Plan_Op<"loop", [
    SingleBlock, RecursiveMemoryEffects, AttrSizedOperandSegments
  ]> {
  let summary = "Repeats a step list";
  let description = [{
    Runs `body` while `condition` is true and it ran fewer than `trip_count` times;
    either may be absent. The body's arguments are the count of runs so far, then
    the carried values, which begin as `init`; it returns the next condition (if
    there is one) and the next carried values. The results are the last ones.

    Constraints:
    - (loop-C1) the body's arguments are a `tensor<i64>`, then the types of `init`.
    - (loop-C2) the body returns the type of `condition`, if there is one, then the
      results' types, which are those of `init`.
    - (loop-C3) `dims` has a map for each result, with a result for each dimension.
    - (loop-C4) `trip_count`, where present, has one result.
    - (loop-C5) there is a condition or a trip count.

    ```mlir
    %r = plan.loop while %c : tensor<i1> trips affine_map<()[s0] -> (s0)>
        carries %x : tensor<4xf32> dims [affine_map<()[s0] -> (4)>]
        -> tensor<4xf32> do {
    ^bb0(%count: tensor<i64>, %v: tensor<4xf32>):
      plan.return %c, %v : tensor<i1>, tensor<4xf32>
    }
    ```
  }];
  let arguments = (ins Optional<TensorOf<[I1]>>:$condition,
                       Variadic<AnyRankedTensor>:$init,
                       OptionalAttr<AffineMapAttr>:$trip_count,
                       AffineMapArrayAttr:$dims, Plan_StorageAttr:$storage);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`while` $condition^ `:` type($condition))? (`trips` $trip_count^)?
    `carries` ($init^ `:` type($init))? `dims` $dims (`storage` $storage^)?
    attr-dict (`->` type($results)^)? `do` $body
  }];
  let hasVerifier = 1;
}

def Plan_ReturnOp : Plan_Op<"return", [
    Pure, Terminator, ReturnLike,
    ParentOneOf<["::mlir::func::FuncOp", "IfOp", "LoopOp"]>
  ]> {
  let summary = "Ends a list of steps and names its results";
  let description = [{
    Constraints:
    - (return-C1) in a function, the values have the types of its results.

    ```mlir
    plan.return %r : tensor<4xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
  let hasVerifier = 1;
}

#endif // TENON_DIALECTS_PLAN_PLANOPS_TD
