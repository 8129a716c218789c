#!/usr/bin/env python3
"""TopK and NonMaxSuppression of many elements, and sizes that are sums of many counts."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import Tally, compile_model, ort_session, tenon_session  # noqa: E402

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
# Each compiles and runs in a second or two; what was quadratic or worse took minutes.
LIMIT_S = 60


def outputs(nodes, feeds, dims, results, constants, against_ort=False):
    """The results of Tenon, and of ONNX Runtime where that is asked for."""
    inputs = [helper.make_tensor_value_info(n, FLOAT, dims[n]) for n in feeds]
    infos = [helper.make_tensor_value_info(n, kind, [None] * rank)
             for n, (kind, rank) in results.items()]
    initializers = [onnx.numpy_helper.from_array(np.asarray(v), n)
                    for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, infos, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with tempfile.TemporaryDirectory(prefix="tenon-searches-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        onnx.save(model, path)
        artifact = compile_model(path, path.with_suffix(".tenon"), limit_s=LIMIT_S)
        found = tenon_session(artifact, threads=1).run(feeds)
        found = [np.asarray(found[n]) for n in results]
        return found, ort_session(path).run(None, feeds) if against_ort else None


def first(x, k, largest):
    """The k largest or smallest of each column, equal ones by their places."""
    order = np.argsort(-x if largest else x, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(x, order, axis=1), order


def check_top_k(tally):
    generator = np.random.default_rng(0)
    for shape, k in (((3, 7, 2), 4), ((2, 1, 1), 1), ((2, 5, 1), 0), ((1, 20000, 1), 20000),
                     ((2, 50000, 1), 300)):
        x = generator.integers(-999, 999, shape).astype(np.float32)  # many are equal
        for largest in (0, 1):
            node = helper.make_node("TopK", ["x", "k"], ["v", "i"], axis=1, largest=largest)
            (values, places), _ = outputs([node], {"x": x}, {"x": ["a", "b", "c"]},
                                          {"v": (FLOAT, 3), "i": (INT64, 3)}, {"k": [k]})
            expected = first(x, k, largest)
            tally.check(f"TopK of {shape}, k = {k}, largest = {largest}",
                        np.array_equal(values, expected[0])
                        and np.array_equal(places, expected[1]))


def check_suppression(tally):
    generator = np.random.default_rng(1)
    names = ["boxes", "scores", "most", "overlap", "least"]
    dims = {"boxes": ["b", "n", 4], "scores": ["b", "c", "n"]}
    for classes, count, most, least in ((2, 6000, 6000, 0.3), (40, 500, 20, 0.0),
                                        (1, 50, 0, 0.0), (3, 50, 50, 2.0)):
        corners = generator.uniform(0, 100, (2, count, 2))
        boxes = np.concatenate([corners, corners + generator.uniform(1, 30, (2, count, 2))], -1)
        # Rounded: some scores are equal.
        scores = generator.uniform(0, 1, (2, classes, count)).round(3).astype(np.float32)
        feeds = {"boxes": boxes.astype(np.float32), "scores": scores}
        limits = {"most": np.array([most]), "overlap": np.array([0.5], np.float32),
                  "least": np.array([least], np.float32)}
        (found,), (expected,) = outputs([helper.make_node("NonMaxSuppression", names, ["y"])],
                                        feeds, dims, {"y": (INT64, 2)}, limits, True)
        tally.check(f"NonMaxSuppression of {count} boxes in {classes} classes, {most} of each, "
                    f"above {least}", np.array_equal(found, expected))


def check_many_counts(tally):
    """As detection heads end: a count for each class, and the first of all together."""
    nodes, parts, constants = [], [], {"zero": [0], "end": [200], "axis": [1]}
    for i in range(90):
        constants[f"t{i}"] = np.float32(i / 90)
        nodes += [helper.make_node("Greater", ["x", f"t{i}"], [f"g{i}"]),
                  helper.make_node("NonZero", [f"g{i}"], [f"n{i}"])]
        parts.append(f"n{i}")
    nodes += [helper.make_node("Concat", parts, ["all"], axis=1),
              helper.make_node("Slice", ["all", "zero", "end", "axis"], ["y"])]
    for size in (2, 30):
        x = np.linspace(0, 1, size, dtype=np.float32)
        (found,), _ = outputs(nodes, {"x": x}, {"x": ["n"]}, {"y": (INT64, 2)}, constants)
        expected = np.concatenate([np.flatnonzero(x > np.float32(i / 90)) for i in range(90)])
        tally.check(f"the first of 90 lists of {size} that are joined",
                    np.array_equal(found, expected[None, :200]))


def main():
    tally = Tally()
    check_top_k(tally)
    check_suppression(tally)
    check_many_counts(tally)
    tally.finish()


if __name__ == "__main__":
    main()
