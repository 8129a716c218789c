"""TopK, running totals and what is found by them: which elements, and in which order."""
import ml_dtypes
import numpy as np
from onnx import helper

from models import node

BF16 = ml_dtypes.bfloat16
FLOATS = {"f32": np.float32, "f16": np.float16, "bf16": BF16, "f64": np.float64}
INTEGERS = {name: np.dtype(name) for name in
            ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")}


def every(dtype, *shape):
    """Any bits: zeros of both signs, infinities, NaN, both ends of integers; and some twice."""
    draw, dtype = np.random.default_rng(sum(shape)), np.dtype(dtype)
    x = np.frombuffer(draw.bytes(dtype.itemsize * int(np.prod(shape))), dtype).copy()
    ends = ([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1] if dtype.kind not in "iu" else
            [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1])
    places = draw.choice(len(x), len(x) // 3, replace=False)
    x[places] = draw.choice(np.array(ends, dtype), len(places))
    return x.reshape(shape)


def order(x, axis, largest):
    """NaN is the largest, zeros are equal, and of equal elements the first comes first."""
    with np.errstate(invalid="ignore"):  # some NaN of 16 bits signal
        wide = x if x.dtype.kind in "iu" else x.astype(np.float64)
    ranks = np.unique(wide, return_inverse=True)[1].reshape(x.shape)
    return np.argsort(-ranks if largest else ranks, axis, kind="stable")


def top(make, x, k, result, axis=-1, largest=1, dims=None):
    """`result` is 0 for the values, 1 for their numbers."""
    k_value = np.array([k], np.int64)
    places = np.take(order(x, axis, largest), range(k), axis)
    want = places if result else np.take_along_axis(x, places, axis)
    names = ["y", "other"] if result == 0 else ["other", "y"]
    made = helper.make_node("TopK", ["x", "k"], names, axis=axis, largest=largest)
    return make([made], {"x": x}, want, dims, {"k": k_value}, stages=None)


def tops(make):
    for name, dtype in (FLOATS | INTEGERS).items():
        for result, what in enumerate(("values", "numbers")):
            for largest in (0, 1):
                yield (f"top-{name}-{largest}-{what}",
                       top(make, every(dtype, 3, 70), 9, result, largest=largest))
    # More than one run, the whole of it sorted.
    for name in ("f64", "f16"):
        yield f"sort-{name}", top(make, every(FLOATS[name], 1, 2300), 2300, 1)
    for n, k in ((1, 1), (64, 64), (65, 3), (2048, 1), (2049, 5), (6000, 300)):
        yield f"top-{k}-of-{n}", top(make, every(np.float32, 2, n), k, 1)
        yield (f"top-{k}-of-any-{n}", top(make, every(np.float32, 1, n), k, 1, largest=0,
                                          dims={"x": ["m", "n"]}))
    x = np.random.default_rng(3).integers(0, 3, (1, 2100, 3)).astype(np.float32)
    yield "top-of-columns", top(make, x, 40, 1, axis=1)
    yield "top-of-any-columns", top(make, x, 40, 1, axis=1, dims={"x": ["a", "b", "c"]})


def running(make, x, axis, exclusive, reverse, dims=None):
    turned = np.flip(x, axis) if reverse else x
    wide = turned if x.dtype.kind in "iu" else turned.astype(np.float64)
    total = np.cumsum(wide, axis, dtype=wide.dtype)
    if exclusive:
        first = np.zeros_like(np.take(total, [0], axis))
        total = np.concatenate([first, np.delete(total, -1, axis)], axis)
    total = np.flip(total, axis) if reverse else total
    return make([node("CumSum", "x axis", "y", exclusive=exclusive, reverse=reverse)], {"x": x},
                total.astype(x.dtype), dims, {"axis": np.array([axis], np.int64)}, stages=None)


def totals(make):
    draw = np.random.default_rng(7)
    for exclusive in (0, 1):
        for reverse in (0, 1):
            how = f"{'before' if exclusive else 'with'}-{'back' if reverse else 'on'}"
            x = draw.standard_normal((2, 9001))
            yield f"sum-{how}", running(make, x, 1, exclusive, reverse)
            x = draw.integers(-9, 9, (2, 700, 3)).astype(np.int32)
            yield f"sum-of-columns-{how}", running(make, x, 1, exclusive, reverse,
                                                   {"x": ["a", "b", "c"]})
    for name, dtype in (FLOATS | INTEGERS).items():
        if name.endswith(("16", "8")) and name not in FLOATS:
            continue  # CumSum has none of these
        x = draw.integers(0, 9, (2, 300)).astype(dtype)
        yield f"sum-{name}", running(make, x, 1, 0, 0)
        if name in ("bf16", "int64"):
            yield f"sum-{name}-any", running(make, x[:, :60], 0, 0, 1,
                                             {"x": ["a", "b"]})


def found_sizes(make):
    draw = np.random.default_rng(11)
    for shape in ((3, 5000), (2, 3, 7), (1, 9)):
        x = draw.integers(0, 3, shape).astype(np.float32)
        yield (f"nonzero-of-{x.ndim}-{x.size}",
               make([node("NonZero", "x", "y")], {"x": x}, np.array(np.nonzero(x)),
                    {"x": list("abc")[:x.ndim]}, stages=None))
    yield "nonzero-of-none", make([node("NonZero", "x", "y")], {"x": np.zeros(70, bool)},
                                  np.zeros((1, 0), np.int64), stages=None)
    x, kept = draw.standard_normal((4, 600)).astype(np.float16), draw.random(500) < 0.4
    yield "compress", make([node("Compress", "x c", "y", axis=1)], {"x": x, "c": kept},
                           x[:, :500][:, kept], {"x": ["a", "b"], "c": ["n"]}, stages=None)
    x = draw.integers(-40, 40, 6000).astype(np.float32) / 4
    x[draw.integers(0, 6000, 5)] = np.nan
    results = dict(zip(("values", "first", "inverse", "counts"), np.unique(
        x, return_index=True, return_inverse=True, return_counts=True)))
    by_place = np.argsort(results["first"])
    turned = {name: results[name][by_place] for name in ("values", "first", "counts")}
    turned["inverse"] = np.argsort(by_place)[results["inverse"]]
    for is_sorted, wants in ((1, results), (0, turned)):
        for place, (name, want) in enumerate((n, wants[n]) for n in results):
            names = ["y" if i == place else f"other{i}" for i in range(4)]
            made = helper.make_node("Unique", ["x"], names, sorted=is_sorted)
            yield (f"unique-{is_sorted}-{name}",
                   make([made], {"x": x}, want, {"x": ["n"]}, stages=None))


def overlap(a, b):
    """Of boxes by their ends."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.prod(np.maximum(high - low, 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def kept_boxes(boxes, scores, most, limit, least):
    rows = []
    for batch, classes in enumerate(scores):
        for number, row in enumerate(classes):
            kept = []
            for box in order(row, 0, True):
                if len(kept) < most and row[box] > least and all(
                        overlap(boxes[batch, box], boxes[batch, k]) <= limit for k in kept):
                    kept.append(box)
            rows += [(batch, number, box) for box in kept]
    return np.array(rows, np.int64).reshape(-1, 3)


def suppressions(make):
    draw = np.random.default_rng(2)
    corners = draw.uniform(0, 1, (2, 30, 2))
    boxes = np.concatenate([corners, corners + draw.uniform(0.1, 0.5, corners.shape)], 2)
    boxes = boxes.astype(np.float32)
    scores = (draw.integers(0, 20, (2, 2, 30)) / 20).astype(np.float32)  # some are equal
    for most, limit, least in ((30, 0.3, 0.2), (4, 0.5, -1), (30, 0.9, 0.99)):
        known = {"most": np.array([most]), "limit": np.array([limit], np.float32),
                 "least": np.array([least], np.float32)}
        yield (f"suppression-{most}-{limit}",
               make([node("NonMaxSuppression", "boxes scores most limit least", "y")],
                    {"boxes": boxes, "scores": scores},
                    kept_boxes(boxes, scores, most, np.float32(limit), np.float32(least)),
                    {"boxes": ["b", "n", 4], "scores": ["b", "c", "n"]}, known, stages=None))


def cases(make):
    yield from tops(make)
    yield from totals(make)
    yield from found_sizes(make)
    yield from suppressions(make)
