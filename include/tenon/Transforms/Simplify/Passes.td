#ifndef TENON_TRANSFORMS_SIMPLIFY_PASSES_TD
#define TENON_TRANSFORMS_SIMPLIFY_PASSES_TD

include "mlir/Pass/PassBase.td"

def InferShapesPass : Pass<"onnx-infer-shapes", "mlir::func::FuncOp"> {
  let summary = "Writes shapes, as expressions over symbols, into types and attributes";
  let description = [{
    Runs the shape analysis and makes every result's type as precise as it can be.
    The function gets `tenon.symbols`, its arguments and results `tenon.dims`:

    ```mlir
    func.func @main(%x: tensor<?x4xf32> {onnx.dims = ["n", ""]}) -> tensor<*xf32> {
      %0 = onnx.Transpose(%x) : (tensor<?x4xf32>) -> tensor<*xf32>
      return %0 : tensor<*xf32>
    }
    // becomes
    func.func @main(%x: tensor<?x4xf32> {onnx.dims = ["n", ""], tenon.dims = affine_map<()[s0] -> (s0, 4)>})
        -> (tensor<4x?xf32> {tenon.dims = affine_map<()[s0] -> (4, s0)>})
        attributes {tenon.symbols = ["n"]} {
      %0 = onnx.Transpose(%x) : (tensor<?x4xf32>) -> tensor<4x?xf32>
      return %0 : tensor<4x?xf32>
    }
    ```

    `tenon.symbols` lists the dimensions of arguments first. A symbol after them is
    explained by its entry in `tenon.symbol_defs`: `{op = "min", operands = MAP}`
    (or max, or broadcast: the common size of two dimensions of which one may be 1),
    or `{op = "data"}` for one that is read from a value. `tenon.symbol_equalities`
    has a map of two results for each pair that must be equal in a run and that no
    argument's dimensions already say. `tenon.symbol_ranges` has `NAME = [LO, HI]`
    for a symbol that `dims` narrows.

    Before: any function of `onnx` operations.
    After:  as before; types and attributes say what is known of shapes. Shapes that
            contradict are an error that names the node.
    Numerics: bit-exact.
  }];
  let options = [
    ListOption<"dims", "dims", "std::string",
               "Ranges of symbols: NAME=N or NAME=LO..HI">,
  ];
}

def SimplifyPass : Pass<"onnx-simplify", "mlir::func::FuncOp"> {
  let summary = "Removes what is known at compile time and what changes nothing";
  let description = [{
    Replaces by constants the values whose elements the shape analysis knows, removes
    operations that give their input back, takes the branch of an `onnx.If` whose
    condition is known, and removes what is then unused or computed twice. Where the
    branches of another `onnx.If` differ in rank and every user broadcasts the result
    to the greater rank anyway, the other branch gets leading dimensions; one that squeezes
    an axis where its size is 1, and else does not, squeezes it always, which the squeeze
    has checked in a run (unless `keep-squeezes`). What takes
    from a list of tensors (SequenceConstruct, SequenceInsert, SplitToSequence and the
    like) whose members are known takes from the members. Shapes are
    taken from the analysis by later passes, so the operations that compute them
    vanish even where their values are not constant.

    ```mlir
    %0 = onnx.Shape(%x) : (tensor<?x4xf32>) -> tensor<2xi64>
    %1 = onnx.Constant {value = dense<1> : tensor<i64>} : tensor<i64>
    %2 = onnx.Gather(%0, %1) : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
    // becomes
    %2 = onnx.Constant {value = dense<4> : tensor<i64>} : tensor<i64>
    ```

    Before: any function of `onnx` operations.
    After:  no operation has only constant integer results that the analysis knows;
            no operation is an identity; symbols and `tenon.dims` are as
            `onnx-infer-shapes` writes them.
    Numerics: bit-exact.
  }];
  let options = [
    Option<"keepSqueezes", "keep-squeezes", "bool", "false",
           "Leave branches that squeeze an axis where its size is 1: for a model that is "
           "written again, and may be run with other sizes by others">,
  ];
}

def FixListLengthsPass : Pass<"onnx-fix-list-lengths", "mlir::func::FuncOp"> {
  let summary = "Fixes the length of a list that decides ranks, where one length fits";
  let description = [{
    Code is compiled for known ranks. Where an input of the model is a list of
    integers whose length decides ranks, such as sizes of a grid of two or of three
    dimensions, the shape analysis is tried with each length in turn. One fits if it
    contradicts nothing, leaves no rank open and gives the outputs the ranks that the
    model declares. If exactly one does, the list has that length from here on, and
    the runtime refuses another by name. Else the function stays as it is, and what
    has no rank is refused later.

    ```mlir
    func.func @main(%size: tensor<?xi64> {onnx.dims = ["n"]}, ...) -> tensor<?x?xf32> {
      %0 = onnx.Size(%size)    // 2: a result of rank 2; else of rank 3
      ...
    // becomes
    func.func @main(%size: tensor<2xi64> {onnx.dims = ["n"]}, ...) -> tensor<?x?xf32>
        attributes {tenon.symbol_ranges = {n = array<i64: 2, 2>}} {
    ```

    Before: any function of `onnx` operations.
    After:  as before; symbols and `tenon.dims` are as `onnx-infer-shapes` writes them
            where a value had no rank.
    Numerics: bit-exact.
  }];
}

def ExpandFunctionsPass : Pass<"onnx-expand-functions", "mlir::func::FuncOp"> {
  let summary = "Expands operators without a lowering by their function bodies";
  let description = [{
    ONNX defines many operators by a function of others. Where the compiler has no
    lowering for such an operator, it is replaced by that body, in the form for its
    types and attributes, upgraded to the newest operators. Which operators have a
    lowering, and how a body is imported, is the `LoweringInterface` that is
    registered with the dialect; without one nothing is expanded.

    ```mlir
    %0 = onnx.MeanVarianceNormalization(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
    // becomes
    %1 = onnx.ReduceMean(%x, %axes) : ...
    %2 = onnx.Sub(%x, %1) : ...
    ...
    ```

    Before: a function after `onnx-infer-shapes`: bodies can depend on types.
    After:  each operator has a lowering or no body. Shapes of new operations are
            those that ONNX infers, until `onnx-infer-shapes` runs again.
    Numerics: bit-exact; the body is the operator's definition.
  }];
}

#endif // TENON_TRANSFORMS_SIMPLIFY_PASSES_TD
