#!/usr/bin/env python3
"""Models of the corpus on the CPU against ONNX Runtime, in one run.

Each argument is MODEL[:DIM=SIZE,...]; engines take turns of three runs, each after a
rest, and the best time of each counts. --processor-time counts the seconds that one thread spends, which other
programs of a busy machine disturb less. --write puts the table into docs/benchmarks/cpu.md.
"""
import argparse
import datetime
import os
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd"), str(ROOT / "tools/dev/bench")]

from cpu import PAGE, cpu_name, rest  # noqa: E402
from sizes import make_inputs  # noqa: E402
from tenon_tools import compile_model, ort_session, tenon_session  # noqa: E402

WORK = pathlib.Path(os.environ.get("TENON_CORPUS_WORK", ROOT / ".deps/corpus"))
MODELS = ("minilm:batch=1,seq=128", "resnet18:batch=1,height=224,width=224",
          "ocr-det-db:batch=1,height=640,width=640")
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"


def measure(text, args):
    """Milliseconds of Tenon and of ONNX Runtime."""
    name, _, dims = text.partition(":")
    artifact = WORK / f"{name}.bench.tenon"
    compile_model(WORK / f"{name}.onnx", artifact)
    peer = ort_session(WORK / f"{name}.onnx", args.threads)
    ours = tenon_session(artifact, args.threads)
    sizes = dict(d.split("=") for d in dims.split(",") if d)
    feeds = make_inputs(peer, {name: int(size) for name, size in sizes.items()})
    clock = time.process_time if args.processor_time else time.perf_counter
    best = [float("inf")] * 2
    for _ in range(args.rounds):
        for i, run in enumerate((ours.run, lambda f: peer.run(None, f))):
            rest()
            for _ in range(3):
                start = clock()
                run(feeds)
                best[i] = min(best[i], clock() - start)
    return [1e3 * seconds for seconds in best]


def table(args):
    kind = "processor time" if args.processor_time else "time"
    yield (f"Machine: {cpu_name()}, {os.cpu_count()} CPUs; {kind}, {args.threads} threads, "
           f"best of {args.rounds}.")
    yield (f"Peer: ONNX Runtime {__import__('onnxruntime').__version__} with its defaults. "
           f"{datetime.date.today()}.")
    yield ""
    yield "| model | Tenon, ms | ONNX Runtime, ms | ratio of speeds |"
    yield "|---|---:|---:|---:|"
    for text in args.models:
        ours, peer = measure(text, args)
        yield f"| {text} | {ours:.2f} | {peer:.2f} | {peer / ours:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.processor_time:
        args.threads = 1  # waiting threads spend processor time too
    text = "\n".join(table(args))
    print(text)
    if args.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
