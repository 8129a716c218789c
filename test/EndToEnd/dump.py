#!/usr/bin/env python3
"""tenon-run --dump writes the results of ONNX nodes, or says where they went;
--profile names every launch by its nodes."""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import onnx
import onnx.parser

from tenon_tools import BUILD, Tally, compile_model

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 8] x) => (float[n, 4] y)
    <float[8, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
                      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
    { p = MatMul(x, w) s = Softmax<axis = -1>(p) e = Exp(s) y = Neg(e) }"""


# A branch, and a loop that gathers a row a round, so that a size is known at its end.
FLOW = """<ir_version: 8, opset_import: ["" : 17]>
    g (float[n, 4] x, int64 times, bool which) => (float[n, 4] y, float[m, 4] z)
    <int64[1] first = {0}> {
      [branch] c = If(which) <
          then_branch = t () => (float[n, 4] u) { [in_then] u = Neg(x) },
          else_branch = e () => (float[n, 4] v) { [in_else] v = Exp(x) }>
      on = Constant<value = bool {1}>()
      [loop] p, q = Loop(times, on, c) <
          body = b (int64 i, bool o, float[n, 4] v) => (bool d, float[n, 4] w, float[4] s) {
            d = Identity(o) [round] w = Sin(v) s = ReduceSum<keepdims = 0>(w, first) }>
      y = Neg(p)
      z = Neg(q)
    }"""


def check_flow(tally, folder):
    """Results of If and Loop are theirs, whatever computed them."""
    onnx.save(onnx.parser.parse_model(FLOW), folder / "flow.onnx")
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    np.save(folder / "x.npy", x)
    np.save(folder / "times.npy", np.array(3, np.int64))
    np.save(folder / "which.npy", np.array(False))
    artifact = compile_model(folder / "flow.onnx", folder / "flow.tenon")
    inputs = [f"--input={name}={folder}/{name}.npy" for name in ("times", "which")]
    done = run(artifact, folder, *inputs, "--dump=branch,loop")
    tally.check("a model with control flow is dumped", done.returncode == 0,
                done.stderr.strip())
    dumped = {path.name: np.load(path) for path in (folder / "out/dump").glob("*.npy")}
    outputs = {name: np.load(folder / f"out/{name}.npy") for name in "yz"}
    tally.check("a branch's result is that of the side that was taken",
                np.allclose(dumped["branch.npy"], np.exp(x), atol=1e-5))
    tally.check("a loop's results are its last ones",
                np.array_equal(-dumped["loop.npy"], outputs["y"])
                and np.array_equal(-dumped["loop.1.npy"], outputs["z"]))
    done = run(artifact, folder, *inputs, "--dump=in_then")
    tally.check("a node of a branch that was not taken has no value", done.returncode == 1
                and "its branch was not taken" in done.stderr, done.stderr.strip())


def run(artifact, folder, *options):
    return subprocess.run([BUILD / "bin/tenon-run", artifact, f"--input=x={folder}/x.npy",
                           "--output-dir", folder / "out", *options],
                          capture_output=True, text=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="unused: it is one claim after another")
    parser.parse_args()
    tally = Tally()
    model = onnx.parser.parse_model(MODEL)
    for node in model.graph.node:
        node.name = f"layer/{node.op_type}"
    weight = onnx.numpy_helper.to_array(model.graph.initializer[0])
    x = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        onnx.save(model, folder / "model.onnx")
        np.save(folder / "x.npy", x)
        artifact = compile_model(folder / "model.onnx", folder / "model.tenon")
        done = run(artifact, folder, "--dump=layer/MatMul", f"--profile={folder}/trace.json")
        found = np.load(folder / "out/dump/layer_MatMul.npy") if not done.returncode else 0
        tally.check("a node's result is written", np.allclose(found, x @ weight, atol=1e-4),
                    done.stderr.strip())
        events = json.loads((folder / "trace.json").read_text())["traceEvents"]
        nodes = {part for event in events for part in event["name"].split("+")}
        tally.check("the trace names all nodes",
                    nodes == {n.name for n in model.graph.node}, str(sorted(nodes)))
        done = run(artifact, folder, "--dump=layer/Exp")
        tally.check("a fused node's kernel is named", done.returncode == 1
                    and "fused into kernel" in done.stderr and "layer/Neg" in done.stderr,
                    done.stderr.strip())
        done = run(artifact, folder, "--dump=layer/Other")
        tally.check("an unknown node is an error", done.returncode == 1
                    and "'layer/Other'" in done.stderr, done.stderr.strip())
        check_flow(tally, folder)
    tally.finish()


if __name__ == "__main__":
    main()
