#!/usr/bin/env python3
"""Caches that sessions keep: layouts, encodings and positions against NumPy, and what
can be done with a session's states.
"""
import pathlib
import sys
import tempfile

import numpy as np
import onnx

from tenon_tools import BUILD, CompileError, Tally, compile_model, ort_session

HEADS, GROUP, WIDTH = 2, 3, 8
PLAIN = "#kv.plain<f32>"
INT8 = "#kv.int8<f32, group = 4>"
PAGED = "#kv.paged<page = 4, pages = 11>"
KINDS = {  # (encoding, layout, positions)
    "contiguous": (PLAIN, "#kv.contiguous", "sequential"),
    "int8": (INT8, "#kv.contiguous", "sequential"),
    "paged": (PLAIN, PAGED, "sequential"),
    "explicit positions": (PLAIN, "#kv.contiguous", "explicit"),
    "paged int8 with explicit positions": (INT8, PAGED, "explicit"),
}
# New tokens of each call of a sequence.
CALLS = (5, 1, 1, 4, 1)
MODULE = """
!cache = !kv.cache<heads = {heads}, streams = [#kv.stream<"key", {width}, {encoding}>,
    #kv.stream<"value", {width}, {encoding}>], layout = {layout}, positions = {positions}{budget}>
kv.state @c : !cache
func.func @main(
    %q: tensor<?x?x{qs}xf32> {{onnx.name = "q", onnx.dims = ["batch", "tokens", ""]}},
    %k: tensor<?x?x{ks}xf32> {{onnx.name = "k", onnx.dims = ["batch", "tokens", ""]}},
    %v: tensor<?x?x{ks}xf32> {{onnx.name = "v", onnx.dims = ["batch", "tokens", ""]}}{extra},
    %pk: tensor<?x{heads}x?x{width}xf32> {{onnx.name = "pk", onnx.dims = ["batch", "", "past", ""]}},
    %pv: tensor<?x{heads}x?x{width}xf32> {{onnx.name = "pv", onnx.dims = ["batch", "", "past", ""]}})
    -> (tensor<?x?x{qs}xf32> {{onnx.name = "y"}},
        tensor<?x{heads}x?x{width}xf32> {{onnx.name = "nk"}}) {{
  %0 = kv.bind @c(%pk, %pv){table} : (tensor<?x{heads}x?x{width}xf32>,
      tensor<?x{heads}x?x{width}xf32>) -> !cache
  %1 = kv.append %0(%k, %v){appended} grows
      : (tensor<?x?x{ks}xf32>, tensor<?x?x{ks}xf32>) -> !cache
  {first}
  %y = kv.attend %q, %1 q_positions {at} {{is_causal = 1 : i64, q_num_heads = {qh} : i64}}
      : (tensor<?x?x{qs}xf32>, !cache) -> (tensor<?x?x{qs}xf32>)
  %2 = kv.rows %1 "key" : !cache -> tensor<?x{heads}x?x{width}xf32>
  return %y, %2 : tensor<?x?x{qs}xf32>, tensor<?x{heads}x?x{width}xf32>
}}
"""


def write_module(path, kind, budget=None):
    encoding, layout, positions = KINDS[kind]
    extra = table = appended = ""
    first = ("%f = onnx.Shape(%pk) {start = 2 : i64, end = 3 : i64} : "
             f"(tensor<?x{HEADS}x?x{WIDTH}xf32>) -> tensor<1xi64>")
    at = "%f : tensor<1xi64>"
    if layout == PAGED:
        extra += (', %t: tensor<?x?xi64> {onnx.name = "table", '
                  'onnx.dims = ["batch", "page_count"]}')
        table = " table %t : tensor<?x?xi64>"
    if positions == "explicit":
        extra += (', %p: tensor<?x?xi64> {onnx.name = "positions", '
                  'onnx.dims = ["batch", "tokens"]}')
        appended, first, at = " positions %p : tensor<?x?xi64>", "", "%p : tensor<?x?xi64>"
    path.write_text(MODULE.format(
        heads=HEADS, width=WIDTH, ks=HEADS * WIDTH, qs=HEADS * GROUP * WIDTH,
        qh=HEADS * GROUP, encoding=encoding, layout=layout, positions=positions,
        extra=extra, table=table, appended=appended, first=first, at=at,
        budget=f", budget = {budget}" if budget else ""))


def stored(rows, encoding):
    """What the encoding keeps of rows [..., WIDTH]."""
    if encoding != INT8:
        return rows
    x = rows.reshape(*rows.shape[:-1], WIDTH // 4, 4)
    scale = (np.abs(x).max(-1, keepdims=True) / np.float32(127)).astype(np.float32)
    q = np.round(x / np.where(scale == 0, np.float32(1), scale))
    return (q.astype(np.int8).astype(np.float32) * scale).reshape(rows.shape)


def attend(q, k, v, q_positions, k_positions, encoding):
    """[B, S, heads * WIDTH] each; in f64."""
    batch, tokens = q.shape[:2]
    q = q.reshape(batch, tokens, HEADS, GROUP, WIDTH).astype(np.float64)
    k, v = (stored(x.reshape(batch, -1, HEADS, WIDTH), encoding).astype(np.float64)
            for x in (k, v))
    scores = np.einsum("bshgd,bthd->bhgst", q, k) / np.sqrt(WIDTH)
    seen = k_positions[:, None, :] <= q_positions[:, :, None]
    scores = np.where(seen[:, None, None], scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("bhgst,bthd->bshgd", weights, v).reshape(batch, tokens, -1)


class Sequence:
    """Tokens for a session, and what NumPy says of them."""

    def __init__(self, session, kind, batch, seed):
        self.session, self.batch = session, batch
        self.encoding, layout, self.positions = KINDS[kind]
        self.paged = layout == PAGED
        self.rng = np.random.default_rng(seed)
        self.k = self.v = np.zeros((batch, 0, HEADS * WIDTH), np.float32)
        self.at = np.zeros((batch, 0), np.int64)
        order = self.rng.permutation(11)  # pages of the pool
        self.table = order[:batch * 3].reshape(batch, 3).astype(np.int64)
        count = sum(CALLS)
        self.order = (np.stack([self.rng.permutation(count) for _ in range(batch)])
                      if self.positions == "explicit"
                      else np.tile(np.arange(200), (batch, 1)))

    def make(self, tokens, width):
        return self.rng.normal(size=(self.batch, tokens, width)).astype(np.float32)

    def step(self, tokens):
        """The largest difference of one call."""
        q, k, v = (self.make(tokens, n * WIDTH) for n in (HEADS * GROUP, HEADS, HEADS))
        done = self.k.shape[1]
        at = self.order[:, done:done + tokens].astype(np.int64)
        feeds = {"q": q, "k": k, "v": v}
        if self.paged:
            feeds["table"] = self.table
        if self.positions == "explicit":
            feeds["positions"] = at
        found = self.session.run(feeds)["y"]
        self.k, self.v = (np.concatenate(x, 1) for x in ((self.k, k), (self.v, v)))
        self.at = np.concatenate([self.at, at], 1)
        wanted = attend(q, self.k, self.v, at, self.at, self.encoding)
        if found.shape != wanted.shape or not np.isfinite(found).all():
            return float("inf")
        return float(np.abs(found - wanted).max())

    def cut(self, length):
        self.k, self.v, self.at = (x[:, :length] for x in (self.k, self.v, self.at))


def check_kind(tally, kind, artifact):
    import tenon
    model = tenon.load(str(artifact))
    for batch in (1, 2, 3):
        session = model.session(threads=2)
        sequence = Sequence(session, kind, batch, seed=batch)
        worst = max(sequence.step(tokens) for tokens in CALLS)
        tally.check(f"{kind}, batch {batch}: every call as NumPy", worst < 2e-5,
                    f"largest difference {worst:.1e}")
    names = [info.name for info in session.inputs + session.outputs]
    tally.check(f"{kind}: the cache has left the signature",
                not {"pk", "pv", "nk"} & set(names), " ".join(names))


def make_forms(folder):
    """name -> a model of one attention, in each form that caches come in."""
    import onnx.parser
    heads = "float[b, 6, s, 8] q, float[b, 2, s, 8] k, float[b, 2, s, 8] v"
    flat = "float[b, s, 48] q, float[b, s, 16] k, float[b, s, 16] v"
    shared = "float[b, 2, {0}, 8] past_k, float[b, 2, {0}, 8] past_v"
    texts = {
        "past and present": f"""<ir_version: 10, opset_import: ["" : 24]>
            g ({heads}, {shared.format("p")})
                => (float[b, 6, s, 8] y, float[b, 2, t, 8] k2, float[b, 2, t, 8] v2)
            {{ y, k2, v2 = Attention<is_causal = 1>(q, k, v, "", past_k, past_v) }}""",
        "TensorScatter": f"""<ir_version: 10, opset_import: ["" : 24]>
            g ({heads}, int64[b] at, int64[b] lengths, {shared.format("c")})
                => (float[b, 6, s, 8] y, float[b, 2, c, 8] k2, float[b, 2, c, 8] v2)
            {{ k2 = TensorScatter<axis = -2>(past_k, k, at)
               v2 = TensorScatter<axis = -2>(past_v, v, at)
               y = Attention<is_causal = 1>(q, k2, v2, "", "", "", lengths) }}""",
    }
    for name, size in (("GroupQueryAttention", "t"), ("shared buffers", "p")):
        texts[name] = f"""<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]>
            g ({flat}, int32[b] last, int32 total, {shared.format("p")})
                => (float[b, s, 48] y, float[b, 2, {size}, 8] k2, float[b, 2, {size}, 8] v2)
            {{ y, k2, v2 = com.microsoft.GroupQueryAttention<num_heads = 6, kv_num_heads = 2>
                 (q, k, v, past_k, past_v, last, total) }}"""
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / f"{name.replace(' ', '-')}.onnx"
        onnx.save(onnx.parser.parse_model(text), paths[name])
    return paths


def check_form(tally, name, path, folder):
    """A session along with ONNX Runtime, which hands its caches on."""
    import tenon
    session = tenon.load(str(compile_model(path, path.with_suffix(".tenon"), "--kv=session"))
                         ).session(threads=2, capacity=16)
    peer = ort_session(path)
    rng, batch, done, worst = np.random.default_rng(0), 1, 0, 0.0
    buffered = name in ("TensorScatter", "shared buffers")
    past = [np.zeros((batch, HEADS, 16 if buffered else 0, WIDTH), np.float32)] * 2
    names = {i.name: i.shape for i in peer.get_inputs()}
    for tokens in (5, 1, 1, 3) if name != "shared buffers" else (5, 1, 1):
        total = done + tokens
        known = {"at": np.full(batch, done), "lengths": np.full(batch, total),
                 "last": np.full(batch, total - 1, np.int32),
                 "total": np.array(total, np.int32)}
        feeds = {n: known[n] for n in names if n in known}
        for n in "qkv":
            sizes = [{"b": batch, "s": tokens}.get(d, d) for d in names[n]]
            feeds[n] = rng.normal(size=sizes).astype(np.float32)
        wanted, *past = peer.run(None, {**feeds, "past_k": past[0], "past_v": past[1]})
        found = session.run(feeds)["y"]
        worst = max(worst, float(np.abs(found - wanted).max()) if found.shape == wanted.shape
                    and np.isfinite(found).all() else float("inf"))
        done = total
    left = [i.name for i in session.inputs + session.outputs]
    tally.check(f"{name}: a session is as ONNX Runtime, step by step",
                worst < 2e-5 and "past_k" not in left and "k2" not in left,
                f"largest difference {worst:.1e}; {' '.join(left)}")


def error_of(act):
    try:
        act()
    except Exception as error:  # noqa: BLE001
        return str(error)
    return ""


def check_states(tally, artifact, folder):
    """What the C API says of states, through the package."""
    import tenon
    model, kind = tenon.load(str(artifact)), "contiguous"
    session = model.session(threads=2)
    sequence = Sequence(session, kind, 2, seed=7)
    sequence.step(70), sequence.step(1)  # more than the first room
    [cache] = session.caches
    tally.check("a cache says how long it is, and has room for that",
                cache.length == 71 and cache.capacity >= 71, str(cache))
    session.rewind(3)
    sequence.cut(3)
    tally.check("after a rewind calls go on from there", sequence.step(2) < 2e-5)
    message = error_of(lambda: session.rewind(9))
    tally.check("a rewind forward is refused", "at most the 5 rows" in message, message)
    message = error_of(lambda: session.rewind(1, row=0))
    tally.check("a rewind of one row of a batch is refused", "row -1" in message, message)
    message = error_of(lambda: Sequence(session, kind, 3, seed=1).step(1))
    tally.check("another batch needs a reset", "reset the session" in message, message)

    fork = Sequence(session.fork(), kind, 2, seed=8)
    fork.k, fork.v, fork.at = sequence.k, sequence.v, sequence.at
    tally.check("a fork goes its own way", fork.step(2) < 2e-5 and sequence.step(3) < 2e-5)
    path = folder / "states"
    session.save(path)
    loaded = Sequence(model.session(threads=2), kind, 2, seed=9)
    loaded.session.load(path)
    loaded.k, loaded.v, loaded.at = sequence.k, sequence.v, sequence.at
    tally.check("saved states go on in another session", loaded.step(1) < 2e-5)
    damaged = path.read_bytes()[:-5]
    path.write_bytes(damaged)
    message = error_of(lambda: loaded.session.load(path))
    tally.check("a cut file of states is refused", "expected" in message, message)
    tally.check("and leaves the session as it was", loaded.step(1) < 2e-5)

    session.select_rows([1, 1, 0])
    chosen = Sequence(session, kind, 3, seed=10)
    chosen.k, chosen.v, chosen.at = (x[[1, 1, 0]] for x in
                                     (sequence.k, sequence.v, sequence.at))
    tally.check("chosen rows are copies of what they were", chosen.step(2) < 2e-5)
    session.reset()
    tally.check("after a reset a call begins anew",
                Sequence(session, kind, 1, seed=11).step(4) < 2e-5)
    small = model.session(threads=2, capacity=6)
    sequence = Sequence(small, kind, 1, seed=12)
    sequence.step(5)
    message = error_of(lambda: Sequence(small, kind, 1, seed=1).step(2))
    tally.check("a full cache is an error", "at most the 6 rows" in message, message)
    tally.check("that leaves it as it was", sequence.step(1) < 2e-5)
    twin = model.session(threads=2, shares=small)
    tally.check("two sessions can share states", twin.caches[0].length == 6)


def main():
    tally = Tally()
    sys.path.append(str(BUILD / "python"))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number, kind in enumerate(KINDS):
            module, artifact = folder / f"{number}.mlir", folder / f"{number}.tenon"
            write_module(module, kind)
            try:
                compile_model(module, artifact, "--kv=session")
            except CompileError as error:
                tally.check(f"{kind} compiles", False, str(error))
                continue
            check_kind(tally, kind, artifact)
        check_states(tally, folder / "0.tenon", folder)
        for name, path in make_forms(folder).items():
            check_form(tally, name, path, folder)
    tally.finish()


if __name__ == "__main__":
    main()
