#!/usr/bin/env python3
"""Caches with a budget, and caches that share their rows, against NumPy and ONNX Runtime."""
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
from tenon_tools import BUILD, Tally, compile_model, ort_session


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


def main():
    tally = Tally()
    sys.path.append(str(BUILD / "python"))
    with tempfile.TemporaryDirectory() as name:
        check_budget(tally, pathlib.Path(name))
        check_share(tally, pathlib.Path(name))
    tally.finish()


if __name__ == "__main__":
    main()
