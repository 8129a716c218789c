#!/usr/bin/env python3
"""Operators of com.microsoft, in the variants that exporters write, against ONNX Runtime.

Each is a model of one node with symbolic dimensions, run at two sizes.
"""
import argparse
import pathlib
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

from tenon_tools import CompileError, Tally, compile_model, ort_session, tenon_session

MS = "com.microsoft"
KINDS = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16,
         np.dtype(np.int32): TensorProto.INT32, np.dtype(np.int64): TensorProto.INT64,
         np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}


def rand(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed + sum(shape)).normal(0, 1, shape).astype(dtype)


class Case:
    """`feeds(size)` makes the inputs; those in `constants` are initializers."""

    def __init__(self, op, inputs, outputs, feeds, dims, domain=MS, tolerance=2e-5, refused="",
                 **attributes):
        self.op, self.inputs, self.outputs, self.feeds = op, inputs, outputs, feeds
        self.dims, self.domain, self.tolerance = dims, domain, tolerance
        self.refused, self.attributes = refused, attributes

    def model(self):
        feeds = self.feeds(0)
        node = helper.make_node(self.op, self.inputs, self.outputs, name="node",
                                domain=self.domain, **self.attributes)
        values = [helper.make_tensor_value_info(n, KINDS[feeds[n].dtype], self.dims[n])
                  for n in self.inputs if n in self.dims]
        weights = [onnx.numpy_helper.from_array(feeds[n], n) for n in self.inputs
                   if n and n not in self.dims]
        kind = next(KINDS[feeds[n].dtype] for n in self.inputs
                    if n and feeds[n].dtype in (np.float32, np.float16))
        results = [helper.make_tensor_value_info(
            n, TensorProto.INT32 if n == "count" else kind, None) for n in self.outputs if n]
        graph = helper.make_graph([node], "g", values, results, weights)
        return helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)])


def group_query(past, new, heads=6, kv_heads=2, size=16, batch=1, packed=False, bias=False,
                rotary=True, half=None, dtype=np.float32, **attributes):
    """`past` and `new` are pairs: a length for each of the two sizes."""
    width = (heads + 2 * kv_heads if packed else heads) * size
    half = half or size // 2

    def feeds(n):
        p, s = past[n], new[n]
        made = {"query": rand(batch, s, width, dtype=dtype),
                "past_key": rand(batch, kv_heads, p, size, dtype=dtype, seed=3),
                "past_value": rand(batch, kv_heads, p, size, dtype=dtype, seed=4),
                "seqlens_k": np.full((batch,), p + s - 1, np.int32),
                "total": np.array(p + s, np.int32)}
        if not packed:
            made["key"] = rand(batch, s, kv_heads * size, dtype=dtype, seed=1)
            made["value"] = rand(batch, s, kv_heads * size, dtype=dtype, seed=2)
        if rotary:
            angles = np.arange(128)[:, None] * (100.0 ** (-np.arange(half) / half))
            made["cos"], made["sin"] = (f(angles).astype(dtype) for f in (np.cos, np.sin))
        if bias:
            made["bias"] = rand(1, heads, s, p + s, dtype=dtype, seed=5)
        return made

    inputs = ["query", *(["", ""] if packed else ["key", "value"]), "past_key", "past_value",
              "seqlens_k", "total", *(["cos", "sin"] if rotary else ["", ""]),
              *(["", "bias"] if bias else [])]
    dims = {"query": ["b", "s", width], "past_key": ["b", kv_heads, "p", size],
            "past_value": ["b", kv_heads, "p", size], "seqlens_k": ["b"], "total": []}
    if not packed:
        dims |= {n: ["b", "s", kv_heads * size] for n in ("key", "value")}
    if bias:
        dims["bias"] = [1, heads, "s", "t"]
    return Case("GroupQueryAttention", inputs, ["y", "present_key", "present_value"], feeds,
                dims, num_heads=heads, kv_num_heads=kv_heads, do_rotary=int(rotary),
                tolerance=4e-3 if dtype == np.float16 else 2e-5, **attributes)


def nbits(k, n, block, bits=4, zeros=None, bias=False, dtype=np.float32, **attributes):
    blocks = -(-k // block)
    rng = np.random.default_rng(k + n)
    made = {"B": rng.integers(0, 256, (n, blocks, block * bits // 8)).astype(np.uint8),
            "scales": (rng.random((n * blocks)) * 0.1).astype(dtype)}
    if zeros == "packed":
        made["zeros"] = rng.integers(0, 256, n * -(-blocks * bits // 8)).astype(np.uint8)
    if zeros == "floats":
        made["zeros"] = (rng.random((n, blocks)) * 15).astype(dtype)
    if bias:
        made["bias"] = rand(n, dtype=dtype)
    inputs = ["A", "B", "scales", "zeros" if zeros else "", "", "bias" if bias else ""]
    while not inputs[-1]:
        inputs.pop()

    def feeds(size):
        return {"A": rand(*((2, 3, k) if size else (1, 1, k)), dtype=dtype), **made}
    return Case("MatMulNBits", inputs, ["y"], feeds, {"A": ["b", "s", k]}, K=k, N=n, bits=bits,
                block_size=block, tolerance=3e-3 if dtype == np.float16 else 1e-4, **attributes)


def multi_head(rank=3, mask=False, bias=False, past=False, **attributes):
    heads, size = 3, 8

    def feeds(n):
        b, s, t = (2, 5, 7) if n else (1, 3, 4)
        t = s if past else t
        key = (b, t, heads * size) if rank == 3 else (b, heads, t, size)
        made = {"q": rand(b, s, heads * size), "k": rand(*key, seed=1), "v": rand(*key, seed=2)}
        if bias:
            made["bias"] = rand(3 * heads * size, seed=3)
        if mask:
            made["mask"] = (rand(b, t, seed=4) > -0.5).astype(np.int32)
        if past:
            made["pk"], made["pv"] = (rand(b, heads, 6, size, seed=i) for i in (5, 6))
        return made

    names = ["q", "k", "v", "bias" if bias else "", "mask" if mask else "", "",
             *(["pk", "pv"] if past else [])]
    while not names[-1]:
        names.pop()
    width = heads * size
    key = ["b", "t", width] if rank == 3 else ["b", heads, "t", size]
    dims = {"q": ["b", "s", width], "k": key, "v": key}
    if mask:
        dims["mask"] = ["b", "t"]
    if past:
        dims |= {"pk": ["b", heads, "p", size], "pv": ["b", heads, "p", size]}
    outputs = ["y", "present_key", "present_value"] if past else ["y"]
    return Case("MultiHeadAttention", names, outputs, feeds, dims, num_heads=heads, **attributes)


def rotary(rank, half=4, size=8, offset=False, **attributes):
    heads = 3

    def feeds(n):
        b, s = (2, 5) if n else (1, 1)
        shape = (b, s, heads * size) if rank == 3 else (b, heads, s, size)
        angles = rand(32, half)
        positions = np.array([3]) if offset else (np.arange(b * s).reshape(b, s) * 3) % 32
        return {"x": rand(*shape), "positions": positions.astype(np.int64),
                "cos": np.cos(angles), "sin": np.sin(angles)}

    shape = ["b", "s", heads * size] if rank == 3 else ["b", heads, "s", size]
    return Case("RotaryEmbedding", ["x", "positions", "cos", "sin"], ["y"], feeds,
                {"x": shape, "positions": [1] if offset else ["b", "s"]}, **attributes)


def skip_norm(op, bias=False, beta=False, total=True, dtype=np.float32):
    def feeds(n):
        shape = (2, 5, 33) if n else (1, 1, 33)
        return {"x": rand(*shape, dtype=dtype), "skip": rand(*shape, dtype=dtype, seed=1),
                "gamma": rand(33, dtype=dtype), "beta": rand(33, dtype=dtype, seed=2),
                "bias": rand(33, dtype=dtype, seed=3)}
    names = ["x", "skip", "gamma"]
    if op == "SkipLayerNormalization":
        names.append("beta" if beta else "")
    names += ["bias"] if bias else []
    while not names[-1]:
        names.pop()
    return Case(op, names, ["y", "", "", "sum"] if total else ["y"], feeds,
                {"x": ["b", "s", 33], "skip": ["b", "s", 33]}, epsilon=1e-5,
                tolerance=4e-3 if dtype == np.float16 else 2e-5)


def gather_blocks(zeros=False, bits=4):
    rng = np.random.default_rng(1)
    made = {"data": rng.integers(0, 256, (11, 64 * bits // 8)).astype(np.uint8),
            "scales": rng.random((11, 2)).astype(np.float32)}
    if zeros:
        made["zeros"] = rng.integers(0, 256, (11, -(-2 * bits // 8))).astype(np.uint8)

    def feeds(n):
        shape = (2, 3) if n else (1, 1)
        return {"indices": (np.arange(np.prod(shape)).reshape(shape) * 3 % 11).astype(np.int64),
                **made}
    return Case("GatherBlockQuantized", ["data", "indices", "scales"] + ["zeros"] * zeros,
                ["y"], feeds, {"indices": ["b", "s"]}, bits=bits, block_size=32, gather_axis=0,
                quantize_axis=1)


def fused(op, shapes, batch="x", **attributes):
    """What ONNX Runtime's optimizer makes; the first dimension of `batch` is open."""
    def feeds(n):
        made = {name: rand(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
        made[batch] = rand(2 + 3 * n, *shapes[batch][1:], seed=9)
        return made
    return Case(op, list(shapes), ["y"], feeds, {batch: ["b", *shapes[batch][1:]]}, **attributes)


def whole(*shape, kind=np.uint8, seed=0):
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return np.random.default_rng(seed + sum(shape)).integers(low, high, shape).astype(kind)


def scale(value):
    return np.array(value, np.float32)


def packed_attention(mask="", past=False, bias=True, scores=False, values=None, **attributes):
    """Attention with packed weights; a mask of lengths, of keys or of queries and keys."""
    heads, size, wide = 3, 8, values or 24
    if values:
        attributes["qkv_hidden_sizes"] = [24, 24, values]

    def feeds(n):
        batch, length, kept = ((1, 5, 4), (3, 7, 2))[n]
        total = length + (kept if past else 0)
        lengths = np.arange(batch, dtype=np.int32) % total + 1
        made = {"x": rand(batch, length, 20), "w": rand(20, 48 + wide) / 4, "b": rand(48 + wide),
                "past": rand(2, batch, heads, kept, size, seed=1),
                "scores": rand(batch, heads, length, total, seed=2), "lengths": lengths,
                "keys": (np.arange(total) < lengths[:, None]).astype(np.int32)}
        made["pairs"] = np.broadcast_to(made["keys"][:, None], (batch, length, total)).copy()
        return made
    dims = {"x": ["b", "s", 20], "past": [2, "b", heads, "p", size], "lengths": ["b"],
            "keys": ["b", "t"], "pairs": ["b", "s", "t"], "scores": ["b", heads, "s", "t"]}
    names = ["x", "w", "b" if bias else "", mask, "past" if past else "",
             "scores" if scores else ""]
    while not names[-1]:
        names.pop()
    return Case("Attention", names, ["y", "present"] if past else ["y"], feeds,
                {n: dims[n] for n in names if n in dims}, num_heads=heads, **attributes)


def quantized_attention(kind, columns=False, past=False, **attributes):
    def feeds(n):
        batch, length = ((1, 5), (3, 7))[n]
        return {"x": whole(batch, length, 20), "w": whole(20, 72, kind=kind), "b": rand(72),
                "xs": scale(0.02),
                "ws": np.linspace(0.005, 0.01, 72, dtype=np.float32) if columns else scale(0.01),
                "lengths": np.arange(batch, dtype=np.int32) % length + 1,
                "xz": np.array(120, np.uint8),
                "wz": np.zeros(72 if columns else (), kind),
                "past": rand(2, batch, 3, 4, 8, seed=1)}
    names = ["x", "w", "b", "xs", "ws", "lengths", "xz", "wz"] + ["past"] * past
    dims = {"x": ["b", "s", 20], "lengths": ["b"], "past": [2, "b", 3, 4, 8]}
    return Case("QAttention", names, ["y", "present"] if past else ["y"], feeds,
                {n: dims[n] for n in names if n in dims}, num_heads=3, **attributes)


def embedding(segments=True, mask=True, positions=False, total=False):
    def feeds(n):
        shape = (2, 5) if n else (1, 3)
        ids = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
        return {"ids": ids * 7 % 11, "segments": ids % 2, "words": rand(11, 32),
                "places": rand(9, 32, seed=1), "parts": rand(2, 32, seed=2), "gamma": rand(32),
                "beta": rand(32, seed=4), "mask": (ids % 3 > 0).astype(np.int32),
                "positions": ids[:, ::-1] % 9}
    names = ["ids", "segments" if segments else "", "words", "places",
             "parts" if segments else "", "gamma", "beta", "mask" if mask else "",
             "positions" if positions else ""]
    while not names[-1]:
        names.pop()
    return Case("EmbedLayerNormalization", names, ["y", "count"] + ["sum"] * total, feeds,
                {n: ["b", "s"] for n in ("ids", "segments", "mask", "positions") if n in names})


def quantized_embedding(segments=True):
    tables = {"words": (11, 32), "places": (9, 32), "parts": (2, 32), "gamma": (32,),
              "beta": (32,)}

    def feeds(n):
        ids = np.arange(10 if n else 3, dtype=np.int32).reshape(2 if n else 1, -1)
        made = {"ids": ids * 7 % 11, "segments": ids % 2, "mask": (ids % 3 > 0).astype(np.int32)}
        for i, (name, shape) in enumerate(tables.items()):
            made.update({name: whole(*shape), f"{name}.s": scale(0.01 + i / 1000),
                         f"{name}.z": np.array(120 + i, np.uint8)})
        return made
    def tabled(suffix=""):
        return [n + suffix if segments or n != "parts" else "" for n in tables]
    names = ["ids", "segments" if segments else "", *tabled(), "mask", *tabled(".s"),
             *tabled(".z")]
    return Case("QEmbedLayerNormalization", names, ["y", "count"], feeds,
                {n: ["b", "s"] for n in ("ids", "segments", "mask") if n in names})


def quantized_lstm(directions=1, columns=False, kind=np.int8, initial=False, **attributes):
    """ONNX Runtime rounds what it multiplies to 8 bits, Tenon does not."""
    units, gates = 12, 48

    def feeds(n):
        steps, batch = ((4, 1), (7, 3))[n]
        scales = np.full((directions, gates) if columns else (directions,), 0.004, np.float32)
        zeros = np.full(scales.shape, 0 if kind == np.int8 else 128, kind)
        return {"x": rand(steps, batch, 10), "w": whole(directions, 10, gates, kind=kind),
                "r": whole(directions, units, gates, kind=kind), "b": rand(directions, 2 * gates),
                "h": np.tanh(rand(directions, batch, units)), "c": rand(directions, batch, units),
                "ws": scales, "wz": zeros, "rs": scales * 1.5, "rz": zeros}
    state = ["h", "c"] if initial else ["", ""]
    return Case("DynamicQuantizeLSTM", ["x", "w", "r", "b", "", *state, "", "ws", "wz", "rs", "rz"],
                ["y", "yh", "yc"], feeds,
                {"x": ["s", "b", 10], **({n: [directions, "b", units] for n in "hc"}
                                         if initial else {})}, tolerance=3e-2,
                hidden_size=units, direction="bidirectional" if directions == 2 else "forward",
                **attributes)


def encoders():
    yield "attention", packed_attention()
    yield "attention_no_bias", packed_attention(bias=False, scale=0.5)
    yield "attention_lengths", packed_attention("lengths")
    yield "attention_keys", packed_attention("keys", mask_filter_value=-1000.0)
    yield "attention_pairs", packed_attention("pairs")
    yield "attention_scores", packed_attention("pairs", scores=True)
    yield "attention_causal", packed_attention(past=True, unidirectional=1)
    yield "attention_past_keys", packed_attention("keys", past=True, unidirectional=1)
    yield "attention_past_lengths", packed_attention("lengths", past=True)
    yield "attention_values", packed_attention(values=36)
    yield "qattention", quantized_attention(np.uint8)
    yield "qattention_columns", quantized_attention(np.int8, columns=True)
    yield "qattention_causal", quantized_attention(np.int8, past=True, unidirectional=1)
    yield "embedding", embedding()
    yield "embedding_words", embedding(segments=False, mask=False)
    yield "embedding_positions", embedding(positions=True, total=True)
    yield "qembedding", quantized_embedding()
    yield "qembedding_words", quantized_embedding(segments=False)
    yield "qlstm", quantized_lstm()
    yield "qlstm_columns", quantized_lstm(columns=True, kind=np.uint8, initial=True)
    yield "qlstm_both_ways", quantized_lstm(directions=2)
    yield "qlstm_both_columns", quantized_lstm(directions=2, columns=True, initial=True)


def cases():
    yield from encoders()
    prompt, step, chunk = ((0, 0), (7, 1)), ((4, 70), (1, 1)), ((4, 40), (3, 2))
    yield "gqa_prompt", group_query(*prompt)
    yield "gqa_step", group_query(*step)
    yield "gqa_step_batch", group_query(*step, batch=3)
    yield "gqa_chunk", group_query(*chunk)
    yield "gqa_packed", group_query(*step, packed=True)
    yield "gqa_no_rotary", group_query(*chunk, rotary=False, scale=0.4)
    yield "gqa_interleaved", group_query(*chunk, rotary_interleaved=1)
    yield "gqa_partial_rotary", group_query(*chunk, size=32, half=8)
    yield "gqa_window", group_query((4, 40), (3, 2), local_window_size=3)
    yield "gqa_softcap", group_query(*chunk, softcap=2.0)
    yield "gqa_bias", group_query(*chunk, bias=True)
    yield "gqa_smooth_softmax", group_query(*chunk, smooth_softmax=1)
    yield "gqa_f16", group_query(*step, dtype=np.float16)
    for block in (16, 32, 128):
        yield f"nbits_{block}", nbits(256, 20, block)
    yield "nbits_8", nbits(256, 20, 32, bits=8)
    yield "nbits_ragged", nbits(100, 7, 32)
    yield "nbits_zeros", nbits(160, 7, 32, zeros="packed")
    yield "nbits_8_zeros", nbits(160, 7, 32, bits=8, zeros="packed")
    yield "nbits_float_zeros", nbits(160, 7, 32, zeros="floats")
    yield "nbits_bias", nbits(160, 7, 32, bias=True)
    yield "nbits_f16", nbits(160, 7, 32, dtype=np.float16)
    yield "mha", multi_head()
    yield "mha_heads", multi_head(rank=4)
    yield "mha_bias", multi_head(bias=True)
    yield "mha_padding", multi_head(mask=True)
    yield "mha_causal", multi_head(past=True, unidirectional=1)
    yield "mha_past", multi_head(past=True)
    yield "rotary_3d", rotary(3, num_heads=3)
    yield "rotary_4d", rotary(4)
    yield "rotary_offset", rotary(4, offset=True)
    yield "rotary_interleaved", rotary(4, interleaved=1)
    yield "rotary_partial", rotary(3, half=2, rotary_embedding_dim=4, num_heads=3)
    for op in ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"):
        yield op, skip_norm(op)
        yield f"{op}_bias", skip_norm(op, bias=True)
        yield f"{op}_f16", skip_norm(op, dtype=np.float16)
    yield "SkipLayerNormalization_beta", skip_norm("SkipLayerNormalization", beta=True, bias=True)
    yield "SkipLayerNormalization_one", skip_norm("SkipLayerNormalization", total=False)
    yield "gather_blocks", gather_blocks()
    yield "gather_blocks_zeros", gather_blocks(zeros=True)
    yield "gather_blocks_8", gather_blocks(bits=8)
    yield "fused_matmul", fused("FusedMatMul", {"x": (2, 5, 7), "w": (7, 4)}, alpha=0.5)
    yield "fused_matmul_turned", fused("FusedMatMul", {"x": (2, 7, 5), "w": (4, 7)}, transA=1,
                                       transB=1)
    image = {"x": (1, 3, 8, 9), "w": (4, 3, 3, 3), "b": (4,)}
    yield "fused_conv", fused("FusedConv", image, activation="Relu", strides=[2, 1])
    yield "fused_conv_clip", fused("FusedConv", image, activation="Clip", pads=[1, 1, 1, 1],
                                   activation_params=[-0.5, 1.5])
    yield "fused_conv_leaky", fused("FusedConv", image, activation="LeakyRelu",
                                    activation_params=[0.2])
    yield "fused_gemm", fused("FusedGemm", {"x": (2, 7), "w": (4, 7), "c": (4,)}, transB=1,
                              activation="Relu", alpha=0.5, beta=2.0)
    yield "fused_gemm_hard", fused("FusedGemm", {"x": (2, 7), "w": (7, 4)}, beta=0.5,
                                   activation="HardSigmoid", activation_alpha=0.3,
                                   activation_beta=0.4)
    for op in ("BiasGelu", "FastGelu"):
        yield op, fused(op, {"x": (2, 3, 33), "b": (33,)})
    yield "QuickGelu", fused("QuickGelu", {"x": (2, 33)}, alpha=1.5)


def run(tally, name, case, folder):
    path = folder / f"{name}.onnx"
    onnx.save(case.model(), path)
    try:
        artifact = compile_model(path, folder / f"{name}.tenon")
    except CompileError as error:
        return tally.check(name, False, str(error)[:300])
    ours, peer = tenon_session(artifact), ort_session(path)
    for size in (0, 1):
        feeds = {n: v for n, v in case.feeds(size).items() if n in case.dims}
        names = [n for n in case.outputs if n]
        try:
            theirs = dict(zip(names, peer.run(names, feeds)))
        except Exception as error:
            tally.check(f"{name} at size {size}", False, f"ONNX Runtime: {error}")
            continue
        mine = ours.run(feeds)
        worst = 0.0
        for n in names:
            if mine[n].shape != theirs[n].shape:
                worst = float("inf")
            else:
                difference = np.abs(mine[n].astype(np.float64) - theirs[n])
                worst = max(worst, float(difference.max(initial=0)))
        tally.check(f"{name} at size {size}", worst <= case.tolerance,
                    f"largest difference {worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="")
    args = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases():
            if args.filter in name:
                run(tally, name, case, pathlib.Path(folder))
    tally.finish()


if __name__ == "__main__":
    main()
