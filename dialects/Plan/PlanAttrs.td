#ifndef TENON_DIALECTS_PLAN_PLANATTRS_TD
#define TENON_DIALECTS_PLAN_PLANATTRS_TD

include "dialects/Plan/PlanDialect.td"
include "mlir/IR/AttrTypeBase.td"

class Plan_Attr<string name, string attrMnemonic> : AttrDef<Plan_Dialect, name> {
  let mnemonic = attrMnemonic;
}

def Plan_ArenaAttr : Plan_Attr<"Arena", "arena"> {
  let summary = "bytes in the arena";
  let description = [{
    `offset` maps the function's symbols to the first byte's offset in the arena.

    ```mlir
    #plan.arena<()[s0] -> (s0 * 256)>
    ```
  }];
  let parameters = (ins "::mlir::AffineMap":$offset);
  let assemblyFormat = "`<` $offset `>`";
  let genVerifyDecl = 1;
}

def Plan_OutputAttr : Plan_Attr<"Output", "output"> {
  let summary = "bytes of an output that the caller sees";
  let description = [{
    `index` is the position of the output among the function's results.

    ```mlir
    #plan.output<0>
    ```
  }];
  let parameters = (ins "unsigned":$index);
  let assemblyFormat = "`<` $index `>`";
}

def Plan_StateAttr : Plan_Attr<"State", "state"> {
  let summary = "bytes that the session keeps from call to call";
  let description = [{
    `argument` is the number of the function's argument that is the state (one with
    `tenon.state`): what is placed there is written over it.

    ```mlir
    #plan.state<3>
    ```
  }];
  let parameters = (ins "unsigned":$argument);
  let assemblyFormat = "`<` $argument `>`";
}

def Plan_HeapAttr : Plan_Attr<"Heap", "heap"> {
  let summary = "a block of memory that grows while the plan runs";
  let description = [{
    For a value whose size depends on data, so that no place in the arena can be kept
    for it. `block` is the number of the block; it begins at the block's first byte.

    ```mlir
    #plan.heap<0>
    ```
  }];
  let parameters = (ins "unsigned":$block);
  let assemblyFormat = "`<` $block `>`";
}

#endif // TENON_DIALECTS_PLAN_PLANATTRS_TD
