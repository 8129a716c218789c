#!/usr/bin/env python3
"""Every model of the corpus on the CPU against ONNX Runtime, at both of its sizes, in one run.

One artifact for the machine's processor serves both. Engines take turns, each after a rest;
lower quartiles, as other programs use the machine too. --write puts the table into
docs/benchmarks/corpus.md. Names choose models.
"""
import argparse
import csv
import datetime
import json
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd"), str(ROOT / "tools/dev/bench")]

from corpus import CORPUS, WORK, prepare  # noqa: E402
from cpu import cpu_name  # noqa: E402
from tenon_tools import CompileError, compile_model, ort_session, tenon_session  # noqa: E402

PAGE = ROOT / "docs/benchmarks/corpus.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
REST = 0.1  # seconds: ONNX Runtime's threads spin for some 50 ms after a run


def quartile(times):
    return sorted(times)[len(times) // 4]


def measure(ours, peer, rounds):
    """Milliseconds of Tenon and of ONNX Runtime: lower quartiles."""
    times = [[], []]
    for _ in range(rounds):
        for i, run in enumerate((ours, peer)):
            time.sleep(REST)
            for _ in range(3):
                start = time.perf_counter()
                run()
                times[i].append(1e3 * (time.perf_counter() - start))
    return [quartile(t) for t in times]


def rows(args):
    sys.path.insert(0, str(CORPUS))
    from model_inputs import inputs
    table = json.loads((CORPUS / "inputs.json").read_text())
    manifest = csv.DictReader(open(CORPUS / "manifest.tsv"), delimiter="\t")
    for row in manifest:
        name = row["id"]
        if args.models and name not in args.models:
            continue
        path = prepare(row, with_answers=False)
        artifact = WORK / f"{name}.speed.tenon"
        try:
            compile_model(path, artifact, target="cpu:host")
        except CompileError:
            yield name, None
            continue
        ours, peer = tenon_session(artifact, args.threads, device="cpu"), ort_session(path, args.threads)
        found = []
        for size in "AB":
            feeds = inputs(str(path), name, table, size)
            found.append(measure(lambda: ours.run(feeds), lambda: peer.run(None, feeds), args.rounds))
        yield name, found


def page(args):
    import onnxruntime
    yield f"Machine: {cpu_name()}, {os.cpu_count()} CPUs; {args.threads} threads, lower quartiles of"
    yield f"{3 * args.rounds} runs, engines taking turns. Peer: ONNX Runtime {onnxruntime.__version__} with its"
    yield f"defaults. {datetime.date.today()}."
    yield ""
    yield "| model | Tenon, ms (A, B) | ONNX Runtime, ms (A, B) | ratio of speeds (A, B) |"
    yield "|---|---:|---:|---:|"
    for name, found in rows(args):
        if found is None:
            yield f"| {name} | refused | | |"
            continue
        (a, peer_a), (b, peer_b) = found
        yield (f"| {name} | {a:.3f}, {b:.3f} | {peer_a:.3f}, {peer_b:.3f} "
               f"| {peer_a / a:.2f}, {peer_b / b:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    lines = []
    for line in page(args):
        print(line, flush=True)
        lines.append(line)
    if args.write:
        before, rest = PAGE.read_text().split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}")


if __name__ == "__main__":
    main()
