#ifndef TENON_TRANSFORMS_KVCACHE_PASSES_TD
#define TENON_TRANSFORMS_KVCACHE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FindCachesPass : Pass<"find-caches", "mlir::ModuleOp"> {
  let summary = "Finds the caches that go through a model's inputs and outputs";
  let description = [{
    Where an `onnx.tenon.Attention` reads two `onnx.tenon.CacheAppend`s whose pasts are
    arguments of the function (or absent) and whose results the function returns, the
    two become one `kv.state` of the module with the streams "key" and "value". A past
    may else be asked for its shape alone, and nothing else reads what is returned.
    The state is named after the output, without its first word and "key" or "value",
    so that the entries of a model agree on it: "present.0.key" is of state "0".

    Two pairs of appends that are given the same rows, and both have a past or none, are
    always the same in a session: the second's type has `share`. In inputs and outputs
    they stay two, as a caller may hand in different ones.

    Where a function returns, as "present...", what its attention reads without an append,
    and another function has a cache under that name, it is an append to nothing: the
    first step of a decoder, whose other steps are another entry.

    Of an input of fixed size that an output replaces, a `!kv.recurrent` is made, with
    `kv.read` and `kv.replace`. Such are "past..." and "present..." whose names are the
    same behind that word, and what LSTM, GRU, RNN, CausalConvWithState or LinearAttention
    alone takes and makes of it. Both are of one type, whose batch another input has too.
    An output "present..." without such an input begins the state where another function
    has one of its name and size.

    `int8-group` encodes the streams as bytes with a scale for each group of as many
    elements; `page` and `pages` put the slots into pages of one pool, whose places a
    new argument, the input "page_table", gives. `budget` is that of each cache,
    `snapshots` that of each recurrent state.

    ```mlir
    func.func @main(%q, %k, %v, %past_key, %past_value) {
      %0 = onnx.tenon.CacheAppend(%past_key, %k)
      %1 = onnx.tenon.CacheAppend(%past_value, %v)
      %y = onnx.tenon.Attention(%q, %0, %1)
      return %y, %0, %1
    // becomes
    kv.state @"0" : !kv.cache<...>
    func.func @main(%q, %k, %v, %past_key, %past_value) {
      %0 = kv.bind @"0"(%past_key, %past_value)
      %1 = kv.append %0(%k, %v) grows
      %y = kv.attend %q, %1
      %2 = kv.rows %1 "key"
      %3 = kv.rows %1 "value"
      return %y, %2, %3
    ```

    Before: functions after `onnx-raise-attention` and `onnx-infer-shapes`.
    After:  no such pair; other appends and inputs stay, with a remark that says why.
    Numerics: bit-exact; with `int8-group` lossy: an element of a cache is off by at
              most 1/254 of the largest of its group.
  }];
  let options = [
    Option<"int8Group", "int8-group", "int64_t", "0",
           "elements that share a scale of bytes; 0: rows stay as they are">,
    Option<"page", "page", "int64_t", "0", "slots of a page; 0: no pages">,
    Option<"pages", "pages", "int64_t", "0", "pages of the pool">,
    Option<"budget", "budget", "int64_t", "0",
           "slots that a batch may have in each cache at most; 0: any number">,
    Option<"snapshots", "snapshots", "int64_t", "0",
           "earlier values of each recurrent state that a session keeps">,
  ];
  let dependentDialects = ["tenon::kv::KVDialect"];
}

def LowerCachesPass : Pass<"lower-caches", "mlir::ModuleOp"> {
  let summary = "Turns caches into tensors: inputs and outputs, or a session's state";
  let description = [{
    In mode `io`, a cache is what it was bound to: appends become
    `onnx.tenon.CacheAppend`, `kv.attend` becomes `onnx.tenon.Attention`. Only plain,
    contiguous caches without a budget can be lowered so. A recurrent state is the input
    and the output that it was.

    In mode `session`, the tensors that hold a cache become arguments and results with
    `tenon.state`, of a capacity that the session chooses, and are written in place. The
    bound arguments and the results that only show the cache are gone; an argument
    with `tenon.state_rows` stands for the shape of the rows so far, and a result with
    `tenon.state_length` says how many there are after the call. Where the cache is
    plain, contiguous and of sequential positions, attention reads it in place; else it
    is fetched and decoded by ONNX operators first. Caches of one `budget` have one
    capacity, and an argument's `tenon.budget` says how many rows it may have at most.

    A cache with `share` has the tensors of its owner. The n-th append to either is the
    same rows, and is written once; `tenon.replaces` has the names of both.

    A recurrent state is an argument and a result with `tenon.state`; the argument has
    `tenon.recurrent`, how many earlier values of it the session keeps.

    ```mlir
    %0 = kv.bind @"0"(%past_key, %past_value)
    %1 = kv.append %0(%k, %v) grows
    %y = kv.attend %q, %1
    // becomes, in mode session
    %t = onnx.Shape(%rows) {start = 2 : i64, end = 3 : i64}
    %0 = onnx.tenon.CacheAppend(%key_state, %k, %t) {grows = 0 : i64}
    %1 = onnx.tenon.CacheAppend(%value_state, %v, %t) {grows = 0 : i64}
    %n = onnx.Add(%t, %new)
    %y = onnx.tenon.Attention(%q, %0, %1, none, none, %t, none, %n)
    ```

    Before: functions at the onnx level with operations of `kv`.
    After:  functions at the onnx level; no `kv.state`.
    Numerics: bit-exact for plain caches; else as the encoding says.
  }];
  let options = [
    Option<"mode", "mode", "std::string", "\"io\"", "io or session">,
  ];
  let dependentDialects = ["tenon::onnx::ONNXDialect"];
}

#endif // TENON_TRANSFORMS_KVCACHE_PASSES_TD
