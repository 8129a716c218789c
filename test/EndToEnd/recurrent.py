#!/usr/bin/env python3
"""Recurrent states that sessions keep, against ONNX Runtime or onnx's evaluator."""
import pathlib
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import onnx
import onnx.parser
import onnx.reference

from caches import error_of
from tenon_tools import BUILD, CompileError, Tally, compile_model, ort_session


def load(path):
    import tenon
    return tenon.load(str(path))


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
        { v = Neg(x)
          a, present_key, present_value =
              Attention<is_causal = 1, q_num_heads = 2, kv_num_heads = 2>
              (x, x, v, "", past_key, past_value)
          turned = Transpose<perm = [0, 2, 1]>(a)
          all = Concat<axis = 2>(past_conv, turned)
          y = Conv<group = 16>(all, w)
          present_conv = Slice(all, from, to, last) }""",
    "CausalConvWithState": """<ir_version: 13, opset_import: ["" : 27]>
        g (float[b, 4, s] x, float[b, 4, 2] past_state) => (float[b, 4, s] y, float[b, 4, 2] kept)
        { y, kept = CausalConvWithState<activation = "silu">(x, w, "", past_state) }""",
    "LinearAttention": """<ir_version: 13, opset_import: ["" : 27]>
        g (float[b, s, 8] x, float[b, 2, 4, 4] past_recurrent)
        => (float[b, s, 8] y, float[b, 2, 4, 4] present_recurrent)
        { y, present_recurrent =
              LinearAttention<q_num_heads = 2, kv_num_heads = 2, update_rule = "linear">
              (x, x, x, past_recurrent) }""",
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
           "CausalConvWithState": {"w": (4, 1, 3)}, "LinearAttention": {}, "two delay lines": {}}


class Reference:
    """onnx's own evaluator, for operators that ONNX Runtime does not have."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.evaluator = onnx.reference.ReferenceEvaluator(self.model)

    def get_inputs(self):
        return [SimpleNamespace(name=i.name, shape=[d.dim_param or d.dim_value
                                                    for d in i.type.tensor_type.shape.dim])
                for i in self.model.graph.input]

    def run(self, outputs, feeds):
        return self.evaluator.run(outputs, feeds)


def make_peer(kind, path):
    return (Reference if kind in ("CausalConvWithState", "LinearAttention")
            else ort_session)(path)


class Steps:
    """Calls of a session, and of a peer whose states are handed on."""

    def __init__(self, kind, session, peer, batch):
        self.session, self.peer = session, peer
        self.rng, self.batch = np.random.default_rng(3), batch
        self.x, *states = peer.get_inputs()
        self.names = [i.name for i in states]
        self.state = [np.zeros(self.sizes(i.shape, 0), np.float32) for i in states]

    def sizes(self, shape, tokens):
        return [{"b": self.batch, "s": tokens, "p": 0}.get(d, d) for d in shape]

    def step(self, tokens=2):
        """The largest difference of one call, of the largest element."""
        x = self.rng.normal(size=self.sizes(self.x.shape, tokens)).astype(np.float32)
        wanted, *self.state = self.peer.run(None, {"x": x, **dict(zip(self.names, self.state))})
        found = self.session.run({"x": x})["y"]
        return float(np.abs(found - wanted).max() / max(1, np.abs(wanted).max()))

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
    peer, model = make_peer(kind, path), load(artifact)
    for batch in (1, 3):
        session = model.session(threads=2)
        steps = Steps(kind, session, peer, batch)
        worst = max(steps.step(tokens) for tokens in (3, 1, 1, 5))
        tally.check(f"{kind}, batch {batch}: as its peer, step by step", worst < 2e-6,
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


def keep_snapshots(module, recurrent):
    """Changes the type of the module's states."""
    text = module.read_text()
    module.write_text(text.replace(
        f"kv.recurrent<{recurrent}>", f"kv.recurrent<{recurrent}, snapshots = 2>"))


def check_snapshots(tally, kind, folder, recurrent):
    """A session goes back by two calls: to a length, or to a number of calls."""
    path = make_recurrent(kind, folder)
    module = compile_model(path, path.with_suffix(".mlir"), "--emit=kv")
    keep_snapshots(module, recurrent)
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


FIRST = """<ir_version: 10, opset_import: ["" : 24]>
    g (float[b, s, 16] x) => (float[b, 16, s] y, float[b, 2, t, 8] present_key,
                              float[b, 2, t, 8] present_value, float[b, 16, 2] present_conv)
    <float[1] zero = {0}, int64[2] sizes = {16, 2}, int64[1] from = {-2},
     int64[1] to = {9223372036854775807}, int64[1] last = {2}>
    { v = Neg(x)
      a, present_key, present_value =
          Attention<is_causal = 1, q_num_heads = 2, kv_num_heads = 2>(x, x, v)
      turned = Transpose<perm = [0, 2, 1]>(a)
      batch = Shape<start = 0, end = 1>(x)
      shape = Concat<axis = 0>(batch, sizes)
      none = Expand(zero, shape)
      all = Concat<axis = 2>(none, turned)
      y = Conv<group = 16>(all, w)
      present_conv = Slice(all, from, to, last) }"""


def check_first_step(tally, folder):
    """A first step that has no past, and the others, which have: two entries."""
    kind = "attention and a convolution"
    path, first = make_recurrent(kind, folder), folder / "first.onnx"
    model = onnx.parser.parse_model(FIRST)
    model.graph.initializer.extend(x for x in onnx.load(path).graph.initializer
                                   if x.name == "w")
    onnx.save(model, first)
    entry = f"--entry=next={path}"
    artifact = compile_model(first, folder / "entries.tenon", entry, "--kv=session")
    start = load(artifact).session("main", threads=1)
    then = load(artifact).session("next", threads=1, shares=start)
    outputs = [o.name for o in start.outputs]
    tally.check("a first step: the states have left the signature", outputs == ["y"],
                str(outputs))
    for batch in (2, 3):
        steps = Steps(kind, start, ort_session(path), batch)
        worst = steps.step(4)
        steps.session = then
        worst = max(worst, *(steps.step(tokens) for tokens in (1, 2)))
        tally.check(f"a first step, batch {batch}: what it leaves is where the next begins",
                    worst < 2e-6, f"largest difference {worst:.1e}")
        start.reset()
    module = compile_model(first, folder / "entries.mlir", entry, "--emit=kv")
    keep_snapshots(module, "?x16x2xf32")
    check_new_sequence(tally, path, compile_model(module, folder / "kept.tenon", "--kv=session"))


def check_new_sequence(tally, path, artifact):
    """A first step begins anew: no rewind leads to what was before it."""
    start = load(artifact).session("main", threads=1)
    then = load(artifact).session("next", threads=1, shares=start)
    for tokens in (4, 5):
        steps = Steps(None, start, ort_session(path), 1)
        steps.step(tokens)
        steps.session = then
        for length in {0, 4} - {tokens}:
            message = error_of(lambda: start.rewind(length))
            tally.check(f"a first step of {tokens} tokens: no rewind leads before it",
                        "but none is" in message, message)
        before = steps.state
        steps.step(1)
        start.rewind(tokens)
        steps.state = before
        tally.check("and one of a later step leads to it", steps.step(2) < 2e-6)


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
        for kind in RECURRENT:
            try:
                check_recurrent(tally, kind, folder)
            except CompileError as error:
                tally.check(f"{kind} compiles", False, str(error))
        check_first_step(tally, folder)
        check_snapshots(tally, "two delay lines", folder, "?x3xf32")
        check_snapshots(tally, "attention and a convolution", folder, "?x16x2xf32")
    tally.finish()


if __name__ == "__main__":
    main()
