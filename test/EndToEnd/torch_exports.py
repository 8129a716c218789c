#!/usr/bin/env python3
"""Exports of PyTorch models by both of its exporters, compiled and compared with PyTorch.

Needs torch, timm and transformers. A model that torch itself does not export is said and
not counted.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tenon_tools import (CompileError, Tally, add_device_options, chosen_target, compile_model,
                         default_target, tenon_session)

# Largest error over the largest magnitude: f32 sums in another order.
TOLERANCE = 1e-4
EXPORTERS = ("dynamo", "old")
NAMES = ("resnet50", "mobilenetv3", "convnext", "vit", "bert", "llama", "llama-cached")


def other_batch(inputs, axes):
    """The same inputs with one more row in the batch, so that its size is not built in."""
    import torch
    grown = {}
    for name, value in inputs.items():
        axis = next((a for a, dim in axes[name].items() if dim == "batch"), None)
        grown[name] = value if axis is None else torch.cat(
            [value, value.narrow(axis, 0, 1)], axis)
    return grown


def distance(found, expected):
    """The largest error over the largest magnitude; infinite for a NaN or a wrong shape."""
    found, expected = np.asarray(found), expected.numpy()
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return float("inf")
    worst = np.abs(found.astype(np.float64) - expected).max() / np.abs(expected).max()
    return float(worst) if np.isfinite(worst) else float("inf")


def run(path, module, inputs, axes, target, device):
    """(result, reason) of one export on one device: pass, wrong, refused or error."""
    import torch
    worst = 0.0
    try:
        artifact = compile_model(path, path.with_suffix(f".{device}.tenon"), target=target)
        session = tenon_session(artifact, threads=8, device=device)
        for feeds in (inputs, other_batch(inputs, axes)):
            with torch.no_grad():
                expected = module(*feeds.values())
            expected = expected if isinstance(expected, tuple) else (expected,)
            results = session.run({n: v.numpy() for n, v in feeds.items()})
            worst = max(worst, *(distance(results[info.name], value) for info, value
                                 in zip(session.outputs, expected, strict=True)))
    except CompileError as error:
        return "refused" if error.refused else "error", first_line(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {first_line(error)}"
    return ("pass" if worst <= TOLERANCE else "wrong"), f"{worst:.1e} from torch"


def attempt(name, exporter, devices):
    """{device: (result, reason)}, or {"": ...} where torch has no such export."""
    import torch
    from torch_models import MODELS, export
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, f"{name}.onnx")
        try:
            module, inputs, axes = MODELS[name]()
            export(module, inputs, axes, path, exporter == "dynamo")
        except Exception as error:
            return {"": ("none", f"torch: {type(error).__name__}: {first_line(error)}")}
        return {device: run(path, module, inputs, axes, target, device)
                for device, target in devices.items()}


def first_line(error):
    return (str(error).splitlines() or ["no message"])[0][:300]


def in_child(name, exporter, args):
    """A fault in an exporter or in an artifact is that model's result."""
    command = [sys.executable, __file__, "--attempt", name, exporter, "--device", args.device,
               *(["--target", args.target] if args.target else [])]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=args.limit)
    except subprocess.TimeoutExpired:
        return {args.device: ("crash", f"no end in {args.limit} s")}
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        return {args.device: ("crash", f"exit code {child.returncode}: {last[:300]}")}
    return json.loads(child.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of MODEL-EXPORTER")
    parser.add_argument("--limit", type=int, default=150, help="seconds a model")
    parser.add_argument("--jobs", type=int, default=4, help="models at a time")
    parser.add_argument("--attempt", nargs=2, help=argparse.SUPPRESS)
    add_device_options(parser)
    args = parser.parse_args()
    missing = [n for n in ("torch", "timm", "transformers") if not importlib.util.find_spec(n)]
    if missing:
        print(f"skipped: no {', '.join(missing)} here")
        print("0 passed, 0 failed")
        return
    if args.attempt:
        # The CPU's code is compared in any case.
        print(json.dumps(attempt(*args.attempt, {"cpu": default_target("cpu"),
                                                 args.device: chosen_target(args)})))
        return
    tally = Tally()
    chosen = [(name, exporter) for name in NAMES for exporter in EXPORTERS
              if args.filter in f"{name}-{exporter}"]
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)  # its work is other processes
    for (name, exporter), found in zip(chosen, pool.map(lambda c: in_child(*c, args), chosen)):
        for device, (result, reason) in found.items():
            label = f"{name}, {exporter} exporter"
            if result == "none":
                print(f"none: {label}: {reason}", flush=True)
            else:
                tally.check(f"{label}, {device}", result == "pass", f"{result}, {reason}")
    tally.finish()


if __name__ == "__main__":
    main()
