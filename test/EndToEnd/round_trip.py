#!/usr/bin/env python3
"""Exported models pass ONNX's checker and give the same outputs in ONNX Runtime.

SmolLM2 with tiny weights, models of the corpus, and node tests (a sample; --full: all).
Each is written in its own opset, SmolLM2 also in the newest that ONNX Runtime has.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "conformance")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from cases import in_form, load_cases  # noqa: E402
from tenon_tools import BUILD, ROOT, ort_session  # noqa: E402

CORPUS = pathlib.Path(os.environ.get("TENON_CORPUS", ROOT.parent / "shared/corpus"))
MODELS = pathlib.Path(os.environ.get("TENON_CORPUS_WORK", ROOT / ".deps/corpus"))
TINY = ROOT / "models/smollm2-tiny"
SAMPLE = 16  # every sixteenth node test
# Both run in ONNX Runtime, which fuses what it recognises: a simplified graph may be
# fused in another way, so that sums are in another order.
TOLERANCE = 1e-5


def export(path, out, opset=None):
    """Why tenon-compile did not write the model, or ""."""
    options = [f"--opset={opset}"] if opset else []
    result = subprocess.run(
        [BUILD / "bin/tenon-compile", path, "-o", out, "--emit=onnx", *options],
        capture_output=True, text=True, errors="replace", timeout=120)
    if result.returncode == 0:
        return ""
    first = (result.stderr.splitlines() or ["no message"])[0]
    return first if result.returncode == 1 else f"exit code {result.returncode}: {first}"


def difference(expected, found, tolerance):
    if expected.dtype != found.dtype or expected.shape != found.shape:
        return (f"expected {expected.dtype} {expected.shape}, but got {found.dtype} "
                f"{found.shape}")
    if expected.dtype.kind not in "fV" or expected.size == 0:
        return "" if np.array_equal(expected, found) else "other elements"
    a, b = expected.astype(np.float64), found.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    scale = np.max(np.abs(a[np.isfinite(a)]), initial=1e-30)
    step = 2e-3 if expected.dtype == np.float16 else tolerance
    error = np.max(np.abs(np.where(same, 0, a - b)) / scale)
    return "" if error <= step else f"expected a difference of at most {step}, but got {error}"


def is_valid(path):
    """Exporters write ONNX Runtime's own operators in the default domain, and the checker
    itself stumbles over the body of MeanVarianceNormalization without `axes`."""
    try:
        onnx.checker.check_model(path, full_check=True)
        return True
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return False


def judge(path, feeds, opset=None, tolerance=TOLERANCE):
    """("pass" | "refused" | "FAIL" | "none", reason); none: no answer to compare with."""
    try:
        expected = ort_session(path).run(None, feeds)
    except Exception as error:
        return "none", str(error).splitlines()[0]
    with tempfile.TemporaryDirectory(prefix="tenon-trip-") as folder:
        out = pathlib.Path(folder, "out.onnx")
        reason = export(path, out, opset)
        if reason:
            return ("FAIL" if reason.startswith("exit code") else "refused"), reason
        try:
            if is_valid(path):
                onnx.checker.check_model(out, full_check=True)
            found = ort_session(out).run(None, feeds)
        except Exception as error:
            return "FAIL", str(error).splitlines()[0]
    for index, (a, b) in enumerate(zip(expected, found)):
        reason = difference(np.asarray(a), np.asarray(b), tolerance)
        if reason:
            return "FAIL", f"output {index}: {reason}"
    return "pass", ""


def tiny_feeds(path):
    generator = np.random.default_rng(7)
    feeds = {}
    for value in ort_session(path).get_inputs():
        sizes = {"batch": 1, "seq": 3, "past": 4, "total": 7}
        shape = [d if isinstance(d, int) else
                 next((n for s, n in sizes.items() if s in d.lower()), 1) for d in value.shape]
        if "total" in str(value.shape) or "mask" in value.name:
            shape = [1, 7]
        if value.type == "tensor(int64)":
            feeds[value.name] = generator.integers(1, 40, shape, np.int64)
        elif value.type == "tensor(int32)":
            feeds[value.name] = np.full(shape, 6, np.int32)
        else:
            kind = np.float16 if "16" in value.type else np.float32
            feeds[value.name] = generator.standard_normal(shape).astype(kind)
        if "mask" in value.name:
            feeds[value.name] = np.ones(shape, np.int64)
        if "position" in value.name:
            feeds[value.name] = np.arange(4, 7, dtype=np.int64)[None]
    return feeds


def corpus_tolerance(name):
    """Four times the difference between ONNX Runtime's own ways to run the model."""
    oracle = MODELS / f"ort/{name}.json"
    noise = json.loads(oracle.read_text())["A"]["noise"] if oracle.exists() else []
    return max([1e-4, *(4 * n for n in noise)])


def claims(args):
    """(name, path or case, feeds, opset, tolerance)"""
    for path in sorted(TINY.glob("*.onnx")):
        yield f"smollm2-tiny {path.stem}", path, lambda p=path: tiny_feeds(p), None, TOLERANCE
        if path.stem == "plain":
            yield "smollm2-tiny plain in opset 23", path, lambda p=path: tiny_feeds(p), 23, TOLERANCE
    if (CORPUS / "manifest.tsv").exists():
        sys.path.append(str(CORPUS))
        from model_inputs import inputs
        table = json.loads((CORPUS / "inputs.json").read_text())
        for path in sorted(MODELS.glob("*.onnx")):
            yield (f"corpus {path.stem}", path,
                   lambda p=path: inputs(str(p), p.stem, table, "A"), None,
                   corpus_tolerance(path.stem))
    for index, (name, case) in enumerate(sorted(load_cases().items())):
        if args.full or args.filter or index % SAMPLE == 0:
            yield name, case, None, None, TOLERANCE


def run_case(case):
    made = in_form(case, "static")
    if made is None or any(v is None for v in made[1].values()):
        return "none", "no tensors"
    with tempfile.TemporaryDirectory(prefix="tenon-case-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        onnx.save(made[0], path)
        result, reason = judge(path, made[1])
        return result, reason.replace(f"{folder}/", "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a model's or test's name")
    parser.add_argument("--full", action="store_true", help="all node tests")
    args = parser.parse_args()
    counts = {"pass": 0, "FAIL": 0, "refused": 0, "none": 0}
    for name, what, feeds, opset, tolerance in claims(args):
        if args.filter not in name:
            continue
        try:
            result, reason = judge(what, feeds(), opset, tolerance) if feeds else run_case(what)
        except Exception as error:
            result, reason = "FAIL", f"{type(error).__name__}: {error}"
        counts[result] += 1
        if feeds or result in ("FAIL", "refused"):
            print(f"{result}: {name}{': ' if reason else ''}{reason}", flush=True)
    print(f"{counts['refused']} refused by name, {counts['none']} without an answer of "
          "ONNX Runtime")
    print(f"{counts['pass']} passed, {counts['FAIL']} failed")
    sys.exit(counts["FAIL"] != 0)


main()
