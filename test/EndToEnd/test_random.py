#!/usr/bin/env python3
"""Random generators: their distributions, and the same numbers in every run."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import CompileError, Tally, compile_model, tenon_session  # noqa: E402

F32, F64, I64, BOOL = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64,
                       TensorProto.BOOL)
SHAPE = [200, 500]


def save(path, nodes, outputs):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", F32, ["n", "m"])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()])
    onnx.save(helper.make_model(graph, ir_version=8,
                                opset_imports=[helper.make_opsetid("", 17)]), path)


def generators():
    make = helper.make_node
    return [make("RandomNormalLike", ["x"], ["normal"], mean=2.0, scale=3.0, name="a"),
            make("RandomNormalLike", ["x"], ["other"], mean=2.0, scale=3.0, name="b"),
            make("RandomUniformLike", ["x"], ["uniform"], low=-1.0, high=3.0),
            make("RandomNormal", [], ["fixed"], shape=SHAPE, seed=7.0),
            make("RandomNormal", [], ["again"], shape=SHAPE, seed=7.0),
            make("RandomUniform", [], ["wide"], shape=SHAPE, dtype=F64),
            make("Bernoulli", ["uniform.p"], ["coin"], dtype=BOOL),
            make("Sigmoid", ["x"], ["uniform.p"])][::-1]


def check_values(tally, out):
    """Each bound is five standard errors of 100,000 numbers or more."""
    normal = (out["normal"] - 2) / 3
    tally.check("a normal distribution's moments",
                abs(normal.mean()) < 0.016 and abs(normal.std() - 1) < 0.012
                and abs((normal ** 3).mean()) < 0.062 and abs((normal ** 4).mean() - 3) < 0.16,
                f"mean {normal.mean():.4f}, deviation {normal.std():.4f}")
    inside = np.abs(normal) < 1
    tally.check("its share within one deviation", abs(inside.mean() - 0.6827) < 0.008,
                f"{inside.mean():.4f}")
    uniform = out["uniform"]
    tally.check("a uniform distribution", uniform.min() >= -1 and uniform.max() < 3
                and abs(uniform.mean() - 1) < 0.02 and abs(uniform.var() - 16 / 12) < 0.02,
                f"mean {uniform.mean():.4f}, within [{uniform.min():.4f}, {uniform.max():.4f}]")
    for name, (a, b) in {"nodes": (normal, out["other"]), "rows": (normal[0::2], normal[1::2]),
                         "neighbours": (normal[:, 0::2], normal[:, 1::2])}.items():
        found = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        tally.check(f"{name} have nothing in common", abs(found) < 0.023, f"{found:.4f}")
    tally.check("one seed gives the same numbers", np.array_equal(out["fixed"], out["again"]))
    tally.check("another element type", out["wide"].dtype == np.float64
                and abs(out["wide"].mean() - 0.5) < 0.005)
    tally.check("a coin", abs(out["coin"].mean() - 0.5) < 0.008, f"{out['coin'].mean():.4f}")


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="tenon-random-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        outputs = {"normal": F32, "other": F32, "uniform": F32, "fixed": F32, "again": F32,
                   "wide": F64, "coin": BOOL}
        nodes = sorted(generators(), key=lambda n: n.op_type == "Bernoulli")
        save(path, nodes, outputs)
        session = tenon_session(compile_model(path, path.with_suffix(".tenon")), threads=2)
        alone = tenon_session(path.with_suffix(".tenon"), threads=1)
        feeds = {"x": np.zeros(SHAPE, np.float32)}
        out = {k: np.array(v) for k, v in session.run(feeds).items()}
        check_values(tally, out)
        again = {k: np.array(v) for k, v in alone.run(feeds).items()}
        tally.check("every run and number of threads gives the same",
                    all(np.array_equal(out[k], again[k]) for k in out))
        small = session.run({"x": np.zeros((3, 4), np.float32)})
        tally.check("another size", small["normal"].shape == (3, 4))

        body = helper.make_graph(
            [helper.make_node("RandomNormalLike", ["s"], ["t"]),
             helper.make_node("Identity", ["c"], ["d"])], "body",
            [helper.make_tensor_value_info("i", I64, []),
             helper.make_tensor_value_info("c", BOOL, []),
             helper.make_tensor_value_info("s", F32, ["n", "m"])],
            [helper.make_tensor_value_info("d", BOOL, []),
             helper.make_tensor_value_info("t", F32, ["n", "m"])])
        three = helper.make_node("Constant", [], ["three"], value_int=3)
        loop = helper.make_node("Loop", ["three", "", "x"], ["y"], body=body)
        save(path, [three, loop], {"y": F32})
        try:
            compile_model(path, pathlib.Path(folder, "loop.tenon"))
            tally.check("a generator in a loop is refused", False, "compiled")
        except CompileError as error:
            tally.check("a generator in a loop is refused",
                        error.refused and "outside loops" in str(error), str(error))
    tally.finish()


if __name__ == "__main__":
    main()
