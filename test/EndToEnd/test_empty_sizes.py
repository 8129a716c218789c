#!/usr/bin/env python3
"""Sizes of zero in models whose sizes follow from others by division: results are
empty, and no run ends as it divides by zero."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx.parser  # noqa: E402
from tenon_tools import Tally, compile_model, tenon_session  # noqa: E402

HEADS, KV_HEADS = 4, 2
ATTENTION = f"""agraph (float[b, t, hq] q, float[bk, tk, hk] k, float[bv, tv, hv] v,
                        float[bp, p1, p2, p3] past) => (float[b, t, w] y, float[n0, n1, n2, n3] present) {{
  y, present = LinearAttention <q_num_heads = {HEADS}, kv_num_heads = {KV_HEADS},
                                update_rule = "linear"> (q, k, v, past) }}"""
# Rows of four; what the model says of x and y does not relate them.
RESHAPE = """agraph (float[n, c] x, float[m, d] y) => (float[p, q] z) {
  first = Constant <value = int64[1] {0}> ()
  shape = Shape (y)
  rows = Gather (shape, first)
  rest = Constant <value = int64[1] {-1}> ()
  target = Concat <axis = 0> (rows, rest)
  z = Reshape <allowzero = 1> (x, target) }"""


def f32(*shape):
    return np.random.default_rng(7).standard_normal(shape, np.float32)


def attention_feeds(batch, length, key, value):
    return {"q": f32(batch, length, HEADS * key), "k": f32(batch, length, KV_HEADS * key),
            "v": f32(batch, length, KV_HEADS * value), "past": f32(batch, KV_HEADS, key, value)}


def attention_results(feeds):
    """As the operator's text says; the scale is 1 / sqrt(the size of keys)."""
    q, k, v, state = (feeds[n].astype(np.float64) for n in ("q", "k", "v", "past"))
    batch, length = q.shape[:2]
    key, value = state.shape[2:]
    q = q.reshape(batch, length, HEADS, key) / max(key, 1) ** 0.5
    k, v = k.reshape(batch, length, KV_HEADS, key), v.reshape(batch, length, KV_HEADS, value)
    y = np.zeros((batch, length, HEADS, value))
    for t in range(length):
        state = state + np.einsum("bhk,bhv->bhkv", k[:, t], v[:, t])
        grouped = np.repeat(state, HEADS // KV_HEADS, axis=1)
        y[:, t] = np.einsum("bhk,bhkv->bhv", q[:, t], grouped)
    return {"y": y.reshape(batch, length, HEADS * value), "present": state}


def judge(session, feeds, expected):
    found = session.run(feeds)
    for name, value in expected.items():
        got = np.asarray(found[name])
        # Sums of at most eight products of float32 around 1.
        if got.shape != value.shape or not np.allclose(got, value, rtol=1e-5, atol=1e-5):
            return f"{name}: expected {value.shape} {value}, but got {got.shape} {got}"
    return ""


def compiled(text, opset):
    header = f'<ir_version: 10, opset_import: ["" : {opset}]>\n'
    with tempfile.TemporaryDirectory(prefix="tenon-empty-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        onnx.save(onnx.parser.parse_model(header + text), path)
        return tenon_session(compile_model(path, path.with_suffix(".tenon")), threads=1)


def main():
    tally = Tally()
    attention = compiled(ATTENTION, 27)
    for claim, sizes in {"all sizes": (2, 3, 4, 5), "no batch": (0, 3, 4, 5),
                         "no position: the state stays": (2, 0, 4, 5),
                         "values of no width": (2, 3, 4, 0), "nothing at all": (0, 0, 0, 0)}.items():
        feeds = attention_feeds(*sizes)
        reason = judge(attention, feeds, attention_results(feeds))
        tally.check(f"linear attention, {claim}", not reason, reason)
    reshape = compiled(RESHAPE, 21)
    for rows, x, z in ((2, (3, 4), (2, 6)), (3, (0, 4), (3, 0)), (0, (0, 4), (0, 0))):
        feeds = {"x": f32(*x), "y": f32(rows, 1)}
        reason = judge(reshape, feeds, {"z": feeds["x"].reshape(z)})
        tally.check(f"{x} in {rows} rows", not reason, reason)
    try:
        reshape.run({"x": f32(3, 4), "y": f32(0, 1)})
        tally.check("12 elements in no row are an error", False, "it ran")
    except Exception as error:
        tally.check("12 elements in no row are an error", "divides by zero" in str(error), str(error))
    tally.finish()


main()
