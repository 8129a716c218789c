#!/usr/bin/env python3
"""SmolLM2 on the CPU against ONNX Runtime and against the machine, in one run.

Decode at a context of 512 and prefill of 512, engines taking turns: the best of N, and
what rounds compare, as the machine's memory may be faster in one round than in the next.
--write puts the numbers into docs/benchmarks/cpu.md between its markers.
"""
import argparse
import datetime
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from tenon_tools import compile_model, ort_session  # noqa: E402
import tenon  # noqa: E402

MODELS, PAGE = ROOT / "models/smollm2", ROOT / "docs/benchmarks/cpu.md"
CONTEXT = 512
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


class Engine:
    """A session with prefill and decode; the cache is fed back as it came."""

    def __init__(self, label, run, inputs, reset=None):
        self.label, self.run, self.reset = label, run, reset
        self.names = {i.name for i in inputs}
        self.empty = {i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32)
                      for i in inputs if i.name.startswith("past_key_values.")}
        self.prefills, self.decodes = [], []  # seconds: of each round, of its steps

    def step(self, ids, past, length):
        total = length + len(ids)
        feeds = {"input_ids": np.array([ids], np.int64),
                 "attention_mask": np.ones((1, total), np.int64),
                 "position_ids": np.arange(length, total, dtype=np.int64)[None]}
        feeds = {n: v for n, v in feeds.items() if n in self.names}
        start = time.perf_counter()
        results = self.run({**feeds, **past})
        spent = time.perf_counter() - start
        return spent, {n: results[n.replace("past_key_values", "present")] for n in past}

    def measure(self, ids, steps):
        """One round: a prefill and some decode steps."""
        if self.reset:
            self.reset()
        spent, past = self.step(ids, self.empty, 0)
        self.prefills.append(spent)
        self.decodes.append([])
        for n in range(steps):
            spent, past = self.step([ids[n]], past, CONTEXT + n)
            self.decodes[-1].append(spent)

    @property
    def prefill_s(self):
        return min(self.prefills)

    @property
    def decode_s(self):
        return min(map(min, self.decodes))

    def faster_than(self, peers):
        """(prefill, decode): the median of the rounds' ratios to the better peer of each, of
        decode by the rounds' medians."""
        def ratio(rounds_of):
            best = map(min, zip(*map(rounds_of, peers)))
            return statistics.median(b / own for b, own in zip(best, rounds_of(self)))
        return (ratio(lambda e: e.prefills),
                ratio(lambda e: list(map(statistics.median, e.decodes))))


def ort_engine(form, threads):
    session = ort_session(MODELS / f"{form}.onnx", threads)
    outputs = [o.name for o in session.get_outputs()]
    return Engine(f"ONNX Runtime, {form}",
                  lambda feeds: dict(zip(outputs, session.run(None, feeds))),
                  session.get_inputs())


def rest():
    """Before an engine's turn: threads of ONNX Runtime spin on for some 50 ms after a run,
    on the processors that the other engine's threads need."""
    time.sleep(0.2)


def probe(threads):
    """(GFLOP/s, GB/s) that this machine gives a small program now."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["clang++-22", "-O3", "-march=native", "-ffp-contract=fast",
                        "-pthread", ROOT / "tools/dev/bench/probe.cpp", "-o",
                        f"{folder}/probe"], check=True)
        text = subprocess.run([f"{folder}/probe", str(threads)], capture_output=True,
                              text=True, check=True).stdout.split()
    return float(text[1]), float(text[4])


def work(form):
    """(bytes a decode step reads, FLOPs of a prefill) by the model's own sizes."""
    model = onnx.load(MODELS / f"{form}.onnx", load_external_data=False)
    past = [i for i in model.graph.input if i.name.startswith("past_key_values.")]
    heads, width = (past[0].type.tensor_type.shape.dim[i].dim_value for i in (1, 3))
    weights = {t.name: list(t.dims) for t in model.graph.initializer}
    embedding = weights.pop("model.embed_tokens.weight")
    matrices = [d for d in weights.values() if len(d) == 2] + [embedding]
    parameters = sum(int(np.prod(d)) for d in matrices)
    cache = len(past) * heads * width * CONTEXT * 4
    # Scores and their product with V: every query head, half by causality.
    attention = len(past) // 2 * 2 * 2 * embedding[1] * CONTEXT * CONTEXT // 2
    return parameters * 4 + cache, 2 * parameters * CONTEXT + attention


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def our_engine(args, kept):
    artifact = MODELS / f"{args.form}.{kept}.{args.target.replace(':', '-')}.tenon"
    compile_model(MODELS / f"{args.form}.onnx", artifact, f"--kv={kept}", target=args.target)
    session = tenon.load(str(artifact)).session(threads=args.threads, capacity=2 * CONTEXT)
    return Engine(f"Tenon, {args.form}, --kv={kept}", session.run, session.inputs,
                  session.reset if kept == "session" else None)


def table(engines, args, bounds):
    flops, bandwidth = bounds
    read, multiplied = work(args.form)
    ours, peers = engines[:2], engines[2:]
    yield f"Machine: {cpu_name()}, {os.cpu_count()} CPUs. {args.threads} threads, best of"
    yield f"{args.rounds} prefills and {args.rounds * args.steps} decode steps, engines taking turns. Peer:"
    yield f"ONNX Runtime {__import__('onnxruntime').__version__} with its defaults. {datetime.date.today()}."
    yield ""
    yield "| engine | prefill 512, tok/s | decode at 512, tok/s |"
    yield "|---|---:|---:|"
    for engine in engines:
        yield f"| {engine.label} | {CONTEXT / engine.prefill_s:.1f} | {1 / engine.decode_s:.2f} |"
    yield ""
    yield (f"Bounds probed in this run: {flops:.0f} GFLOP/s, {bandwidth:.1f} GB/s. Ratios to "
           "the better peer, and to the bounds:")
    yield ""
    for engine in ours:
        prefill = min(e.prefill_s for e in peers) / engine.prefill_s
        decode = min(e.decode_s for e in peers) / engine.decode_s
        by_rounds = engine.faster_than(peers)
        yield (f"- {engine.label}: prefill {prefill:.2f} and "
               f"{multiplied / engine.prefill_s / flops / 1e9:.2f}, decode {decode:.2f} and "
               f"{read / engine.decode_s / bandwidth / 1e9:.2f}; to the better peer by medians "
               f"of rounds {by_rounds[0]:.2f} and {by_rounds[1]:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--form", default="plain")
    parser.add_argument("--target", default="cpu:host")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    peers = ["plain", "genai-f32"]
    forms = ",".join(dict.fromkeys([args.form, *peers]))
    subprocess.run([sys.executable, ROOT / "tools/dev/models/smollm2", "--forms", forms],
                   check=True)
    engines = [our_engine(args, "io"), our_engine(args, "session"),
               *(ort_engine(form, args.threads) for form in peers)]
    ids = np.random.default_rng(0).integers(17, 49152, CONTEXT).tolist()
    for _ in range(args.rounds):
        for engine in engines:
            rest()
            engine.measure(ids, args.steps)
    text = "\n".join(table(engines, args, probe(args.threads)))
    print(text)
    if args.write:
        before, _, behind = PAGE.read_text().partition(BEGIN)
        after = behind.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
