# RUN: %python %s
# A session's caches grow with every call. Kernels read how far they have from memory, so that
# the calls of a decoder are the same launches; what lies behind that is never seen.
import json
import pathlib
import subprocess
import tempfile

import ml_dtypes
import numpy as np
import onnx
from onnx import helper

from artifact import Artifact
from models import BUILD, TYPES, compile_model

HEADS, GROUP, WIDTH = 2, 3, 16
BF16 = ml_dtypes.bfloat16
# (tokens of the call, rows before it, rows that there is room for)
CALLS = ((1, 5, 12), (1, 6, 12), (4, 0, 12), (3, 9, 12), (1, 300, 512))


def decoder(dtype):
    """One attention with past and present; its caches have rows of their own."""
    kind = TYPES[np.dtype(dtype)]
    cache = [1, HEADS, "past", WIDTH]
    inputs = [("q", [1, "tokens", GROUP * HEADS * WIDTH]), ("k", [1, "tokens", HEADS * WIDTH]),
              ("v", [1, "tokens", HEADS * WIDTH]), ("pk", cache), ("pv", cache)]
    node = helper.make_node("Attention", ["q", "k", "v", "", "pk", "pv"], ["y", "nk", "nv"],
                            is_causal=1, q_num_heads=GROUP * HEADS, kv_num_heads=HEADS)
    values = [helper.make_tensor_value_info(name, kind, dims) for name, dims in inputs]
    results = [onnx.ValueInfoProto(name=name) for name in ("y", "nk", "nv")]
    for result in results:
        result.type.tensor_type.elem_type = kind
    graph = helper.make_graph([node], "g", values, results)
    return helper.make_model(graph, ir_version=12, opset_imports=[helper.make_opsetid("", 24)])


def attend(q, keys, values, rows):
    """Each token sees the rows before the call and its own up to itself."""
    tokens = q.shape[1]
    q = q.astype(np.float64).reshape(tokens, HEADS, GROUP, WIDTH)
    scores = np.einsum("thgd,hsd->hgts", q, keys.astype(np.float64)) / np.sqrt(WIDTH)
    hidden = np.arange(keys.shape[1])[None] > rows + np.arange(tokens)[:, None]
    scores = np.where(hidden, -np.inf, scores)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    return np.einsum("hgts,hsd->thgd", weights, values.astype(np.float64)).reshape(1, tokens, -1)


def check_call(artifact, names, dtype, call):
    tokens, rows, room = call
    random = np.random.default_rng(rows)
    make = lambda *shape: random.standard_normal(shape).astype(dtype)  # noqa: E731
    q, k, v = (make(1, tokens, n * WIDTH) for n in (GROUP * HEADS, HEADS, HEADS))
    states = [make(1, HEADS, room, WIDTH) for _ in names]
    for state in states:
        state[:, :, rows:] = np.nan
    feeds = {"q": q, "k": k, "v": v, **dict(zip(names, states))}
    _, outputs = artifact.run(feeds, rows)
    keys, values = (
        np.concatenate([state[0, :, :rows],
                        new.reshape(tokens, HEADS, WIDTH).transpose(1, 0, 2)], 1)
        for state, new in zip(states, (k, v)))
    tolerance = 2e-2 if dtype == BF16 else 2e-5
    np.testing.assert_allclose(outputs[0].astype(np.float64), attend(q, keys, values, rows),
                               tolerance, tolerance, err_msg=f"{dtype.__name__} {call}")


def main():
    for dtype in (np.float32, BF16):
        with tempfile.TemporaryDirectory() as folder:
            path = compile_model(pathlib.Path(folder), decoder(dtype), ["--kv=session"])
            report = json.loads(subprocess.run([BUILD / "bin/tenon-inspect", path, "--json"],
                                               check=True, capture_output=True).stdout)
            artifact = Artifact(path)
        ((program,),) = [entry["programs"] for entry in report["entries"]]
        kept = {symbol["name"]: symbol["residency"] for symbol in program["symbols"]}
        assert kept["past"] == "step" and kept["tokens"] == "bound", kept
        stepped = [kernel for kernel in report["kernels"] if kernel["step_symbols"]]
        assert len(stepped) >= 2, "expected what appends and what attends to read steps"
        texts = "".join(artifact.texts)
        assert "ld.global.cg.b64" in texts, "expected steps to be read from memory"
        names = [tensor["state"] for cache in program["caches"] for tensor in cache["tensors"]]
        for call in CALLS:
            check_call(artifact, names, dtype, call)


if __name__ == "__main__":
    main()
