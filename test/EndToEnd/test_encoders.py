#!/usr/bin/env python3
"""LabelEncoder and OneHotEncoder of numbers, as skl2onnx writes them, against ONNX Runtime."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import Tally, compile_model, ort_session, tenon_session  # noqa: E402

KINDS = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}
NAN = float("nan")
# name: (operator, type of x, type of y, attributes)
CASES = {
    "integers to integers": ("LabelEncoder", "int64", "int64",
                             {"keys_int64s": [1, 5, -2], "values_int64s": [7, 8, 1 << 40]}),
    "integers to floats": ("LabelEncoder", "int64", "float32",
                           {"keys_int64s": [1, 5], "values_floats": [0.5, -0.5],
                            "default_float": 9.0}),
    "floats to integers": ("LabelEncoder", "float32", "int64",
                           {"keys_floats": [1.0, NAN, 2.0], "values_int64s": [3, 4, 5],
                            "default_int64": -7}),
    "floats to floats": ("LabelEncoder", "float32", "float32",
                         {"keys_floats": [1.0, 5.0], "values_floats": [0.25, 4.0]}),
    "integers to places": ("OneHotEncoder", "int64", "float32", {"cats_int64s": [5, 1, -2]}),
    "floats to places": ("OneHotEncoder", "float32", "float32", {"cats_int64s": [1, 5]}),
}


def model(operator, source, target, attributes):
    node = helper.make_node(operator, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", KINDS[source], ["n", 2])],
        [helper.make_tensor_value_info("y", KINDS[target], None)])
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 4)])


def main():
    tally = Tally()
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory(prefix="tenon-encoders-") as folder:
            path = pathlib.Path(folder, "model.onnx")
            onnx.save(model(*case), path)
            session = tenon_session(compile_model(path, path.with_suffix(".tenon")))
            for rows in (1, 4):
                x = np.array([1, 3, 5, -2, 2, 1, 5, 0], case[1])[:2 * rows].reshape(-1, 2)
                if case[1] == "float32" and case[0] == "LabelEncoder":
                    x[0, 1] = NAN
                expected = ort_session(path).run(None, {"x": x})[0]
                found = np.asarray(session.run({"x": x})["y"])
                tally.check(f"{name}, {rows} rows", found.dtype == expected.dtype
                            and np.array_equal(found, expected), f"{found.tolist()}")
    tally.finish()


if __name__ == "__main__":
    main()
