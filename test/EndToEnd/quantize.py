#!/usr/bin/env python3
"""Weights of few bits: read from QDQ models as other tools write them, and made by
quantize-weights; weights and arithmetic of 16 bits, made by convert-float.

The oracle is ONNX Runtime without optimizations: with them it may quantize what is
multiplied too (MatMulNBits at accuracy level 4).
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

from tenon_tools import (BUILD, DEVICE, ROOT, CompileError, Tally, compile_model, default_target,
                         tenon_session)

sys.path.append(str(ROOT / "tools/dev/models"))
from llama_source import TINY, RandomSource  # noqa: E402
from onnx_writer import OnnxWriter  # noqa: E402
from opset24_form import Opset24Form  # noqa: E402
from plain_form import PlainForm  # noqa: E402

# Sums are f32 in another order: of the largest result, this much may differ.
TOLERANCE, F16_TOLERANCE = 2e-5, 4e-3
TYPES = {"int4": (TensorProto.INT4, 4, True), "uint4": (TensorProto.UINT4, 4, False),
         "int8": (TensorProto.INT8, 8, True), "uint8": (TensorProto.UINT8, 8, False)}


def oracle(path, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options,
                                           providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds)))


def difference(ours, theirs):
    """The largest, as a part of the largest result."""
    a, b = (np.asarray(x, np.float64) for x in (ours, theirs))
    if a.shape != b.shape or not np.isfinite(a).all():
        return float("inf")
    return float(np.abs(a - b).max() / np.abs(b).max())


class Weight:
    """A matrix [k, n], or [n, k] if `turned`, as initializers of a DequantizeLinear."""

    def __init__(self, kind, k, n, block=0, zeros=True, turned=False, dtype=np.float32,
                 shared=False):
        element, bits, signed = TYPES[kind]
        random = np.random.default_rng(k + n + bits)
        low = -(1 << (bits - 1)) if signed else 0
        axis = 1 if turned else 0
        shape, dims = ([n, k] if turned else [k, n]), [n]
        if block:
            dims = list(shape)
            dims[axis] = -(-k // block)
        if shared:
            dims = []
        draw = lambda s: random.integers(low, low + (1 << bits), s)  # noqa: E731
        scales = random.normal(0, 0.1, dims).astype(dtype)
        self.initializers = [
            helper.make_tensor("q", element, shape, draw(shape).flatten()),
            onnx.numpy_helper.from_array(np.array(scales, dtype), "s")]
        if zeros:
            self.initializers.append(
                helper.make_tensor("z", element, dims, np.ravel(draw(dims))))
        attributes = {"axis": axis if block else 1 - axis}
        if block:
            attributes["block_size"] = block
        self.node = helper.make_node("DequantizeLinear", ["q", "s", "z"][:2 + zeros], ["w"],
                                     **attributes)
        self.k, self.n, self.turned, self.dtype = k, n, turned, dtype

    def save(self, path, nodes, inputs, extra=()):
        graph = helper.make_graph([self.node, *nodes], "g", inputs,
                                  [helper.make_tensor_value_info("y", onnx.helper.
                                   np_dtype_to_tensor_dtype(np.dtype(self.dtype)), None)],
                                  [*self.initializers, *extra])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)],
                                  ir_version=10)
        onnx.save(model, path)


def product(path, weight, gemm=False):
    """y = x times the weight, for 1 row and for 7; gives the feeds."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(weight.dtype))
    x = helper.make_tensor_value_info("x", kind, ["rows", weight.k])
    random = np.random.default_rng(0)
    extra = []
    if gemm:
        bias = random.normal(0, 1, weight.n).astype(weight.dtype)
        extra = [onnx.numpy_helper.from_array(bias, "c")]
        nodes = [helper.make_node("Gemm", ["x", "w", "c"], ["y"], alpha=0.5,
                                  transB=int(weight.turned))]
    elif weight.turned:
        nodes = [helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
                 helper.make_node("MatMul", ["x", "t"], ["y"])]
    else:
        nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weight.save(path, nodes, [x], extra)
    return [{"x": random.normal(0, 1, (rows, weight.k)).astype(weight.dtype)}
            for rows in (1, 7)]


def lookup(path, weight):
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["count"])
    weight.save(path, [helper.make_node("Gather", ["w", "ids"], ["y"])], [ids])
    return [{"ids": np.array([0, 5, -1, 3], np.int64)}]


def elementwise(path, weight):
    """A reader that no kernel has for integers: they are decoded."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(weight.dtype))
    x = helper.make_tensor_value_info("x", kind, [weight.k, weight.n])
    weight.save(path, [helper.make_node("Add", ["x", "w"], ["y"])], [x])
    random = np.random.default_rng(0)
    return [{"x": random.normal(0, 1, (weight.k, weight.n)).astype(weight.dtype)}]


def qdq_models():
    """Name -> (maker of a model and its feeds, weight)."""
    for kind in TYPES:
        yield f"{kind} blocks", (product, Weight(kind, 96, 40, 32))
        yield f"{kind} blocks, no zero point", (product, Weight(kind, 96, 40, 16, zeros=False))
        yield f"{kind} blocks, transposed", (product, Weight(kind, 64, 33, 32, turned=True))
        yield f"{kind} columns", (product, Weight(kind, 100, 37))
        yield f"{kind} columns, transposed", (product, Weight(kind, 50, 37, turned=True))
        yield f"{kind} one scale", (product, Weight(kind, 96, 40, shared=True))
        yield f"{kind} blocks of 8", (product, Weight(kind, 64, 33, 8))
        yield f"{kind} rows by index", (lookup, Weight(kind, 48, 19, 16, turned=True))
        yield f"{kind} columns by index", (lookup, Weight(kind, 48, 19, 16))
        yield f"{kind} added", (elementwise, Weight(kind, 48, 18, 16))
        yield f"{kind} one scale, added", (elementwise, Weight(kind, 5, 3, shared=True))
        gemm = lambda path, weight: product(path, weight, gemm=True)  # noqa: E731
        yield f"{kind} Gemm", (gemm, Weight(kind, 96, 40, 32))
        yield f"{kind} Gemm, transposed", (gemm, Weight(kind, 96, 40, 48, turned=True))
    yield "int4 blocks, f16", (product, Weight("int4", 96, 40, 32, dtype=np.float16))
    yield "uint8 columns, f16", (product, Weight("uint8", 96, 40, dtype=np.float16))


def check_qdq(tally, folder):
    for name, (make, weight) in qdq_models():
        path = folder / "qdq.onnx"
        artifact = folder / "qdq.tenon"
        artifact.unlink(missing_ok=True)
        all_feeds = make(path, weight)
        try:
            compile_model(path, artifact)
        except CompileError as error:
            tally.check(f"QDQ {name}", False, str(error))
            continue
        session = tenon_session(artifact)
        worst = max(difference(session.run(feeds)["y"], oracle(path, feeds)["y"])
                    for feeds in all_feeds)
        limit = F16_TOLERANCE if weight.dtype == np.float16 else TOLERANCE
        tally.check(f"QDQ {name}: equal to ONNX Runtime", worst <= limit, f"{worst:.1e}")


def check_replaced(tally, folder):
    """Integers replaced under their ONNX name are laid out anew."""
    import tenon
    weight = Weight("int8", 96, 40, 32)
    feeds = product(folder / "old.onnx", weight)[1]
    artifact = tenon.load(str(compile_model(folder / "old.onnx", folder / "old.tenon")))
    other = np.random.default_rng(9).integers(-128, 128, (96, 40), np.int8)
    artifact.replace_weight("q", other)
    ours = artifact.session(device=DEVICE).run(feeds)["y"]
    weight.initializers[0] = onnx.numpy_helper.from_array(other, "q")
    product(folder / "new.onnx", weight)
    worst = difference(ours, oracle(folder / "new.onnx", feeds)["y"])
    tally.check("replaced integers are used", worst <= TOLERANCE, f"{worst:.1e}")


def feeds_for(path):
    """A prompt of five tokens and an empty cache."""
    model = onnx.load(path, load_external_data=False)
    tokens = [3, 1, 4, 1, 5]
    feeds = {"input_ids": np.array([tokens], np.int64),
             "attention_mask": np.ones((1, len(tokens)), np.int64),
             "position_ids": np.arange(len(tokens), dtype=np.int64)[None]}
    feeds |= {i.name: np.zeros((1, TINY.kv_heads, 0, TINY.head_dim), np.float32)
              for i in model.graph.input if i.name.startswith("past")}
    return feeds


def run_compiler(*arguments):
    subprocess.run([BUILD / "bin/tenon-compile", *arguments], check=True)


def weight_bytes(artifact):
    result = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json"],
                            capture_output=True, text=True, check=True)
    return sum(w["bytes"] for w in json.loads(result.stdout)["weights"])


PASSES = ("bits=4 group=32", "bits=4 group=16 symmetric=false", "bits=8 group=32",
          "bits=8 group=-1 symmetric=false")


def check_pass(tally, form, maker, folder):
    path = folder / f"{form}.onnx"
    writer = OnnxWriter(path, maker.opsets, maker.ir_version, "test")
    maker(writer, RandomSource(TINY)).build()
    writer.save()
    for options in PASSES:
        name, passes = f"{form} {options}", f"--passes=quantize-weights{{{options}}}"
        small = folder / "small.onnx"
        run_compiler(path, "-o", small, passes, "--emit=onnx")
        onnx.checker.check_model(str(small))
        feeds = feeds_for(small)
        expected = oracle(small, feeds)
        for made, source, extra in (("artifact", path, [passes]), ("export", small, [])):
            artifact = folder / f"{made}.tenon"
            run_compiler(source, "-o", artifact, f"--target={default_target()}", *extra)
            results = tenon_session(artifact).run(feeds)
            worst = max(difference(results[n], expected[n]) for n in expected)
            tally.check(f"{name}: {made} equal to ONNX Runtime on the export",
                        worst <= TOLERANCE, f"{worst:.1e}")
        # Small tensors are in the model itself, and both align what they hold.
        exported = sum((folder / f).stat().st_size for f in ("small.onnx", "small.onnx.data"))
        size = weight_bytes(folder / "artifact.tenon")
        tally.check(f"{name}: the artifact's weights are no larger than the export's",
                    size <= exported, f"{size} and {exported} bytes")


# Against the export run operator by operator, which rounds what kernels keep in f32; and
# how much less exact than f32 the result is, both ways: else nothing was rounded.
HALVES = {"f16": (4e-3, 1e-5, 4e-3), "bf16": (3e-2, 1e-4, 3e-2)}


def reference(path, feeds):
    """ONNX's own evaluator: ONNX Runtime has no bf16 on the CPU."""
    from onnx.reference import ReferenceEvaluator
    session = ReferenceEvaluator(str(path))
    return dict(zip(session.output_names, session.run(None, feeds)))


def check_halves(tally, form, maker, folder):
    path = folder / f"{form}.onnx"
    writer = OnnxWriter(path, maker.opsets, maker.ir_version, "test")
    maker(writer, RandomSource(TINY)).build()
    writer.save()
    feeds = feeds_for(path)
    exact, whole = oracle(path, feeds), folder / "whole.tenon"
    run_compiler(path, "-o", whole, f"--target={default_target()}")
    for kind, (limit, least, most) in HALVES.items():
        name, passes = f"{form} {kind}", f"--passes=convert-float{{to={kind}}}"
        small, artifact = folder / "half.onnx", folder / "half.tenon"
        run_compiler(path, "-o", small, passes, "--emit=onnx")
        onnx.checker.check_model(str(small))
        expected = (oracle if kind == "f16" else reference)(small, feeds)
        run_compiler(path, "-o", artifact, f"--target={default_target()}", passes)
        results = tenon_session(artifact).run(feeds)
        worst = max(difference(results[n], expected[n]) for n in expected)
        tally.check(f"{name}: equal to the export", worst <= limit, f"{worst:.1e}")
        cost = max(difference(results[n], exact[n]) for n in exact)
        tally.check(f"{name}: as far from f32 as rounding explains", least <= cost <= most,
                    f"{cost:.1e}")
        size, before = weight_bytes(artifact), weight_bytes(whole)
        tally.check(f"{name}: half the bytes", size <= 0.51 * before, f"{size} of {before}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a check's name")
    args = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for check in (check_qdq, check_replaced):
            if args.filter in check.__name__:
                check(tally, folder)
        for form, maker in (("plain", PlainForm), ("opset24", Opset24Form)):
            if args.filter in f"check_pass {form}":
                check_pass(tally, form, maker, folder)
            if args.filter in f"check_halves {form}":
                check_halves(tally, form, maker, folder)
    tally.finish()


if __name__ == "__main__":
    main()
