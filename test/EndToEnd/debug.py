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
        tool.run_oracle = honest
        np.save(pathlib.Path(name, "x.npy"), np.full((2, 4), np.nan, np.float32))
        status, said = run(tool, path, "--against=ort", f"--input=x={name}/x.npy")
        tally.check("NaN agrees with NaN", status == 0, said)
        status, said = run(tool, path, "--against=ort", f"--input=z={name}/x.npy")
        tally.check("an unknown input is an error", status == 1 and "z" in said, said)
    tally.finish()


if __name__ == "__main__":
    main()
