#!/usr/bin/env python3
"""Runs the parts of the check in a built tree.

Every part prints its own failures and reports how many passed and failed.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build"))
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed", re.M)


def show(text):
    print(text, end="", flush=True)


def run(command, limit_s, say=show):
    """Says a command's output as it comes; gives its last count line or (0, 1)."""
    counts = None
    process = subprocess.Popen(["timeout", str(limit_s), *map(str, command)], cwd=ROOT,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               env=environment())
    for line in process.stdout:
        match = COUNTS.match(line)
        if match:
            counts = int(match[1]), int(match[2])
        else:
            say(line)
    status = process.wait()
    if counts is None:
        say(f"{command[min(1, len(command) - 1)]}: expected a line `N passed, N failed`, but got none "
            f"(exit code {status})\n")
        return 0, 1
    return counts if status == 0 or counts[1] else (counts[0], counts[1] + 1)


def conventions(_):
    result = subprocess.run([sys.executable, ROOT / "tools/dev/check_conventions.py"],
                            capture_output=True, text=True)
    print(result.stdout + result.stderr, end="")
    if result.returncode == 0:
        return 1, 0
    return 0, max(1, len(result.stdout.splitlines()))


def lit(pattern):
    if not (BUILD / "test/lit.site.cfg.py").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "lit.json")
        command = [pathlib.Path(sys.executable).with_name("lit"), "-q", "-o", report,
                   f"--filter={pattern}", BUILD / "test"]
        subprocess.run(command, cwd=ROOT, env=environment())
        if not report.exists():
            return 0, 1
        codes = [t["code"] for t in json.loads(report.read_text())["tests"]]
    passed = sum(c in ("PASS", "XFAIL", "FLAKYPASS") for c in codes)
    skipped = sum(c in ("UNSUPPORTED", "SKIPPED", "EXCLUDED") for c in codes)
    return passed, len(codes) - passed - skipped


def environment():
    """What test programs ask for: the built tools, package and artifacts."""
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "TENON_BUILD": str(BUILD),
            "TENON_KERNEL_TEST": str(BUILD / "bin/tenon-kernel-test"),
            "TENON_TEST_ARTIFACTS": str(BUILD / "test/runtime"),
            "PYTHONPATH": str(BUILD / "python")}


def googletest(program, pattern):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "gtest.json")
        status = subprocess.run(
            ["timeout", "300", program, "--gtest_brief=1", f"--gtest_output=json:{report}",
             f"--gtest_filter=*{pattern}*"], cwd=ROOT).returncode
        if not report.exists():
            print(f"{program.name}: expected a report, but got exit code {status}")
            return 0, 1
        totals = json.loads(report.read_text())
    return totals["tests"] - totals["failures"] - totals.get("disabled", 0), totals["failures"]


def python_test(path):
    """A test_*.py: unittest's counts where it says them, else its exit code."""
    result = subprocess.run(["timeout", "300", sys.executable, path], cwd=path.parent,
                            env=environment(), capture_output=True, text=True)
    text = result.stdout + result.stderr
    ran, counts = re.search(r"^Ran (\d+) test", text, re.M), COUNTS.search(text)
    if result.returncode:
        print(f"{path.relative_to(ROOT)}: exit code {result.returncode}\n{text}", end="")
    if counts:
        return int(counts[1]), int(counts[2])
    failed = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", text)))
    failed = max(failed, 1 if result.returncode else 0)
    return max(0, (int(ran[1]) if ran else 1) - failed), failed


def unit(pattern):
    """GoogleTest programs (*-tests) and Python tests (test_*.py) beside their part."""
    targets = [t for t in ("tenon-runtime-tests", "tenon-support-tests", "tenon-test-artifacts",
                         "TenonPython")
               if subprocess.run(["ninja", "-C", BUILD, "-n", t], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL).returncode == 0]
    if targets and subprocess.run(["ninja", "-C", BUILD, *targets]).returncode:
        return 0, 1
    if "tenon-test-artifacts" in targets:
        subprocess.run([BUILD / "test/runtime/tenon-test-artifacts", BUILD / "test/runtime"],
                       check=True)
    programs = sorted(p for p in (BUILD / "test").rglob("*-tests")
                      if p.is_file() and os.access(p, os.X_OK))
    counts = [googletest(p, pattern) for p in programs]
    # Those with a RUN line are lit's.
    scripts = sorted(p for p in (ROOT / "test").rglob("test_*.py")
                     if "RUN:" not in p.read_text())
    counts += [python_test(p) for p in scripts if pattern in p.name]
    if not counts:
        return None
    return add(*counts)


def script(path, limit_s, *full):
    """A part that is a Python program of ours; `full`: its arguments under --full."""
    def part(pattern, say=show):
        if not (ROOT / path).exists() or not (BUILD / "bin/tenon-compile").exists():
            return None
        extra = ["--filter", pattern] if pattern else []
        return run([sys.executable, ROOT / path, *extra, *(full if FULL else ())],
                   limit_s * (10 if FULL else 1), say)
    return part


def sanitize(pattern):
    """Parts of the check in a build with sanitizers, for two hours at most."""
    tool = ROOT / "tools/dev/sanitize"
    if pattern or not FULL:
        return run([tool, *([pattern] if pattern else [])], 7200)
    return add(run([tool], 7200), run([tool, "fuzz", "--full"], 7200))


def other_isa(pattern):
    """Code for x86-64-v3, which machines with AVX-512 do not run otherwise."""
    extra = ["--filter", pattern] if pattern else []
    return add(*(run([sys.executable, ROOT / path, "--target=cpu:x86-64-v3", *extra,
                      *arguments], 3600)
                 for path, *arguments in (("test/conformance/run.py", "--static"),
                                          ("test/EndToEnd/smollm2.py",),
                                          ("test/EndToEnd/corpus.py",))))


def for_gpus(pattern, say=show):
    """Node tests compiled for GPUs, which run on a machine that has one."""
    extra = ["--filter", pattern] if pattern else [] if FULL else ["--third"]
    return run([sys.executable, ROOT / "test/conformance/run.py", "--static", "--compile-only",
                "--target=cuda:sm_90a", *extra], 1200, say)


def add(*counts):
    return sum(c[0] for c in counts), sum(c[1] for c in counts)


FULL = "--full" in sys.argv
PARTS = {
    "conventions": conventions,
    "lit": lit,
    "unit": unit,
    "conformance": script("test/conformance/run.py", 2400, "--full"),
    "cuda": for_gpus,
    "model": script("test/EndToEnd/smollm2.py", 900, "--forms",
                    "plain,opset24,genai-f32,genai-f16,genai-int4"),
    "llama": script("test/EndToEnd/llama.py", 300),
    "contrib": script("test/EndToEnd/contrib.py", 300),
    "determinism": script("test/EndToEnd/determinism.py", 300),
    "launches": script("test/EndToEnd/launches.py", 300, "--full"),
    "exports": script("test/EndToEnd/torch_exports.py", 900),
    "install": script("test/EndToEnd/install.py", 600),
    "artifact": script("test/EndToEnd/artifact.py", 600),
    "dump": script("test/EndToEnd/dump.py", 300),
    "debug": script("test/EndToEnd/debug.py", 300),
    "quantize": script("test/EndToEnd/quantize.py", 300),
    "entries": script("test/EndToEnd/entries.py", 600),
    "caches": script("test/EndToEnd/caches.py", 300),
    "states": script("test/EndToEnd/states.py", 300),
    "recurrent": script("test/EndToEnd/recurrent.py", 300),
    "fuzz": script("tools/dev/fuzz.py", 600, "--count", "10000"),
    "round-trip": script("test/EndToEnd/round_trip.py", 900, "--full"),
    "corpus": script("test/EndToEnd/corpus.py", 900, "--all"),
    "assemble": script("test/EndToEnd/assemble.py", 3600, "--full"),
    "bundle": script("test/EndToEnd/bundle.py", 1800),
    "v3": other_isa,
    "sanitize": sanitize,
}
# Parts that leave a processor idle go side by side. Those that make or read the same models
# are in one lane, one after the other: `round-trip` takes what is there.
LANES = (("model", "llama", "determinism", "artifact", "entries", "round-trip"),
         ("launches", "exports", "install", "dump", "debug", "quantize", "caches", "states",
          "recurrent", "fuzz"))
# Run where they are named, or with --full.
ONLY_FULL = ("assemble", "bundle", "v3", "sanitize")


def timed(name, pattern, *say):
    start = time.time()
    counts = PARTS[name](pattern, *say)
    return name, counts, time.time() - start


def run_lane(parts):
    """What each of them says comes out when it has ended."""
    results = []
    for part in parts:
        lines = [f"== {part[0]}\n"]
        results.append(timed(*part, lines.append))
        show("".join(lines))
    return results


def run_parts(chosen):
    """[(name, counts, seconds)], in the order that they ended in."""
    lanes = [[part for part in chosen if part[0] in lane] for lane in LANES]
    lanes = lanes if all(lanes) else []
    beside = [part for lane in lanes for part in lane]
    results = []
    for part in chosen:
        if part not in beside:
            show(f"== {part[0]}\n")
            results.append(timed(*part))
        elif lanes:
            with concurrent.futures.ThreadPoolExecutor(len(lanes)) as pool:
                results += [result for lane in pool.map(run_lane, lanes) for result in lane]
            lanes = []
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART[:FILTER]",
                        help=", ".join(PARTS))
    parser.add_argument("--full", action="store_true",
                        help="all forms and models, not a sample; hours at worst")
    args = parser.parse_args()
    chosen = [p.partition(":")[::2] for p in args.parts] or [
        (p, "") for p in PARTS if FULL or p not in ONLY_FULL]
    for name, _ in chosen:
        if name not in PARTS:
            parser.error(f"expected a part of {', '.join(PARTS)}, but got {name}")
    rows, passed, failed = [], 0, 0
    for name, counts, spent in run_parts(chosen):
        if counts is None:
            rows.append(f"{name:12} {'not in this tree yet':>24}")
            continue
        passed, failed = passed + counts[0], failed + counts[1]
        rows.append(f"{name:12} {counts[0]:6} passed {counts[1]:6} failed {spent:7.1f} s")
    print("\n" + "\n".join(rows))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
