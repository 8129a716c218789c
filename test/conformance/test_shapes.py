"""Our shape functions against the onnx package's own inference: the oracle.

The static forms that must compile, many in one model for each set of opsets, without
the shapes of their outputs. Where both know a size, it is the same one.
"""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import warnings

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "EndToEnd")]

import onnx  # noqa: E402
from cases import in_form, load_cases  # noqa: E402
from run import read_expected  # noqa: E402
from tenon_tools import BUILD  # noqa: E402


def without_output_shapes(model):
    """The model, whose outputs keep their element types alone."""
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    del model.graph.value_info[:]
    return model


def shapes_by_onnx(model):
    """Output name -> list of sizes, None where unknown; absent without a rank."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return {o.name: [d.dim_value if d.HasField("dim_value") else None
                     for d in o.type.tensor_type.shape.dim]
            for o in inferred.graph.output if o.type.tensor_type.HasField("shape")}


def shapes_by_tenon(model):
    """The same, read off the function that the onnx level ends with."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        onnx.save(model, path)
        done = subprocess.run([BUILD / "bin/tenon-compile", path, "--emit=onnx-mlir"],
                              capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise AssertionError(done.stderr[:2000])
    results = re.search(r"func\.func @main\(.*?\) -> (.*)", done.stdout).group(1)
    found = {}
    for shape, name in re.findall(r'tensor<([^>]*)> \{[^}]*?onnx\.name = "([^"]*)"', results):
        sizes = shape.split("x")[:-1]
        if sizes[:1] != ["*"]:
            found[name] = [None if s == "?" else int(s) for s in sizes]
    return found


def joined(models):
    """One model of all graphs; names get a prefix, p0_ and so on."""
    whole = onnx.ModelProto()
    whole.ir_version = max(m.ir_version for m in models)
    whole.opset_import.extend(models[0].opset_import)
    whole.graph.name = "all"
    for index, model in enumerate(models):
        renamed = onnx.compose.add_prefix(model, f"p{index}_").graph
        for field in ("node", "input", "output", "initializer", "sparse_initializer"):
            getattr(whole.graph, field).extend(getattr(renamed, field))
    return whole


def groups():
    """Sets of opsets -> [(name, model)] of the cases that must pass."""
    cases, found = load_cases(), collections.defaultdict(list)
    for name in sorted(n for n, form in read_expected() if form == "static"):
        model = without_output_shapes(in_form(cases[name], "static")[0])
        if not model.functions:
            key = tuple(sorted((o.domain, o.version) for o in model.opset_import))
            found[key].append((name, model))
    return found


def contradiction(ours, theirs):
    if len(ours) != len(theirs):
        return True
    return any(a is not None and b is not None and a != b for a, b in zip(ours, theirs))


class ShapeFunctions(unittest.TestCase):
    def test_known_sizes_are_those_of_onnx(self):
        compared = 0
        for opsets, cases in groups().items():
            ours = shapes_by_tenon(joined([model for _, model in cases]))
            for index, (name, model) in enumerate(cases):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theirs = shapes_by_onnx(model)
                for output, sizes in theirs.items():
                    found = ours.get(f"p{index}_{output}")
                    if found is None:
                        continue
                    compared += 1
                    with self.subTest(case=name, output=output, opsets=opsets):
                        self.assertFalse(contradiction(found, sizes),
                                         f"expected {sizes}, but got {found}")
        self.assertGreater(compared, 1000)


if __name__ == "__main__":
    unittest.main()
