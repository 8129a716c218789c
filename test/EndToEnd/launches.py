#!/usr/bin/env python3
"""Launches of a decoder layer in each form of export, on models of several shapes.

A layer's launches are what the plan of three layers has over that of two. Outputs are
compared with ONNX Runtime, at a prompt and at a step with a cache.
"""
import argparse
import dataclasses
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper

from tenon_tools import BUILD, ROOT, Tally, compile_model, ort_session, tenon_session

sys.path.append(str(ROOT / "tools/dev/models"))
from genai_form import GenaiF32, GenaiInt4  # noqa: E402
from llama_source import TINY, RandomSource  # noqa: E402
from onnx_writer import OnnxWriter  # noqa: E402
from opset24_form import Opset24Form  # noqa: E402
from plain_form import PlainForm  # noqa: E402

# Most launches of a layer with --no-join-launches: two norms; seven products, the gate, sums
# and biases within them; rotary of the query; two appends to caches; attention and, as
# decoding splits the keys, its merge. With packed weights there are five products, the gate,
# and the query's columns apart.
FORMS = {"plain": (PlainForm, 14), "opset24": (Opset24Form, 14), "genai-f32": (GenaiF32, 14),
         "genai-int4": (GenaiInt4, 14)}
# The same joined, on the CPU, and with code for CUDA, where a norm is made by the products
# that read it: Q, K and V are one, rotary and appends another, the gate a third.
JOINED = {"plain": (10, 6), "opset24": (9, 6), "genai-f32": (9, 8), "genai-int4": (12, 11)}
SHAPES = {"as_smollm2": {}, "another_epsilon": {"epsilon": 1e-6},
          "many_heads_for_one": {"heads": 8, "kv_heads": 1, "head_dim": 16},
          "as_many_heads": {"heads": 4, "kv_heads": 4}, "heads_of_80": {"head_dim": 80}}


def make(form, config, folder):
    maker = FORMS[form][0]
    path = folder / f"{form}.onnx"
    writer = OnnxWriter(path, maker.opsets, maker.ir_version, "test")
    maker(writer, RandomSource(config)).build()
    writer.save()
    return path


def add_biases(path):
    """A bias after each product with a layer's weight, as some models have."""
    model = onnx.load(path)
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        weight = next((i for i in model.graph.initializer
                       if node.op_type == "MatMul" and i.name == node.input[1]), None)
        if weight is None:
            continue
        width, name = weight.dims[-1], node.output[0]
        bias = np.random.default_rng(width).normal(0, 0.1, width).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(bias, f"{name}.bias"))
        node.output[0] = f"{name}.product"
        nodes.append(helper.make_node("Add", [f"{name}.product", f"{name}.bias"], [name],
                                      name=f"{node.name}.bias"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data2",
              size_threshold=1024)


def count_launches(path, options):
    result = subprocess.run([BUILD / "bin/tenon-compile", path, "--emit=plan", *options],
                            capture_output=True, text=True, check=True)
    return result.stdout.count("plan.launch")


def worst_difference(path, artifact, config):
    """At a prompt of five tokens and one step after it."""
    peer, ours = ort_session(path), tenon_session(artifact)
    names = [o.name for o in peer.get_outputs()]
    past = {i.name: np.zeros((1, config.kv_heads, 0, config.head_dim), np.float32)
            for i in peer.get_inputs() if i.name.startswith("past")}
    wanted = {i.name for i in peer.get_inputs()}
    worst, length = 0.0, 0
    for tokens in ([3, 1, 4, 1, 5], [9]):
        total = length + len(tokens)
        feeds = {"input_ids": np.array([tokens], np.int64),
                 "attention_mask": np.ones((1, total), np.int64),
                 "position_ids": np.arange(length, total, dtype=np.int64)[None]}
        feeds = {**{n: v for n, v in feeds.items() if n in wanted}, **past}
        theirs, mine = dict(zip(names, peer.run(names, feeds))), ours.run(feeds)
        worst = max(worst, *(float(np.abs(mine[n] - theirs[n]).max()) for n in names))
        past = {n: theirs[n.replace("past_key_values", "present")] for n in past}
        length = total
    return worst


def builds_of(form):
    """name -> (most launches of a layer, options)."""
    return {"a layer": (JOINED[form][0], []),
            "a layer of launches apart": (FORMS[form][1], ["--no-join-launches"]),
            "a layer for cuda": (JOINED[form][1], ["--target=cuda"])}


def check(tally, form, name, config, biases=False):
    counts = {what: [] for what in builds_of(form)}
    for layers in (2, 3):
        sized = dataclasses.replace(config, layers=layers)
        with tempfile.TemporaryDirectory() as folder:
            path = make(form, sized, pathlib.Path(folder))
            if biases:
                add_biases(path)
            for number, (what, (_, options)) in enumerate(builds_of(form).items()):
                counts[what].append(count_launches(path, options))
                if layers == 3 or "--target=cuda" in options:
                    continue
                artifact = compile_model(path, path.with_suffix(f".{number}.tenon"), *options)
                worst = worst_difference(path, artifact, sized)
                tally.check(f"{form} {name}: {what}: outputs within 1e-4", worst <= 1e-4,
                            f"{worst:.1e}")
    for what, (limit, _) in builds_of(form).items():
        launches = counts[what][1] - counts[what][0]
        tally.check(f"{form} {name}: {what} is {limit} launches at most, and one at least",
                    0 < launches <= limit, f"{launches}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="only forms and shapes that hold this")
    parser.add_argument("--full", action="store_true",
                        help="all shapes in all forms, not the first in each and all in one")
    args = parser.parse_args()
    tally = Tally()
    for form in FORMS:
        is_whole = args.full or args.filter or form == "plain"
        for name, changes in SHAPES.items() if is_whole else [*SHAPES.items()][:1]:
            # ONNX Runtime's GroupQueryAttention wants head sizes of multiples of 16.
            if args.filter in f"{form} {name}":
                check(tally, form, name, dataclasses.replace(TINY, **changes))
        if is_whole and form in ("plain", "opset24") and args.filter in f"{form} biases":
            check(tally, form, "biases", TINY, biases=True)
    tally.finish()


if __name__ == "__main__":
    main()
