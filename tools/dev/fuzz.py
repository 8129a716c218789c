#!/usr/bin/env python3
"""Feeds mutated models to tenon-compile and mutated artifacts to tenon-run.

Each must end with exit code 0 or 1 within 10 s (60 s under sanitizers): no signal, no sanitizer report. Half
of the artifacts have their hashes recomputed, so that the loader reads on. Seeds are
fixed: case N is the same everywhere, and `--only N` runs it alone.
"""
import argparse
import concurrent.futures
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from fuzz_mutations import mutate_artifact, mutate_model  # noqa: E402
from fuzz_seeds import make_seeds, write_inputs  # noqa: E402

ROOT = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build"))
# Sanitizers make a program several times slower.
LIMIT_S = 60 if "ASAN_OPTIONS" in os.environ else 10
# A sanitizer's report, or what ends a process that threw.
REPORTS = ("Sanitizer", "runtime error:", "terminate called", "LLVM ERROR", "Assertion")


def judge(command):
    """Nothing, or what is wrong with how the command ended."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace",
                                timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        return f"still running after {LIMIT_S} s"
    report = next((line for line in result.stderr.splitlines()
                   if any(mark in line for mark in REPORTS)), None)
    if report:
        return report
    if result.returncode not in (0, 1):
        return f"exit code {result.returncode}"
    if result.returncode == 1 and not result.stderr.strip():
        return "exit code 1 without a message"
    return None


def run_model(folder, case, seeds):
    rng = random.Random(f"model {case}")
    name = rng.choice(sorted(seeds))
    for path in seeds[name].parent.glob(f"{name}.onnx.data"):
        shutil.copy(path, folder / path.name)
    path = folder / f"{name}.onnx"
    path.write_bytes(mutate_model(seeds[name].read_bytes(), rng))
    return path, judge([BUILD / "bin/tenon-compile", path, "-o", folder / "out.tenon",
                        "--target=cpu:host"])


def run_artifact(folder, case, seeds):
    rng = random.Random(f"artifact {case}")
    name = rng.choice(sorted(seeds))
    artifact = seeds[name]
    path = folder / f"{name}.tenon"
    path.write_bytes(mutate_artifact(artifact.read_bytes(), rng, recompute=case % 2 == 1))
    inputs = sorted(artifact.parent.glob(f"{name}.input.*.npy"))
    feeds = [f"--input={p.name.split('.input.')[1][:-len('.npy')]}={p}" for p in inputs]
    return path, judge([BUILD / "bin/tenon-run", path, *feeds, "--threads=1",
                        "--output-dir", folder / "out"])


def run_case(kind, case, seeds, keep):
    with tempfile.TemporaryDirectory(prefix="tenon-fuzz-") as name:
        folder = pathlib.Path(name)
        run = run_model if kind == "models" else run_artifact
        path, found = run(folder, case, seeds[kind])
        if found and keep:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, keep / f"{kind}-{case}-{path.name}")
    return kind, case, found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="cases of each kind")
    parser.add_argument("--kind", choices=["models", "artifacts"], help="one kind alone")
    parser.add_argument("--only", type=int, help="this case alone")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for files that fail")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--filter", default="", help="part of a kind's name")
    args = parser.parse_args()
    cases = range(args.count) if args.only is None else [args.only]
    kinds = [k for k in ("models", "artifacts")
             if args.filter in k and args.kind in (None, k)]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tenon-seeds-") as name:
        models = make_seeds(pathlib.Path(name))
        seeds = {"models": models, "artifacts": write_inputs(models, BUILD)}
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            runs = [pool.submit(run_case, kind, case, seeds, args.keep)
                    for kind in kinds for case in cases]
            for done in concurrent.futures.as_completed(runs):
                kind, case, found = done.result()
                if found:
                    failed += 1
                    print(f"FAIL: {kind} {case}: {found}", flush=True)
    print(f"{len(kinds) * len(cases) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
