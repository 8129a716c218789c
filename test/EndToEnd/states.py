#!/usr/bin/env python3
"""What sessions keep beside plain caches: caches with a budget, caches that share their
rows, and recurrent states, against NumPy and ONNX Runtime.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnx.parser

import caches
from caches import error_of
from tenon_tools import BUILD, CompileError, Tally, compile_model, ort_session


def load(path):
    import tenon
    return tenon.load(str(path))


def inspect(artifact):
    result = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json"],
                            capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def check_budget(tally, folder):
    """A cache takes as many rows as its budget, whatever the session has room for."""
    for kind in ("contiguous", "paged"):
        module, artifact = folder / f"{kind}.mlir", folder / f"{kind}.tenon"
        caches.write_module(module, kind, budget=6)
        compile_model(module, artifact, "--kv=session")
        for capacity in (None, 9):
            session = load(artifact).session(threads=1, capacity=capacity)
            sequence = caches.Sequence(session, kind, 1, seed=1)
            worst = max(sequence.step(tokens) for tokens in (4, 2))
            tally.check(f"budget, {kind}, capacity {capacity}: as NumPy up to it",
                        worst < 2e-5, f"largest difference {worst:.1e}")
            [cache] = session.caches
            tally.check("and no more room than that",
                        cache.length == 6 and cache.capacity in (6, None), str(cache))
            other = caches.Sequence(session, kind, 1, seed=2)
            message = error_of(lambda: other.step(1))
            tally.check("a row past it is an error that names the cache",
                        "cache 'c': expected at most the 6 rows of its budget" in message,
                        message)
            session.rewind(4)
            sequence.cut(4)
            tally.check("which leaves it as it was", sequence.step(2) < 2e-5)
    message = error_of(lambda: compile_model(folder / "contiguous.mlir", folder / "io.tenon"))
    tally.check("inputs and outputs have no budget", "of no budget" in message, message)


SHARED = """<ir_version: 10, opset_import: ["" : 24]>
    g (float[b, 6, s, 8] q, float[b, 2, s, 8] k, float[b, 2, s, 8] v,
       float[b, 2, p, 8] past_0_key, float[b, 2, p, 8] past_0_value,
       float[b, 2, p, 8] past_1_key, float[b, 2, p, 8] past_1_value)
    => (float[b, 6, s, 8] y, float[b, 2, t, 8] present_0_key, float[b, 2, t, 8] present_0_value,
        float[b, 2, t, 8] present_1_key, float[b, 2, t, 8] present_1_value)
    { a, present_0_key, present_0_value =
          Attention<is_causal = 1>(q, k, v, "", past_0_key, past_0_value)
      y, present_1_key, present_1_value =
          Attention<is_causal = 1>(a, k, v, "", past_1_key, past_1_value) }"""


def check_share(tally, folder):
    """Two layers of one model with the same keys and values, as in CLA."""
    path = folder / "shared.onnx"
    onnx.save(onnx.parser.parse_model(SHARED), path)
    artifact = compile_model(path, folder / "shared.tenon", "--kv=session")
    io = load(compile_model(path, folder / "shared-io.tenon")).session(threads=1)
    session, peer = load(artifact).session(threads=1), ort_session(path)
    names = [i.name for i in peer.get_inputs()[3:]]
    rng = np.random.default_rng(0)
    past, worst, worst_io = [np.zeros((2, 2, 0, 8), np.float32)] * 4, 0.0, 0.0
    for tokens in (5, 1, 70, 1):
        feeds = {name: rng.normal(size=(2, heads, tokens, 8)).astype(np.float32)
                 for name, heads in (("q", 6), ("k", 2), ("v", 2))}
        full = {**feeds, **dict(zip(names, past))}
        wanted, *past = peer.run(None, full)
        worst = max(worst, float(np.abs(session.run(feeds)["y"] - wanted).max()))
        worst_io = max(worst_io, float(np.abs(io.run(full)["y"] - wanted).max()))
    tally.check("shared rows: as ONNX Runtime, step by step", worst < 2e-5,
                f"largest difference {worst:.1e}")
    tally.check("inputs and outputs stay each layer's own", worst_io < 2e-5,
                f"largest difference {worst_io:.1e}")
    past[2:] = [-x for x in past[2:]]
    full.update(zip(names, past))
    tally.check("and may differ", np.abs(io.run(full)["y"] - peer.run(None, full)[0]).max()
                < 2e-5)
    [cache] = session.caches
    tally.check("a session keeps them once", cache.length == 77
                and cache.nbytes == 2 * 2 * 2 * cache.capacity * 8 * 4, str(cache))
    [kept] = inspect(artifact)["entries"][0]["programs"][0]["caches"]
    [key, _] = kept["tensors"]
    tally.check("and says what that stands for",
                (key["replaces_input"], key["shared_inputs"], key["shared_outputs"])
                == ("past_0_key", ["past_1_key"], ["present_1_key"]), str(key))


RECURRENT = {  # the inputs behind x are states; their outputs are in the same order
    "LSTM": """<ir_version: 10, opset_import: ["" : 21]>
        g (float[s, b, 4] x, float[1, b, 5] h, float[1, b, 5] c)
        => (float[s, 1, b, 5] y, float[1, b, 5] hn, float[1, b, 5] cn)
        { y, hn, cn = LSTM<hidden_size = 5>(x, w, r, "", "", h, c) }""",
    "GRU": """<ir_version: 10, opset_import: ["" : 21]>
        g (float[s, b, 4] x, float[1, b, 5] h) => (float[s, 1, b, 5] y, float[1, b, 5] hn)
        { y, hn = GRU<hidden_size = 5>(x, w, r, "", "", h) }""",
    "convolution": """<ir_version: 10, opset_import: ["" : 21]>
        g (float[b, 4, s] x, float[b, 4, 2] past_conv) => (float[b, 4, s] y,
                                                          float[b, 4, 2] present_conv)
        <int64[1] from = {-2}, int64[1] to = {9223372036854775807}, int64[1] last = {2}>
        { all = Concat<axis = 2>(past_conv, x)
          y = Conv<group = 4>(all, w)
          present_conv = Slice(all, from, to, last) }""",
    "attention and a convolution": """<ir_version: 10, opset_import: ["" : 24]>
        g (float[b, s, 16] x, float[b, 2, p, 8] past_key, float[b, 2, p, 8] past_value,
           float[b, 16, 2] past_conv)
        => (float[b, 16, s] y, float[b, 2, t, 8] present_key, float[b, 2, t, 8] present_value,
            float[b, 16, 2] present_conv)
        <int64[1] from = {-2}, int64[1] to = {9223372036854775807}, int64[1] last = {2}>
        { a, present_key, present_value =
              Attention<is_causal = 1, q_num_heads = 2, kv_num_heads = 2>
              (x, x, x, "", past_key, past_value)
          turned = Transpose<perm = [0, 2, 1]>(a)
          all = Concat<axis = 2>(past_conv, turned)
          y = Conv<group = 16>(all, w)
          present_conv = Slice(all, from, to, last) }""",
    # Whichever state is written first, one is given what another was.
    "two delay lines": """<ir_version: 10, opset_import: ["" : 21]>
        g (float[b, 3] x, float[b, 3] past_0, float[b, 3] past_1, float[b, 3] past_2,
           float[b, 3] past_3)
        => (float[b, 3] y, float[b, 3] present_0, float[b, 3] present_1,
            float[b, 3] present_2, float[b, 3] present_3)
        { sum = Add(past_1, x)
          y = Mul(sum, past_2)
          present_1 = Identity(past_0)
          present_0 = Identity(x)
          present_2 = Identity(past_3)
          present_3 = Neg(x) }""",
}
WEIGHTS = {"LSTM": {"w": (1, 20, 4), "r": (1, 20, 5)}, "GRU": {"w": (1, 15, 4), "r": (1, 15, 5)},
           "convolution": {"w": (4, 1, 3)}, "attention and a convolution": {"w": (16, 1, 3)},
           "two delay lines": {}}


class Steps:
    """Calls of a session, and ONNX Runtime, which hands the states on."""

    def __init__(self, kind, session, peer, batch):
        self.session, self.peer = session, peer
        self.rng, self.batch = np.random.default_rng(3), batch
        self.x, *states = peer.get_inputs()
        self.names = [i.name for i in states]
        self.state = [np.zeros(self.sizes(i.shape, 0), np.float32) for i in states]

    def sizes(self, shape, tokens):
        return [{"b": self.batch, "s": tokens, "p": 0}.get(d, d) for d in shape]

    def step(self, tokens=2):
        """The largest difference of one call."""
        x = self.rng.normal(size=self.sizes(self.x.shape, tokens)).astype(np.float32)
        wanted, *self.state = self.peer.run(None, {"x": x, **dict(zip(self.names, self.state))})
        return float(np.abs(self.session.run({"x": x})["y"] - wanted).max())

    def after(self, session):
        """The same state, for another session that has it as well."""
        other = Steps(None, session, self.peer, self.batch)
        other.state = self.state
        return other


def make_recurrent(kind, folder):
    model = onnx.parser.parse_model(RECURRENT[kind])
    rng = np.random.default_rng(1)
    for name, shape in WEIGHTS[kind].items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(
            rng.normal(size=shape).astype(np.float32), name))
    path = folder / f"{kind.replace(' ', '-')}.onnx"
    onnx.save(model, path)
    return path


def check_recurrent(tally, kind, folder):
    path = make_recurrent(kind, folder)
    artifact = compile_model(path, path.with_suffix(".tenon"), "--kv=session")
    peer, model = ort_session(path), load(artifact)
    for batch in (1, 3):
        session = model.session(threads=2)
        steps = Steps(kind, session, peer, batch)
        worst = max(steps.step(tokens) for tokens in (3, 1, 1, 5))
        tally.check(f"{kind}, batch {batch}: as ONNX Runtime, step by step", worst < 2e-6,
                    f"largest difference {worst:.1e}")
    names = [i.name for i in session.inputs + session.outputs]
    tally.check(f"{kind}: the state has left the signature", names == ["x", "y"], str(names))
    message = error_of(lambda: session.rewind(1))
    tally.check(f"{kind}: a rewind is refused", "but none is; reset the session" in message, message)
    fork = steps.after(session.fork())
    tally.check(f"{kind}: a fork goes its own way", steps.step() < 2e-6 and fork.step() < 2e-6)
    session.save(folder / "states")
    loaded = model.session(threads=2)
    loaded.load(folder / "states")
    tally.check(f"{kind}: saved states go on", steps.after(loaded).step() < 2e-6)
    message = error_of(lambda: loaded.rewind(1))
    tally.check(f"{kind}: and are still no rows", "reset the session" in message, message)
    check_batch(tally, kind, steps, peer)


def check_snapshots(tally, kind, folder, recurrent):
    """A session goes back by two calls: to a length, or to a number of calls."""
    path = make_recurrent(kind, folder)
    module = compile_model(path, path.with_suffix(".mlir"), "--emit=kv")
    text = module.read_text()
    module.write_text(text.replace(
        f"kv.recurrent<{recurrent}>", f"kv.recurrent<{recurrent}, snapshots = 2>"))
    model = load(compile_model(module, module.with_suffix(".snapshots"), "--kv=session"))
    session, peer = model.session(threads=2), ort_session(path)
    steps = Steps(kind, session, peer, 2)
    lengths, states = [], []
    for tokens in (3, 1, 1, 2):
        steps.step(tokens)
        states.append(steps.state)
        has_rows = [cache.length for cache in session.caches if cache.length is not None]
        lengths.append(has_rows[0] if has_rows else len(states))
    session.save(folder / "states")
    loaded = model.session(threads=2)
    loaded.load(folder / "states")
    chosen = session.fork()
    chosen.select_rows([1, 1])
    chosen.rewind(lengths[2])
    again = steps.after(chosen)
    again.state = [x[[1, 1]] for x in states[2]]
    tally.check(f"{kind}: chosen rows go back as well", again.step() < 2e-6)
    for claim, held in (("a session", session), ("a fork", session.fork()), ("a file", loaded)):
        for back in (2, 1):
            held.rewind(lengths[back])
            again = steps.after(held)
            again.state = states[back]
            if back == 2:  # and once more from there
                worst = again.step(1)
                held.rewind(lengths[back])
                again.state = states[back]
            tally.check(f"{kind}: {claim} goes back to length {lengths[back]}",
                        again.step(2) < 2e-6 and worst < 2e-6)
            held.rewind(lengths[back])
        message = error_of(lambda: held.rewind(lengths[0]))
        tally.check(f"{kind}: and no further", "its value is kept" in message, message)


def check_batch(tally, kind, steps, peer):
    """Rows of the batch, wherever its dimension is."""
    session, at = steps.session, 1 if kind in ("LSTM", "GRU") else 0
    message = error_of(lambda: Steps(kind, session, peer, 2).step())
    tally.check(f"{kind}: another batch needs a reset", "reset the session" in message, message)
    session.select_rows([2, 0, 2, 1])
    chosen = Steps(kind, session, peer, 4)
    chosen.state = [np.take(x, [2, 0, 2, 1], at) for x in steps.state]
    tally.check(f"{kind}: chosen rows are copies of what they were", chosen.step() < 2e-6)
    message = error_of(lambda: session.select_rows([4]))
    tally.check(f"{kind}: others are refused", "below the batch of 4" in message, message)
    session.reset()
    tally.check(f"{kind}: after a reset it is zeros",
                Steps(kind, session, peer, 2).step() < 2e-6)


def main():
    tally = Tally()
    sys.path.append(str(BUILD / "python"))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_budget(tally, folder)
        check_share(tally, folder)
        for kind in RECURRENT:
            try:
                check_recurrent(tally, kind, folder)
            except CompileError as error:
                tally.check(f"{kind} compiles", False, str(error))
        check_snapshots(tally, "two delay lines", folder, "?x3xf32")
        check_snapshots(tally, "attention and a convolution", folder, "?x16x2xf32")
    tally.finish()


if __name__ == "__main__":
    main()
