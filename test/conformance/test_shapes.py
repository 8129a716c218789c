"""Our shape functions against the onnx package's own inference: the oracle.

The static and the dynamic forms that must compile, many in one model for each set of opsets,
without the shapes of their outputs. Where both know a size, it is the same one; what is an
expression over the inputs' symbols is compared at the case's own sizes, also with those of
its outputs.
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
    """Output name -> list of sizes or their symbols; absent without a rank."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return {o.name: [d.dim_value if d.HasField("dim_value") else d.dim_param
                     for d in o.type.tensor_type.shape.dim]
            for o in inferred.graph.output if o.type.tensor_type.HasField("shape")}


class Size(int):
    """What an affine map computes with: @ stands for ceildiv, which binds as * does."""

    def __matmul__(self, other):
        return Size(-(-int(self) // int(other)))

    for name in ("add", "sub", "mul", "floordiv", "mod", "neg"):
        exec(f"def __{name}__(self, *other): return Size(int.__{name}__(self, *other))")


def evaluate(text, aliases, symbols):
    """The results of an affine map, `()[s0] -> (s0, 4)`, or of the alias of one; None for those
    over symbols without a size."""
    results = aliases.get(text, text).partition("-> (")[2].removesuffix(">").removesuffix(")")
    for word, operator in (("floordiv", "//"), ("ceildiv", "@"), ("mod", "%")):
        results = results.replace(word, operator)
    found = []
    for result in filter(None, results.split(", ")):  # an affine expression has no commas
        used = [symbols[int(s)] for s in re.findall(r"s(\d+)", result)]
        code = re.sub(r"(?<![\ws])(\d+)", r"Size(\1)", result)
        code = re.sub(r"s(\d+)", r"S[\1]", code)
        found.append(None if None in used else eval(code, {"Size": Size, "S": symbols}))
    return found


def compiled(model):
    """The onnx level's text."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/model.onnx"
        onnx.save(model, path)
        done = subprocess.run([BUILD / "bin/tenon-compile", path, "--emit=onnx-mlir"],
                              capture_output=True, text=True, errors="replace")
    if done.returncode:
        raise AssertionError(done.stderr[:2000])
    return done.stdout


VALUE = re.compile(r'tensor<([^>]*)> \{[^}]*?onnx\.name = "([^"]*)"(?:, tenon\.dims = '
                   r'(#map\d*|affine_map<.*?\)>))?')


def shapes_by_tenon(model, sizes_of):
    """Output name -> sizes, None where unknown; absent without a rank. `sizes_of`: of inputs'
    symbols."""
    text = compiled(model)
    aliases = dict(re.findall(r"^(#map\d*) = (affine_map<.*>)$", text, re.M))
    results, rest = re.search(r"func\.func @main\(.*?\) -> (.*?) attributes \{(.*)\} \{$", text,
                              re.M).groups()
    names = re.findall(r'"([^"]*)"', re.search(r"tenon\.symbols = \[(.*?)\]", rest).group(1))
    symbols = [Size(sizes_of[n]) if n in sizes_of else None for n in names]
    found = {}
    for shape, name, dims in VALUE.findall(results):
        if dims:
            found[name] = evaluate(dims, aliases, symbols)
        elif not shape.startswith("*"):
            found[name] = [None if s == "?" else int(s) for s in shape.split("x")[:-1]]
    return found


def joined(models):
    """One model of all graphs; names get a prefix, p0_ and so on."""
    whole = onnx.ModelProto()
    whole.ir_version = max(m.ir_version for m in models)
    whole.opset_import.extend(models[0].opset_import)
    whole.graph.name = "all"
    for index, model in enumerate(models):
        renamed = onnx.compose.add_prefix(model, f"p{index}_").graph
        for value in renamed.input:
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param:
                    dim.dim_param = f"p{index}_{dim.dim_param}"
        for field in ("node", "input", "output", "initializer", "sparse_initializer"):
            getattr(whole.graph, field).extend(getattr(renamed, field))
    return whole


def groups(form):
    """Sets of opsets -> [(name, model, symbol -> size, output -> sizes)] of the cases that must
    pass."""
    cases, found = load_cases(), collections.defaultdict(list)
    for name in sorted(n for n, of in read_expected() if of == form):
        model, feeds, outputs = in_form(cases[name], form)
        if model.functions:
            continue
        sizes = {dim.dim_param: size for value in model.graph.input
                 if feeds.get(value.name) is not None
                 for dim, size in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape)
                 if dim.dim_param}
        key = tuple(sorted((o.domain, o.version) for o in model.opset_import))
        shapes = {n: list(value.shape) for n, value in outputs.items() if value is not None}
        found[key].append((name, without_output_shapes(model), sizes, shapes))
    return found


def contradiction(ours, theirs):
    if len(ours) != len(theirs):
        return True
    return any(a is not None and b is not None and a != b for a, b in zip(ours, theirs))


class ShapeFunctions(unittest.TestCase):
    def compare(self, form):
        """How many sizes both we and onnx know."""
        compared = 0
        for opsets, cases in groups(form).items():
            sizes_of = {f"p{index}_{symbol}": size for index, (_, _, sizes, _) in enumerate(cases)
                        for symbol, size in sizes.items()}
            ours = shapes_by_tenon(joined([model for _, model, _, _ in cases]), sizes_of)
            for index, (name, model, sizes, truth) in enumerate(cases):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    theirs = shapes_by_onnx(model)
                for output, actual in truth.items():
                    found = ours.get(f"p{index}_{output}")
                    if found is None:
                        continue
                    # onnx 1.23.2 calls a size of Attention that is a sum of symbols 0.
                    known = [sizes.get(s) if isinstance(s, str) else s or None
                             for s in theirs.get(output, [None] * len(found))]
                    compared += sum(None not in pair for pair in zip(found, known))
                    for expected in (known, actual):
                        with self.subTest(case=name, output=output, opsets=opsets):
                            self.assertFalse(contradiction(found, expected),
                                             f"expected {expected}, but got {found}")
        return compared

    def test_known_sizes_are_those_of_onnx(self):
        self.assertGreater(self.compare("static"), 4000)

    def test_expressions_of_symbols_are_the_sizes_of_onnx_and_of_the_outputs(self):
        self.assertGreater(self.compare("dynamic"), 2500)


if __name__ == "__main__":
    unittest.main()
