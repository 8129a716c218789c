#!/usr/bin/env python3
"""GridSample near its image and far outside, in each mode, against ONNX Runtime."""
import itertools
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import Tally, compile_model, ort_session, tenon_session  # noqa: E402

# Of pixels of about 1: sixteen weighted ones, at positions rounded in f32.
TOLERANCE = 1e-5
INPUTS = {"x": ["n", 2, "h", "w"], "grid": ["n", "a", "b", 2]}


def model(**attributes):
    node = helper.make_node("GridSample", list(INPUTS), ["y"], **attributes)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims)
              for n, dims in INPUTS.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph([node], "g", values, [result]), ir_version=9,
                             opset_imports=[helper.make_opsetid("", 20)])


def feeds(reach):
    """Grids reach from -reach to reach; the image is from -1 to 1."""
    generator = np.random.default_rng(1)
    return {"x": generator.standard_normal((2, 2, 7, 5)).astype(np.float32),
            "grid": generator.uniform(-reach, reach, (2, 6, 9, 2)).astype(np.float32)}


def main():
    tally = Tally()
    for mode, padding, aligns in itertools.product(
            ("nearest", "linear", "cubic"), ("zeros", "border", "reflection"), (0, 1)):
        with tempfile.TemporaryDirectory(prefix="tenon-grid-") as folder:
            path = pathlib.Path(folder, "model.onnx")
            onnx.save(model(mode=mode, padding_mode=padding, align_corners=aligns), path)
            session = tenon_session(compile_model(path, path.with_suffix(".tenon")))
            worst = 0.0
            for reach in (1.1, 3.0, 9.0):
                expected = ort_session(path).run(None, feeds(reach))[0]
                found = np.asarray(session.run(feeds(reach))["y"])
                worst = max(worst, float(np.abs(found - expected).max()))
            tally.check(f"{mode}, {padding}, align_corners = {aligns}", worst <= TOLERANCE,
                        f"{worst:.1e}")
    tally.finish()


if __name__ == "__main__":
    main()
