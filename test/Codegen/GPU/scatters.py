"""ScatterElements and ScatterND whose indices come more than once: updates meet in their order."""
import ml_dtypes
import numpy as np

from models import node

COMBINE = {"none": lambda old, new: new, "add": np.add, "mul": np.multiply, "min": np.minimum,
           "max": np.maximum}


def random(draw, dtype, *shape):
    return draw.integers(1, 5, shape).astype(dtype)  # so that sums are exact


def scatter_elements(make, shape, indexed, axis, reduction="none", dtype=np.float32, dims=None):
    draw = np.random.default_rng(sum(shape) + axis)
    data, updates = random(draw, dtype, *shape), random(draw, dtype, *indexed)
    indices = draw.integers(-shape[axis], shape[axis], indexed)
    want = data.copy()
    for place in np.ndindex(*indexed):
        at = place[:axis] + (indices[place],) + place[axis + 1:]
        want[at] = COMBINE[reduction](want[at], updates[place])
    nodes = [node("ScatterElements", "x i u", "y", axis=axis, reduction=reduction)]
    return make(nodes, {"x": data, "i": indices, "u": updates}, want, dims, stages=None)


def scatter_rows(make, shape, tuples, width, reduction="none", dtype=np.float32, dims=None):
    draw = np.random.default_rng(sum(shape) + width)
    data = random(draw, dtype, *shape)
    updates = random(draw, dtype, tuples, *shape[width:])
    indices = np.stack([draw.integers(-size, size, tuples) for size in shape[:width]], -1)
    want = data.copy()
    for place, update in zip(indices, updates):
        want[tuple(place)] = COMBINE[reduction](want[tuple(place)], update)
    nodes = [node("ScatterND", "x i u", "y", reduction=reduction)]
    return make(nodes, {"x": data, "i": indices, "u": updates}, want, dims, stages=None)


def cases(make):
    for reduction in COMBINE:
        yield (f"scatter-columns-{reduction}",
               scatter_elements(make, (7, 5, 9), (7, 4, 8), 1, reduction))
        yield f"scatter-line-{reduction}", scatter_elements(make, (300,), (200,), 0, reduction)
        yield f"scatter-rows-{reduction}", scatter_rows(make, (6, 5, 70), 12, 2, reduction)
        yield f"scatter-each-{reduction}", scatter_rows(make, (9, 8), 150, 2, reduction)
    for name, dtype in (("f16", np.float16), ("bf16", ml_dtypes.bfloat16), ("i64", np.int64),
                        ("u8", np.uint8)):
        yield f"scatter-columns-{name}", scatter_elements(make, (3, 40), (3, 60), 1, "add", dtype)
    open_sizes = {"x": ["a", "b"], "i": ["c", "d"], "u": ["c", "d"]}
    for axis in (0, 1):
        for shape, indexed in (((50, 40), (30, 40)), ((3, 1), (2, 1)), ((2, 1100), (2, 1100))):
            yield (f"scatter-any-{shape[0]}x{shape[1]}-{axis}",
                   scatter_elements(make, shape, indexed, axis, "add", dims=open_sizes))
    for shape in ((40, 3), (5, 1200), (1, 1)):
        for width in (1, 2):
            dims = {"x": ["a", "b"], "i": ["t", width], "u": ["t", "b"][:3 - width]}
            yield (f"scatter-any-tuples-{shape[0]}x{shape[1]}-{width}",
                   scatter_rows(make, shape, 90, width, "add", dims=dims))
