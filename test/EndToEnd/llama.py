#!/usr/bin/env python3
"""Decoders of Llama's shape with random weights against ONNX Runtime in f32.

A prompt and steps after it. In f16 and bf16 the peer has the same rounded weights in f32,
so that what differs is how Tenon rounds between operators.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from tenon_tools import (ROOT, CompileError, Tally, add_device_options, chosen_target,
                         compile_model, ort_session, tenon_session)

# Largest ||ours - peer|| / ||peer||. f16 has 11 bits and bf16 8: some tens of roundings,
# of one or two units in the last place each, in two layers.
TOLERANCE = {"f32": 1e-5, "f16": 4e-3, "bf16": 3e-2}
PROMPT, STEPS = [3, 1, 4, 1, 5, 9, 2, 6], 4


def to_f32(path):
    """The same model with its weights and its signature in f32."""
    model = onnx.load(path)
    floats = (TensorProto.FLOAT16, TensorProto.BFLOAT16)
    for weight in model.graph.initializer:
        if weight.data_type in floats:
            array = numpy_helper.to_array(weight).astype(np.float32)
            weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type in floats:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    onnx.save(model, path.with_suffix(".f32.onnx"))
    return path.with_suffix(".f32.onnx")


class Ours:
    def __init__(self, artifact, kept, device):
        self.session = tenon_session(artifact, device=device)
        self.kept = kept
        self.past = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), i.dtype)
                     for i in self.session.inputs if i.name.startswith("past")}

    def step(self, feeds):
        results = self.session.run({**feeds, **self.past})
        self.past = {n: results[n.replace("past_key_values", "present")] for n in self.past}
        return next(iter(results.values()))


class Peer:
    def __init__(self, path):
        self.session = ort_session(path)
        self.past = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32)
                     for i in self.session.get_inputs() if i.name.startswith("past")}

    def step(self, feeds):
        names = [o.name for o in self.session.get_outputs()]
        results = dict(zip(names, self.session.run(names, {**feeds, **self.past})))
        self.past = {n: results[n.replace("past_key_values", "present")] for n in self.past}
        return results[names[0]]


def worst_step(ours, peer, masked):
    """The largest relative error of a step's logits; infinite for a NaN or a wrong shape."""
    worst, length = 0.0, 0
    for tokens in [PROMPT, *([n] for n in range(10, 10 + STEPS))]:
        total = length + len(tokens)
        feeds = {"input_ids": np.array([tokens], np.int64),
                 "position_ids": np.arange(length, total, dtype=np.int64)[None]}
        if masked:
            feeds["attention_mask"] = np.ones((1, total), np.int64)
        mine = np.asarray(ours.step(feeds)).astype(np.float64)
        theirs = peer.step(feeds).astype(np.float64)
        if mine.shape != theirs.shape:
            return float("inf")
        error = np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)
        worst = max(worst, error if np.isfinite(error) else float("inf"))
        length = total
    return worst


def check(tally, folder, dtype, kept, masked, args):
    label = f"{dtype}, kv={kept}{'' if masked else ', no mask'}"
    command = [sys.executable, ROOT / "tools/dev/models/llama", folder, "--sizes=tiny",
               f"--dtype={dtype}", "--results=logits", *([] if masked else ["--no-mask"])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    path = folder / f"llama-tiny-{dtype}.onnx"
    artifact = folder / f"{dtype}-{kept}-{masked}.tenon"
    try:
        compile_model(path, artifact, f"--kv={kept}", target=args.target)
        worst = worst_step(Ours(artifact, kept, args.device), Peer(to_f32(path)), masked)
    except CompileError as error:
        return tally.check(f"{label} compiles", False, str(error))
    except Exception as error:
        return tally.check(f"{label} runs", False, f"{type(error).__name__}: {error}")
    limit = TOLERANCE[dtype]
    tally.check(f"{label}: logits within {limit:g}", worst <= limit, f"{worst:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="a type: f32, f16 or bf16")
    add_device_options(parser)
    args = parser.parse_args()
    args.target = chosen_target(args)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for dtype in TOLERANCE:
            for kept, masked in (("io", True), ("session", True), ("session", False)):
                if args.filter in ("", dtype):
                    check(tally, pathlib.Path(folder), dtype, kept, masked, args)
    tally.finish()


if __name__ == "__main__":
    main()
