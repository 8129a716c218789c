#!/usr/bin/env python3
"""SVMClassifier as skl2onnx writes it, of two classes and more, against ONNX Runtime."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import (CompileError, Tally, compile_model, ort_session,  # noqa: E402
                         tenon_session)

# Sums of a few dozen products in f32; libsvm's rounds end within 0.005 of a solution, and
# both engines take the same rounds.
TOLERANCE = 2e-5


def model(counts, kernel="RBF", transform="NONE", probabilities=False, seed=0):
    rng = np.random.default_rng(seed)
    classes, vectors = len(counts), sum(counts)
    pairs = classes * (classes - 1) // 2

    def numbers(count, scale=1.0):
        return (rng.normal(0, scale, count)).astype(np.float32).tolist()
    attributes = {"kernel_type": kernel, "kernel_params": [0.2, 0.3, 2.0],
                  "coefficients": numbers(vectors * (classes - 1)), "rho": numbers(pairs, 0.3),
                  "support_vectors": numbers(vectors * 4), "vectors_per_class": counts,
                  "classlabels_ints": [3 * i - 2 for i in range(classes)],
                  "post_transform": transform}
    if probabilities:
        attributes.update(prob_a=[-x * x - 0.5 for x in numbers(pairs)], prob_b=numbers(pairs))
    node = helper.make_node("SVMClassifier", ["x"], ["label", "scores"], name="node",
                            domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("label", TensorProto.INT64, None),
         helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)])
    return helper.make_model(graph, ir_version=8, opset_imports=[
        helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 1)])


TWO, THREE, FIVE = [4, 3], [3, 5, 2], [2, 3, 2, 4, 3]
CASES = {
    **{f"two classes, {kernel}": (TWO, kernel) for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID")},
    "two classes, logistic": (TWO, "RBF", "LOGISTIC"),
    "two classes, probabilities": (TWO, "RBF", "NONE", True),
    "three classes": (THREE,),
    "three classes, logistic": (THREE, "LINEAR", "LOGISTIC"),
    "three classes, softmax": (THREE, "LINEAR", "SOFTMAX"),
    "three classes, probabilities": (THREE, "RBF", "NONE", True),
    "five classes, probabilities": (FIVE, "LINEAR", "NONE", True),
}
REFUSED = {
    "two classes, softmax": ((TWO, "RBF", "SOFTMAX"), "NONE or LOGISTIC"),
    "many classes, probabilities": (([1] * 17, "RBF", "NONE", True), "at most 16 classes"),
}


def compare(tally, name, path, session):
    peer, rng = ort_session(path), np.random.default_rng(7)
    for rows in (1, 33):
        x = rng.normal(0, 1, (rows, 4)).astype(np.float32)
        label, scores = peer.run(["label", "scores"], {"x": x})
        found = session.run({"x": x})
        same = np.array_equal(np.asarray(found["label"]), label)
        off = np.abs(np.asarray(found["scores"]) - scores).max()
        tally.check(f"{name}, {rows} rows", same and off <= TOLERANCE,
                    f"labels {'alike' if same else 'differ'}, scores by {off:.1e}")


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="tenon-support-vectors-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        for name, case in CASES.items():
            onnx.save(model(*case), path)
            compare(tally, name, path, tenon_session(compile_model(path, pathlib.Path(
                folder, f"{name}.tenon"))))
        for name, (case, reason) in REFUSED.items():
            onnx.save(model(*case), path)
            try:
                compile_model(path, pathlib.Path(folder, f"{name}.tenon"))
                tally.check(name, False, "compiled")
            except CompileError as error:
                tally.check(name, error.refused and reason in str(error), str(error))
    tally.finish()


if __name__ == "__main__":
    main()
