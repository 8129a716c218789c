#!/usr/bin/env python3
"""tenon-debug: agreement, the first node that differs, what cannot be compared."""
import argparse
import contextlib
import importlib.machinery
import importlib.util
import io
import pathlib
import tempfile

import numpy as np
import onnx
import onnx.parser

from tenon_tools import BUILD, Tally

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 4] x) => (float[n, 4] y) { a = Exp(x) b = Neg(a) c = Tanh(b) y = Add(c, x) }"""


# A product with a sum after it, in which launches are merged.
FUSED = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 64] x, float[n, 64] b) => (float[n, 64] y)
    { a = Add(x, b) p = MatMul(a, w) s = Add(p, b) e = Tanh(s) y = Mul(e, x) }"""


def load_tool():
    path = str(BUILD / "bin/tenon-debug")
    loader = importlib.machinery.SourceFileLoader("tenon_debug", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


def run(tool, *arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = tool.main([str(a) for a in arguments])
    return status, said.getvalue().strip()


def check_passes(tally, tool, folder):
    """A fault after a pass of each kind is found, and only there."""
    path = folder / "passes.onnx"
    model = onnx.parser.parse_model(FUSED)
    weight = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, path)
    for name, word in (("onnx-raise-normalization", "wrong under reference too"),
                       ("onnx-simplify", "wrong under reference too"),
                       ("fuse-epilogues", ""), ("pack-weights", "")):
        status, said = run(tool, path, "--against=reference", f"--plant-fault={name}")
        tally.check(f"a fault after {name} is found there",
                    status == 1 and f"first pass: '{name}'" in said and word in said, said)
    keep_all = tool.keep_all
    tool.keep_all = lambda model: (keep_all(model)[0], [])
    status, said = run(tool, path, "--against=reference", "--plant-fault=fuse-epilogues")
    tally.check("a fault that shows only where nothing is kept is found", status == 1
                and "output 'y' of the model as it is" in said
                and "first pass: 'fuse-epilogues'" in said, said)
    tool.keep_all = keep_all


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="unused: it is one claim after another")
    parser.parse_args()
    tally, tool = Tally(), load_tool()
    model = onnx.parser.parse_model(MODEL)
    for node in model.graph.node:
        node.name = f"n_{node.output[0]}"
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name, "model.onnx")
        onnx.save(model, path)
        for oracle in ("ort", "reference"):
            status, said = run(tool, path, f"--against={oracle}", "--dim", "n=5")
            tally.check(f"a right model agrees with {oracle}", (status, said) == (0, "all agree"),
                        said)
        honest = tool.run_oracle

        def tampered(path, feeds, against):
            """Differs from node n_b on, as if n_b were compiled wrong."""
            values = honest(path, feeds, against)
            return {n: v + 1 if n in "bcy" else v for n, v in values.items()}
        tool.run_oracle = tampered
        status, said = run(tool, path, "--against=ort")
        tally.check("the first node that differs is named", status == 1
                    and "first difference: node 'n_b' (Neg)" in said, said)
        tally.check("a fault that no pass brings in is not laid at one's door",
                    "first pass: none" in said, said)
        tool.run_oracle = honest
        np.save(pathlib.Path(name, "x.npy"), np.full((2, 4), np.nan, np.float32))
        status, said = run(tool, path, "--against=ort", f"--input=x={name}/x.npy")
        tally.check("NaN agrees with NaN", status == 0, said)
        status, said = run(tool, path, "--against=ort", f"--input=z={name}/x.npy")
        tally.check("an unknown input is an error", status == 1 and "z" in said, said)
        check_passes(tally, tool, pathlib.Path(name))
    tally.finish()


if __name__ == "__main__":
    main()
