#!/usr/bin/env python3
"""One artifact at ten sizes, 1 and primes among them, against artifacts compiled for each
size alone (--dim): time in turns, the least of N runs, and results against ONNX Runtime.
--write puts the table into docs/benchmarks/sizes.md.
"""
import argparse
import datetime
import os
import pathlib
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd"), str(pathlib.Path(__file__).parent)]

import numpy as np  # noqa: E402
from cpu import cpu_name, rest  # noqa: E402
from tenon_tools import compile_model, ort_session, tenon_session  # noqa: E402

CORPUS = pathlib.Path(os.environ.get("TENON_CORPUS_WORK", ROOT / ".deps/corpus"))
PAGE = ROOT / "docs/benchmarks/sizes.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
# model -> ten sizes.
IMAGES = [(1, 1), (17, 19), (32, 32), (37, 53), (64, 96), (101, 103), (128, 64), (127, 131),
          (160, 224), (193, 97)]
TEXTS = [(1, 1), (1, 2), (1, 7), (1, 13), (2, 31), (1, 64), (3, 29), (1, 97), (5, 17), (1, 127)]
MODELS = {
    "minilm": [{"batch": b, "seq": s} for b, s in TEXTS],
    "t5-encoder": [{"batch": b, "seq": s} for b, s in TEXTS],
    "resnet18": [{"batch": 1, "height": 32 + h, "width": 32 + w} for h, w in IMAGES],
    "ocr-det-db": [{"batch": 1, "height": 32 * (1 + h // 32), "width": 32 * (1 + w // 32)}
                    for h, w in IMAGES],
    "efficientnet-b0": [{"batch": 1, "height": 32 + h, "width": 32 + w} for h, w in IMAGES],
}


def make_inputs(session, dims):
    generator = np.random.default_rng(0)
    feeds = {}
    for value in session.get_inputs():
        shape = [dims.get(d, 1) if isinstance(d, str) else d for d in value.shape]
        if "int" in value.type:
            top = 2 if "mask" in value.name or "type" in value.name else 400
            ids = generator.integers(0, top, shape)
            feeds[value.name] = np.ones_like(ids) if "mask" in value.name else ids
        else:
            feeds[value.name] = generator.standard_normal(shape).astype(np.float32)
    return feeds


def least_times(runs, rounds):
    """The least seconds of each function, called in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(rounds):
        for index, run in enumerate(runs):
            start = time.perf_counter()
            run()
            best[index] = min(best[index], time.perf_counter() - start)
    return best


def distance(a, b):
    """Largest difference over b's largest magnitude; infinite for other shapes or NaN."""
    if a.shape != b.shape:
        return float("inf")
    if not b.size:
        return 0.0
    error = float(np.abs(a - b).max()) / max(float(np.abs(b).max()), 1e-6)
    return error if np.isfinite(error) else float("inf")


def unoptimized(path):
    """ONNX Runtime without its rewrites: how far it is from itself is its noise."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options,
                                        providers=["CPUExecutionProvider"])


def agrees(ours, peer, plain, names):
    """Within 1e-4, or four times the peer's own noise, as the corpus asks."""
    return all(distance(np.asarray(ours[name]), a) <= max(1e-4, 4 * distance(b, a))
               for name, a, b in zip(names, peer, plain))


def size_rows(names, args):
    yield "| model | sizes | right | generic over fixed: median, worst |"
    yield "|---|---:|---:|---:|"
    for name in names:
        path = CORPUS / f"{name}.onnx"
        peer, plain = ort_session(path, args.threads), unoptimized(path)
        outputs = [o.name for o in peer.get_outputs()]
        generic = tenon_session(compile_model(path, CORPUS / f"{name}.tenon"), args.threads)
        ratios, right = [], 0
        for dims in MODELS[name]:
            with tempfile.TemporaryDirectory() as folder:
                options = [f"--dim={n}={s}" for n, s in dims.items()]
                fixed = tenon_session(compile_model(path, pathlib.Path(folder, "m.tenon"),
                                                    *options), args.threads)
                feeds = make_inputs(peer, dims)
                right += agrees(generic.run(feeds), peer.run(None, feeds),
                                plain.run(None, feeds), outputs)
                rest()
                a, b = least_times([lambda: generic.run(feeds), lambda: fixed.run(feeds)],
                                   args.rounds)
                ratios.append(a / b)
        yield (f"| {name} | {len(ratios)} | {right} | {np.median(ratios):.2f}, "
               f"{max(ratios):.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = [f"Machine: {cpu_name()}, {os.cpu_count()} CPUs. {args.threads} threads, least of "
             f"{args.rounds} runs, engines taking turns. Peer: ONNX Runtime "
             f"{__import__('onnxruntime').__version__}. {datetime.date.today()}.", ""]
    lines += size_rows(args.models, args)
    text = "\n".join(lines)
    print(text)
    if args.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
