# RUN: %python %s
# Kernels for sm_80, and a few for sm_90a, against NumPy, with no GPU: compiled models, all
# their blocks run by the interpreter in ptx/.
import argparse
import concurrent.futures
import multiprocessing
import pathlib
import tempfile
import time

import numpy as np

from artifact import Artifact
from claims import all_cases
from models import compile_model


def outside(case, got):
    """Whether the error of all results together is not within the case's bounds: one that is
    too small says that the numbers were not rounded as they should be."""
    want = case.wants[0].astype(np.float64)
    error = np.linalg.norm(got - want) / np.linalg.norm(want)
    low, high = case.errors
    return "" if low < error < high else f"expected an error of {low} to {high}, but got {error}"


def failure(folder, case):
    """Why the case does not hold, or nothing."""
    artifact = Artifact(compile_model(folder, case.model, case.options, case.target),
                        case.target)
    missing = [use for use in case.needs if not artifact.uses(use)]
    if missing:
        return f"expected the instructions {missing}, but got none"
    try:
        ran, found = artifact.run(case.feeds)
        if case.stages is not None and ran[-1] != list(case.stages):
            return f"expected blocks of stages {list(case.stages)}, but got blocks of {ran[-1]}"
        if case.launches is not None and len(ran) != case.launches:
            return f"expected {case.launches} launches, but got {len(ran)}"
        if case.first is not None and ran[0] != list(case.first):
            return f"expected blocks of stages {list(case.first)} first, but got {ran[0]}"
        if case.errors:
            return outside(case, found[0])
        for got, want in zip(found, case.wants, strict=True):
            np.testing.assert_allclose(got.astype(np.float64), want.astype(np.float64),
                                       case.tolerance, case.tolerance)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip()[:800]}"
    return ""


CHOSEN = []  # cases by name; a forked process has them too


def attempt(place):
    """(name, seconds, why it does not hold)"""
    start, (name, case) = time.time(), CHOSEN[place]
    with tempfile.TemporaryDirectory() as folder:
        reason = failure(pathlib.Path(folder), case)
    return name, time.time() - start, reason


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--filter", default="", help="part of a case's name")
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time")
    args = parser.parse_args()
    failed = passed = 0
    CHOSEN.extend(case for case in all_cases() if args.filter in case[0])
    fork = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(args.jobs, fork) as pool:
        for name, seconds, reason in pool.map(attempt, range(len(CHOSEN))):
            passed, failed = passed + (not reason), failed + bool(reason)
            print(f"{'FAIL' if reason else 'pass'}: {name} ({seconds:.1f} s) {reason}",
                  flush=True)
    print(f"{passed} passed, {failed} failed")
    raise SystemExit(failed > 0 or not passed)


if __name__ == "__main__":
    main()
