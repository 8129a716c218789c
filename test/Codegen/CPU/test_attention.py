# RUN: %python %s
# kernel.attention against numpy: layouts, head sizes, groups, masks, windows, lengths,
# rows without keys; and that parts of the keys merge by lse at every point.
import sys

import numpy as np

from kernels import Kernels, native_targets

MLIR_TYPES = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16",
              np.dtype(np.float64): "f64", np.dtype(bool): "i1", np.dtype(np.int64): "i64",
              np.dtype(np.int32): "i32"}
HEADS_FIRST, TOKENS_FIRST = "(b, h, t, d)", "(b, t, h, d)"
# One of three parts of a tensor; the others have garbage.
PART_OF_TOKENS, PART_IN_FRONT = "(b, t, 1, h, d)", "(2, b, h, t, d)"


def rand(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(sum(shape) + seed).normal(0, 1, shape).astype(dtype)


def attend(q, k, v, scale, mask=None, lengths=None, positions=None, sinks=None, causal=False,
           left=-1, right=-1, softcap=0.0):
    """(result, lse) of [batch, heads, tokens, features] in f64; empty rows are zero."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    group = q.shape[1] // k.shape[1]
    k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
    scores = np.einsum("bhsd,bhtd->bhst", q, k) * (scale or q.shape[3] ** -0.5)
    if softcap:
        scores = np.tanh(scores / softcap) * softcap
    if mask is not None:
        bias = np.where(mask, 0.0, -np.inf) if mask.dtype == bool else mask.astype(np.float64)
        short = k.shape[2] - bias.shape[-1]
        scores = scores + np.pad(bias, [(0, 0)] * (bias.ndim - 1) + [(0, short)],
                                 constant_values=-np.inf)
    keys = np.arange(k.shape[2])
    for b in range(q.shape[0]):
        n = k.shape[2] if lengths is None else lengths[b]
        for s in range(q.shape[2]):
            p = s + (0 if positions is None else positions[b if len(positions) > 1 else 0])
            seen = np.full(len(keys), True)
            if causal:
                seen &= keys <= p
            if left >= 0:
                seen &= keys >= p - left
            if right >= 0:
                seen &= keys <= p + right
            scores[b, :, s, ~(seen & (keys < n))] = -np.inf
    if sinks is not None:
        column = np.broadcast_to(sinks.astype(np.float64)[None, :, None, None],
                                 scores.shape[:3] + (1,))
        scores = np.concatenate([scores, column], -1)
        v = np.concatenate([v, np.zeros_like(v[:, :, :1])], 2)
    top = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = weights.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = (np.where(np.isneginf(top), 0, top) + np.log(total))[..., 0]
    return np.einsum("bhst,bhtd->bhsd", weights / np.where(total == 0, 1, total), v), lse


def layout(array, order):
    if order == PART_OF_TOKENS:
        parts = [np.full(array.shape, np.nan, array.dtype)] * 3
        parts[1] = array
        return np.ascontiguousarray(np.stack(parts, 3).transpose(0, 2, 3, 1, 4))
    if order == PART_IN_FRONT:
        return np.stack([np.full(array.shape, np.nan, array.dtype)] * 2 + [array])
    return array if order == HEADS_FIRST else np.ascontiguousarray(array.transpose(0, 2, 1, 3))


def text_of(name, inputs, result, lse, maps, attributes, dynamic):
    """A kernel.func with one attention; every dimension its own symbol if `dynamic`."""
    arrays = [a for _, a in inputs] + [result] + ([lse] if lse is not None else [])
    symbols = [n for a in arrays for n in a.shape] if dynamic else []
    names = ", ".join(f"s{i}" for i in range(len(symbols)))
    types, dims, used = [], [], 0
    for a in arrays:
        shape = [("?" if dynamic else str(n)) for n in a.shape]
        exprs = [f"s{used + i}" if dynamic else str(n) for i, n in enumerate(a.shape)]
        used += a.ndim
        types.append(f"tensor<{'x'.join(shape + [MLIR_TYPES[a.dtype]])}>")
        dims.append(f"affine_map<()[{names}] -> ({', '.join(exprs)})>")
    values = [f"%{n}" for n, _ in inputs] + ["%result"] + (["%lse"] if lse is not None else [])
    given = "".join(f" {n}(%{n})" for n, _ in inputs[3:])
    outs = types[len(inputs):]
    arguments = ", ".join(f"{v}: {t}" for v, t in zip(values, types))
    results = ", ".join(f"%y{i}" for i in range(len(outs)))
    text = f"""kernel.func @{name} inputs {len(inputs)} dims [{", ".join(dims)}] {{
^bb0({arguments}):
  %y:{len(outs)} = kernel.attention ins(%query, %key, %value){given} outs({", ".join(values[len(inputs):])})
    maps [{", ".join(maps)}] {{{attributes}}} : ({", ".join(types)}) -> ({", ".join(outs)})
  kernel.yield {", ".join(f"%y#{i}" for i in range(len(outs)))} : {", ".join(outs)}
}}
"""
    return text, symbols


class Case:
    def __init__(self, q, k, v, scale=0.3, order=(HEADS_FIRST,) * 4, mask=None, dynamic=False,
                 splits=0, tolerance=2e-5, zero_empty=True, **options):
        self.options = dict(options, scale=scale, mask=mask)
        self.arrays, self.tolerance = (q, k, v), tolerance
        self.splits, self.order = splits, order
        self.inputs = [("query", layout(q, order[0])), ("key", layout(k, order[1])),
                       ("value", layout(v, order[2]))]
        maps = [f"affine_map<(b, h, t, d) -> {o}>" for o in order]
        if mask is not None:
            self.inputs.append(("mask", mask))
            axes = ["b", "h", "s", "t"][4 - mask.ndim:]
            at = ["0" if n == 1 else a for a, n in zip(axes, mask.shape)]
            maps.append(f"affine_map<(b, h, s, t) -> ({', '.join(at)})>")
        for name in ("lengths", "positions", "sinks"):
            if options.get(name) is not None:
                self.inputs.append((name, options[name]))
        wide = (q.shape[0], q.shape[1], q.shape[2], v.shape[3])
        shape = layout(np.empty(wide, q.dtype), order[3]).shape
        lead = (splits,) if splits else ()
        partial = np.float64 if q.dtype == np.float64 else np.float32
        self.result = np.empty(lead + shape, partial if splits else q.dtype)
        self.lse = np.empty(lead + wide[:3], partial)
        names = {"left": "left_window", "right": "right_window"}
        attributes = [f"{names[n]} = {options[n]} : i64" for n in names if n in options]
        attributes += [f"scale = {scale:e} : f64"] if scale else []
        if "softcap" in options:
            attributes.append(f"softcap = {options['softcap']:e} : f64")
        attributes += ["causal"] * bool(options.get("causal")) + ["zero_empty"] * zero_empty
        self.text = lambda name: text_of(name, self.inputs, self.result, self.lse, maps,
                                         ", ".join(attributes), dynamic)

    def check(self, kernels, target, name, symbols, pieces):
        got, lse = kernels.run(target, name, [a for _, a in self.inputs],
                               [(self.result.shape, self.result.dtype),
                                (self.lse.shape, self.lse.dtype)], symbols, pieces)
        if self.splits:
            got, lse = merge(got, lse, self.order[3])
        got = layout(got, self.order[3])
        want, want_lse = attend(*self.arrays, **self.options)
        np.testing.assert_allclose(got, want, self.tolerance, self.tolerance, err_msg=name)
        np.testing.assert_allclose(lse, want_lse, self.tolerance, self.tolerance, err_msg=name)


def merge(parts, lses, order):
    """What partial results are worth together."""
    top = lses.max(0)
    weights = np.exp(lses - np.where(np.isneginf(top), 0, top))
    total = weights.sum(0)
    with np.errstate(divide="ignore"):
        lse = np.where(np.isneginf(top), 0, top) + np.log(total)
    share = (weights / np.where(total == 0, 1, total))[..., None]
    if order == TOKENS_FIRST:
        share = share.transpose(0, 1, 3, 2, 4)
    return (parts * share).sum(0), lse


def qkv(batch, heads, kv_heads, rows, keys, size, value_size=None, dtype=np.float32):
    return (rand(batch, heads, rows, size, dtype=dtype),
            rand(batch, kv_heads, keys, size, dtype=dtype, seed=1),
            rand(batch, kv_heads, keys, value_size or size, dtype=dtype, seed=2))


def hidden_cases(prefix, q, k, v):
    """What hides keys from rows; five or three tokens."""
    rows, tokens = (q, k, v), q.shape[2]
    lowest = np.full((1, 1, tokens, 90), np.finfo(np.float32).min)
    first_rows = np.arange(tokens)[:, None] < np.full((1, 90), tokens - 2)
    yield prefix + "float_mask", Case(*rows, mask=rand(2, 4, tokens, 90))
    yield prefix + "mask_of_keys", Case(*rows, mask=rand(2, 1, 1, 90))
    yield prefix + "lowest_mask", Case(*rows, mask=lowest)
    yield prefix + "bool_mask", Case(*rows, mask=rand(tokens, 90) > 0.5)
    yield prefix + "no_key_allowed", Case(*rows, mask=first_rows)
    yield prefix + "short_mask", Case(*rows, mask=rand(2, 4, tokens, 71))
    yield prefix + "short_bool_mask", Case(*rows, mask=rand(tokens, 7) > 0)
    yield prefix + "causal_offset", Case(*rows, causal=True, positions=np.array([60, 0]))
    yield prefix + "one_offset", Case(*rows, causal=True, positions=np.array([85]))
    yield prefix + "before_all_keys", Case(*rows, causal=True, positions=np.array([-3, 2]))
    yield prefix + "lengths", Case(*rows, lengths=np.array([0, 71]))
    yield prefix + "windows", Case(*rows, left=3, right=1, positions=np.array([40, 80]))
    yield prefix + "softcap", Case(*rows, softcap=0.7, mask=rand(tokens, 90))
    yield prefix + "sinks", Case(*rows, sinks=rand(4), causal=True)
    yield prefix + "sinks_split", Case(*rows, sinks=rand(4), splits=4)


def cases():
    tokens_first = (TOKENS_FIRST, HEADS_FIRST, HEADS_FIRST, TOKENS_FIRST)
    yield "one_of_each", Case(*qkv(1, 1, 1, 1, 1, 1))
    yield "decode", Case(*qkv(2, 9, 3, 1, 130, 64), order=tokens_first)
    yield "decode_split", Case(*qkv(2, 9, 3, 1, 130, 64), order=tokens_first, splits=3)
    yield "prefill", Case(*qkv(1, 9, 3, 70, 70, 64), causal=True, order=tokens_first)
    yield "prefill_dynamic", Case(*qkv(1, 9, 3, 70, 70, 64), causal=True, order=tokens_first,
                                  dynamic=True)
    yield "decode_dynamic", Case(*qkv(3, 4, 2, 2, 67, 33), dynamic=True)
    for size in (7, 33, 80, 128):
        yield f"size_{size}", Case(*qkv(1, 2, 2, 19, 65, size, size + 3))
    parts = (PART_OF_TOKENS, PART_OF_TOKENS, PART_IN_FRONT, TOKENS_FIRST)
    yield "parts", Case(*qkv(2, 4, 4, 19, 66, 16), order=parts)
    yield "parts_dynamic", Case(*qkv(2, 4, 4, 19, 66, 16), order=parts, dynamic=True)
    yield "parts_decode", Case(*qkv(2, 4, 2, 1, 66, 16), order=parts, splits=3)
    yield "all_tokens_first", Case(*qkv(2, 4, 2, 17, 66, 16), order=(TOKENS_FIRST,) * 4)
    yield "more_splits_than_keys", Case(*qkv(1, 2, 1, 3, 4, 8), splits=7, causal=True)
    yield "large_group", Case(*qkv(1, 71, 1, 3, 20, 16))
    yield "f16", Case(*qkv(1, 4, 2, 9, 70, 40, dtype=np.float16), tolerance=2e-3)
    yield "f64", Case(*qkv(1, 4, 2, 9, 70, 40, dtype=np.float64), tolerance=1e-12)
    yield from hidden_cases("", *qkv(2, 4, 2, 5, 90, 8))
    # Up to eight rows of whole vectors are taken one by one.
    yield from hidden_cases("few_", *qkv(2, 4, 2, 3, 90, 16))
    few = (1, 8, 2, 2, 70)
    yield "few_f16", Case(*qkv(*few, 16, 48, dtype=np.float16), tolerance=2e-3)
    yield "few_f64", Case(*qkv(*few, 32, dtype=np.float64), tolerance=1e-12)
    yield "few_wide", Case(*qkv(*few, 256, 208), order=(TOKENS_FIRST,) * 4, dynamic=True)
    yield "few_strided", Case(*qkv(*few, 16), order=parts, splits=2, causal=True)
    yield "eight_rows", Case(*qkv(1, 4, 1, 2, 65, 16), causal=True, positions=np.array([63]))
    yield "nine_rows", Case(*qkv(1, 9, 1, 1, 65, 16))
    yield "left_window", Case(*qkv(1, 2, 1, 80, 80, 8), left=5, causal=True)
    yield "default_scale", Case(*qkv(1, 2, 1, 9, 9, 33), scale=None)


def check_split_at_every_point(kernels, target, name, symbols, case):
    """[0, n) and [n, T) by themselves, merged, are [0, T), for each n."""
    (_, q), (_, k), (_, v) = case.inputs
    want, want_lse = attend(q, k, v, case.options["scale"])
    for point in range(k.shape[2] + 1):
        parts, lses = [], []
        for piece in (slice(0, point), slice(point, None)):
            part = [q, k[:, :, piece], v[:, :, piece]]
            shapes = [n for a in part + [case.result, case.lse] for n in a.shape]
            got, lse = kernels.run(target, name, part,
                                   [(case.result.shape, np.float32),
                                    (case.lse.shape, np.float32)], shapes, 2)
            parts.append(got), lses.append(lse)
        got, lse = merge(np.stack(parts), np.stack(lses), HEADS_FIRST)
        np.testing.assert_allclose(got, want, 1e-5, 1e-5, err_msg=f"split at {point}")
        np.testing.assert_allclose(lse, want_lse, 1e-5, 1e-5, err_msg=f"split at {point}")


def main():
    named = {name: (case, *case.text(name)) for name, case in cases()}
    parted = Case(*qkv(1, 4, 2, 3, 69, 16), dynamic=True)
    named["parted"] = (parted, *parted.text("parted"))
    empty = Case(*qkv(1, 1, 1, 2, 3, 4), mask=np.full((3,), False), zero_empty=False)
    named["empty_is_nan"] = (empty, *empty.text("empty_is_nan"))
    kernels = Kernels("\n".join(text for _, text, _ in named.values()))
    failed = 0
    for target in native_targets():
        for name, (case, _, symbols) in named.items():
            try:
                if name == "empty_is_nan":
                    got = kernels.run(target, name, [a for _, a in case.inputs],
                                      [(case.result.shape, np.float32),
                                       (case.lse.shape, np.float32)])
                    assert np.isnan(got[0]).all() and np.isneginf(got[1]).all()
                elif name == "parted":
                    check_split_at_every_point(kernels, target, name, symbols, case)
                else:
                    case.check(kernels, target, name, symbols, 3)
            except AssertionError as error:
                failed += 1
                print(f"{target} {name}: {str(error)[:600]}")
    print(f"{len(named) * len(native_targets())} checked, {failed} failed")
    sys.exit(failed > 0)


main()
