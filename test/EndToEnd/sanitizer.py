#!/usr/bin/env python3
"""compute-sanitizer over gpu_cases.py: no report from any of its tools.

Needs a GPU and a toolkit's compute-sanitizer.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import tempfile

from gpu_cases import all_cases, compile_case, write_inputs
from tenon_tools import BUILD, Tally

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
def check(sanitizer, tool, arguments, device, limit_s):
    """(whether there is no report, what was said)."""
    command = [sanitizer, f"--tool={tool}", "--error-exitcode=9", BUILD / "bin/tenon-run",
               *arguments, f"--device={device}"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return False, f"no end in {limit_s} s"
    text = result.stdout + result.stderr
    summary = re.search(r"(ERROR|RACECHECK) SUMMARY: .*", text)
    clean = result.returncode == 0 and summary and re.search(r": 0 (errors|hazards)", summary[0])
    reports = [line for line in text.splitlines() if line.startswith("=========  ")]
    return bool(clean), "" if clean else " / ".join(
        [summary[0] if summary else f"exit code {result.returncode}", *reports[:2],
         *([] if summary else text.strip().splitlines()[-1:])])


def check_case(sanitizer, folder, case, tools, args):
    """[(tool, holds, found)] of one case."""
    model, feeds = case
    try:
        arguments = [compile_case(folder, model), *write_inputs(folder, feeds),
                     "--output-dir", folder / "out"]
    except subprocess.CalledProcessError as error:
        return [("compiles", False, error.stderr.strip()[:300])]
    return [(tool, *check(sanitizer, tool, arguments, args.device, args.limit))
            for tool in tools]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a case's name")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--limit", type=float, default=120, help="seconds a run")
    args = parser.parse_args()
    sanitizer = shutil.which("compute-sanitizer",
                             path="/usr/local/cuda/bin:/usr/bin:/bin") or shutil.which(
                                 "compute-sanitizer")
    if not sanitizer:
        print("skipped: no compute-sanitizer here")
        print("0 passed, 0 failed")
        return
    cases = all_cases(args.filter)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        pool = concurrent.futures.ThreadPoolExecutor(args.jobs)  # its work is other processes
        found = pool.map(lambda n: check_case(sanitizer, pathlib.Path(folder, n), cases[n],
                                              args.tools.split(","), args), cases)
        for name, results in zip(cases, found):
            for tool, holds, said in results:
                tally.check(f"{name}: {tool}", holds, said)
    tally.finish()


if __name__ == "__main__":
    main()
