#!/usr/bin/env python3
"""Whole models of a corpus against ONNX Runtime, both sizes from one artifact.

The corpus (manifest, skeletons, inputs, oracle, tolerance rule) is the folder
$TENON_CORPUS, by default ../shared/corpus beside this tree.
"""
import argparse
import concurrent.futures
import csv
import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from tenon_tools import (ROOT, CompileError, Tally, add_device_options, chosen_target,
                         compile_model, ort_session, tenon_session)

CORPUS = pathlib.Path(os.environ.get("TENON_CORPUS", ROOT.parent / "shared/corpus"))
WORK = pathlib.Path(os.environ.get("TENON_CORPUS_WORK", ROOT / ".deps/corpus"))
# These must run; the others may be refused by name, but not be wrong or crash.
REQUIRED = """minilm resnet18 mobilenet-v3-small efficientnet-b0 ocr-det-db unet vit-tiny
whisper-encoder t5-encoder t5-decoder decoder-kv loop-greedy scan-rnn""".split()
EXPECTED = pathlib.Path(__file__).with_name("corpus_expected.txt")


def prepare(row, with_answers):
    """Makes the model and ONNX Runtime's answers, both cached."""
    manifest, name = str(CORPUS / "manifest.tsv"), row["id"]
    scripts = [("fetch.py", [WORK]), ("run_ort.py", [WORK, WORK / "ort"])]
    for script, folders in scripts[:2 if with_answers else 1]:
        arguments = [manifest, *map(str, folders), name]
        result = subprocess.run([sys.executable, CORPUS / script, *arguments],
                                capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{script} {name}: {(result.stdout + result.stderr).strip()}")
    return WORK / f"{name}.onnx"


def artifact_of(name, target):
    return WORK / f"{name}.{target.replace(':', '-')}.tenon"


def judge(row, path, artifact, device):
    """Why a size's outputs are not ONNX Runtime's, or None."""
    from model_inputs import inputs
    from run_ort import distance, tolerance
    table = json.loads((CORPUS / "inputs.json").read_text())
    oracle = json.loads((WORK / f"ort/{row['id']}.json").read_text())
    noise = [max(oracle["A"]["noise"][i], oracle["B"]["noise"][i])
             for i in range(len(oracle["A"]["noise"]))]
    names = [o.name for o in ort_session(path).get_outputs()]
    session = tenon_session(artifact, device=device)
    for size in "AB":
        answers = np.load(WORK / f"ort/{row['id']}.{size}.npz")
        results = session.run(inputs(str(path), row["id"], table, size))
        for i, name in enumerate(names):
            expected, found = answers[f"o{i}"], np.asarray(results[name])
            error = distance(expected, found)
            if error is None:
                return (f"size {size}, {name}: expected {expected.dtype} "
                        f"{expected.shape}, but got {found.dtype} {found.shape}")
            exact = expected.dtype.kind in "iub"
            limit = 4 * noise[i] if exact else tolerance(noise[i], row["quant"])
            if not error <= limit:
                return f"size {size}, {name}: expected error <= {limit:.1e}, but got {error:.1e}"
    return None


def attempt(row, args):
    """(result, reason): pass, refused, wrong, error or crash; none without an answer of
    ONNX Runtime."""
    target, limit_s = args.target, args.limit
    artifact = artifact_of(row["id"], target)
    try:
        path = prepare(row, not args.compile_only)
    except RuntimeError as error:
        return "none", str(error)
    try:
        compile_model(path, artifact, target=target, limit_s=limit_s)
    except CompileError as error:
        first = (str(error).splitlines() or ["no message"])[0]
        return ("refused" if error.refused else "crash"), first
    if args.compile_only:
        return "pass", ""
    # A child runs the artifact, so that a fault is a result and not the end.
    command = [sys.executable, __file__, "--judge", row["id"], "--target", target,
               "--device", args.device]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return "crash", f"no end in {limit_s} s"
    if child.returncode < 0:
        return "crash", signal.Signals(-child.returncode).name
    if child.returncode:
        return "error", (child.stderr.strip().splitlines() or ["no message"])[-1]
    reason = child.stdout.strip()
    return ("wrong", reason) if reason else ("pass", "")


def rows():
    with open(CORPUS / "manifest.tsv") as file:
        return {row["id"]: row for row in csv.DictReader(file, delimiter="\t")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a model's name")
    parser.add_argument("--all", action="store_true", help="the whole corpus")
    parser.add_argument("--except", dest="without", default="", metavar="ID,...",
                        help="models to leave out")
    parser.add_argument("--jobs", type=int, default=2, help="models at a time")
    parser.add_argument("--compile-only", action="store_true",
                        help="run nothing: a target whose device is not here")
    parser.add_argument("--update", action="store_true", help="write what must pass")
    parser.add_argument("--limit", type=int, default=120, help="seconds a model")
    add_device_options(parser)
    parser.add_argument("--judge", metavar="ID", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.target = chosen_target(args)
    if args.update and (args.device != "cpu" or args.compile_only):
        parser.error("--update: expected runs on --device=cpu")
    if not (CORPUS / "manifest.tsv").exists():
        print(f"skipped: no corpus in {CORPUS} (set TENON_CORPUS)")
        print("0 passed, 0 failed")
        return
    sys.path.append(str(CORPUS))
    table = rows()
    if args.judge:
        print(judge(table[args.judge], WORK / f"{args.judge}.onnx",
                    artifact_of(args.judge, args.target), args.device) or "")
        return
    expected = set(EXPECTED.read_text().split()) if EXPECTED.exists() else set()
    WORK.mkdir(parents=True, exist_ok=True)
    tally, passing = Tally(), set()
    chosen = [n for n in table if args.filter in n and n not in args.without.split(",") and
              (args.all or args.filter or (n in REQUIRED and n in expected))]
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)  # its work is other processes
    found = pool.map(lambda n: attempt(table[n], args), chosen)
    for name, (result, reason) in zip(chosen, found):
        passing |= {name} if result == "pass" else set()
        # A machine with a GPU may have another ONNX Runtime, which cannot run the model.
        is_judged = name in expected and (result != "none" or args.device == "cpu")
        if result == "pass" or is_judged:
            tally.check(name, result == "pass", f"{result} {reason}")
        else:
            print(f"{result}: {name}: {reason}", flush=True)
    if args.update:
        EXPECTED.write_text("\n".join(sorted((expected - set(chosen)) | passing)) + "\n")
    tally.finish()


if __name__ == "__main__":
    main()
