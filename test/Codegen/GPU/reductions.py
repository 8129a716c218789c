"""Softmax, norms and places of extremes: rows of parts of a warp, of warps and of blocks."""
import numpy as np

from models import node


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


def norm(case, op, rows, columns, dtype=np.float32, wide=False, known=True):
    """`wide`: 16 bytes are loaded and stored at a time."""
    x, scale = normal(rows, columns, dtype=dtype), normal(columns, dtype=dtype, seed=1)
    bias = normal(columns, dtype=dtype, seed=2)
    want, weights = x.astype(np.float64), {}
    if op == "Softmax":
        want = np.exp(want - want.max(1, keepdims=True))
        want /= want.sum(1, keepdims=True)
    else:
        weights = {"scale": scale}
        want -= want.mean(1, keepdims=True) if op == "LayerNormalization" else 0
        want /= np.sqrt((want ** 2).mean(1, keepdims=True) + 1e-5)
        want *= scale.astype(np.float64)
    if op == "LayerNormalization":
        weights["bias"] = bias
        want += bias.astype(np.float64)
    return case([node(op, " ".join(["x", *weights]), "y")], {"x": x}, want.astype(dtype),
                {"x": ["m", columns if known else "n"]}, weights,
                needs=("ld.global.nc.v4.b32", "st.global.v4.b32") if wide else ())


def norms(case, half, brain):
    """There are ends of chunks that are no thread's, and of blocks' rows."""
    single = np.float32
    for op, rows, columns, dtype, wide in (
            ("Softmax", 3, 197, half, False), ("Softmax", 21, 64, half, True),
            ("Softmax", 5, 132, brain, False), ("Softmax", 2, 1280, single, True),
            ("LayerNormalization", 3, 77, single, False),
            ("LayerNormalization", 2, 515, single, False),
            ("LayerNormalization", 5, 768, half, True),
            ("LayerNormalization", 3, 1500, single, True),
            ("LayerNormalization", 2, 9000, half, True),
            ("RMSNormalization", 3, 264, brain, True),
            ("RMSNormalization", 2, 2048, brain, True)):
        name = f"{op}-{rows}x{columns}-{np.dtype(dtype).name}"
        yield name, norm(case, op, rows, columns, dtype, wide)
    for rows, columns in ((3, 5), (2, 1031)):
        yield f"Softmax-{rows}x{columns}", norm(case, "Softmax", rows, columns, known=False)


def extreme(case, op, size, last, x, half=None, needs=()):
    """The first or the last place of the extreme; NaN is larger than every number. With a type
    of 16 bits the size is known."""
    choose = np.argmax if op == "ArgMax" else np.argmin
    ordered = np.where(np.isnan(x), np.inf, x)
    want = size - 1 - choose(ordered[:, ::-1], 1) if last else choose(ordered, 1)
    return case([node(op, "x", "y", axis=-1, keepdims=0, select_last_index=int(last))],
                {"x": x.astype(half or np.float32)}, want.astype(np.int64),
                {"x": ["m", size if half else "n"]},
                needs=needs)


def extremes(case, half):
    """Few values, so that there are ties; and NaN among them."""
    draw = np.random.default_rng(5)
    for size in (3, 5, 70, 600, 1500):
        for op in ("ArgMax", "ArgMin"):
            for last in (False, True):
                x = draw.integers(0, 4, (4, size)).astype(float)
                x[1, draw.integers(0, size, 2)] = np.nan
                x[2] = np.nan
                name = f"{op}-{size}-{'last' if last else 'first'}"
                yield name, extreme(case, op, size, last, x)
                if size == 600:
                    yield f"{name}-known", extreme(case, op, size, last, x, half)
    # All loops over a thread's part: ends, chunks one by one and four at a time.
    x = draw.integers(0, 50, (2, 41000)).astype(float)
    yield "ArgMax-41000-first-known", extreme(case, "ArgMax", 41000, False, x, half,
                                              needs=("ld.global.nc.v4.b32",))


def cases(case, half, brain):
    yield from extremes(case, half)
    yield from norms(case, half, brain)
