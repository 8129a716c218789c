#!/usr/bin/env python3
"""Compiles and runs the onnx package's node tests in forked children.

A case that expected.txt promises and that does not pass is a failure, on any device.
--update writes expected.txt and docs/coverage.md from what was found on the CPU.
"""
import argparse
import json
import math
import os
import pathlib
import selectors
import signal
import subprocess
import sys
import tempfile
import time
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "EndToEnd")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from cases import FORMS, difference, in_form, load_cases  # noqa: E402
from coverage_table import write_table  # noqa: E402
from other_sizes import other_sizes  # noqa: E402
from tenon_tools import (BUILD, ROOT, add_device_options, chosen_target,  # noqa: E402
                         tenon_session)

EXPECTED = HERE / "expected.txt"
# A CUDA context takes a good part of a second to make, more than a case takes.
CASES_PER_CHILD = {"cpu": 1, "cuda": 40}

LAST = []  # the session of the case before


def run_case(case, form, args):
    """(result, reason): pass, refused, wrong, error or crash; none: no such form."""
    made = in_form(case, form)
    if made is None:
        return "none", ""
    model, feeds, expected = made
    with tempfile.TemporaryDirectory(prefix="tenon-node-") as folder:
        path, artifact = f"{folder}/model.onnx", f"{folder}/model.tenon"
        onnx.save(model, path)
        compiled = subprocess.run(
            [BUILD / "bin/tenon-compile", path, "-o", artifact, f"--target={args.target}",
             *(["--no-baseline"] if ":" in args.target and "cuda" in args.target else [])],
            capture_output=True, text=True, errors="replace")
        message = first_error(compiled.stderr).replace(f"{folder}/", "")
        if compiled.returncode == 1:
            return "refused", message
        if compiled.returncode:
            kind = "crash" if compiled.returncode < 0 else "error"
            return kind, f"tenon-compile exited {compiled.returncode}: {message}"
        if args.compile_only:
            return "pass", ""
        if any(v is None for v in (*feeds.values(), *expected.values())):
            return "error", "compiled a value that is no tensor"
        try:
            session = tenon_session(artifact, threads=1, device=args.device)
            # A device that no session uses is closed, and opening it takes its time.
            LAST[:] = [session]
            reason = judge(case, session.run(feeds), expected)
            if form == "dynamic" and not reason:
                reason = judge_other_sizes(case, session, model, feeds)
        except Exception as error:
            return "error", f"{type(error).__name__}: {error}".replace(f"{folder}/", "")
    return ("wrong", reason) if reason else ("pass", "")


def judge(case, results, expected):
    """Why the results are not the expected ones, or None."""
    for name, value in expected.items():
        if name not in results:
            return f"{name}: expected an output, but got none"
        reason = difference(case, value, np.asarray(results[name]))
        if reason:
            return f"{name}: {reason}"
    return None


def judge_other_sizes(case, session, model, feeds):
    for other, expected in other_sizes(model, feeds, lambda a, b: difference(case, a, b)):
        shapes = ", ".join(f"{n} {list(v.shape)}" for n, v in other.items())
        try:
            reason = judge(case, session.run(other), expected)
        except Exception as error:
            reason = str(error)
        if reason:
            return f"at {shapes}: {reason}"
    return None


def first_error(text):
    lines = text.strip().splitlines()
    chosen = next((x for x in lines if "error:" in x), lines[0] if lines else "no message")
    return chosen.partition("error:")[2].strip() or chosen.strip()


class Child:
    """Cases, one after the other, in a forked process group; each has a deadline."""

    def __init__(self, keys, cases, args):
        self.keys, self.limit_s, self.text = keys, args.limit, b""
        self.answers, self.deadline = [], time.monotonic() + args.limit
        self.read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.answer(write, cases, args)
            finally:
                # Also where nobody reads any more: what else runs at an exit waits for
                # threads that no forked process has.
                os._exit(0)
        os.close(write)

    def answer(self, write, cases, args):
        """In the child: one line for each case."""
        os.setpgid(0, 0)
        os.close(self.read)
        for name, form in self.keys:
            try:
                answer = run_case(cases[name], form, args)
            except BaseException as error:
                answer = "error", f"{type(error).__name__}: {error}"
            line = json.dumps([answer[0], answer[1][:4000]]) + "\n"
            os.write(write, line.encode())
            if answer[0] == "error":
                break  # what it left behind, on a device above all, is not known

    def take(self):
        """Reads what has arrived; whether the child has ended."""
        chunk = os.read(self.read, 65536)
        lines = (self.text + chunk).split(b"\n")
        self.text = lines.pop()
        if lines:
            self.answers += [tuple(json.loads(line)) for line in lines]
            self.deadline = time.monotonic() + self.limit_s
        return not chunk

    def kill(self):
        for kill, target in ((os.killpg, self.pid), (os.kill, self.pid)):
            try:
                kill(target, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self):
        """{key: (result, reason)} of the cases that have ended, and of no other."""
        self.kill()
        os.close(self.read)
        os.waitpid(self.pid, 0)
        return dict(zip(self.keys, self.answers))

    def finish(self, timed_out=False):
        """({key: (result, reason)}, keys that are still to run)."""
        if timed_out:
            self.kill()
        os.close(self.read)
        _, status = os.waitpid(self.pid, 0)
        if timed_out:
            self.answers.append(("crash", "no end within the time limit"))
        elif os.WIFSIGNALED(status):
            self.answers.append(("crash", f"signal {os.WTERMSIG(status)} while running"))
        elif not self.answers:
            self.answers.append(("error", "no answer"))
        done = len(self.answers)
        return dict(zip(self.keys, self.answers)), self.keys[done:]


def run_all(cases, keys, args):
    """(name, form) -> (result, reason)."""
    # Else every child would.
    import onnxruntime  # noqa: F401
    import tenon  # noqa: F401
    results, running = {}, selectors.DefaultSelector()
    each = min(CASES_PER_CHILD[args.device.partition(":")[0]], -(-len(keys) // args.jobs))
    waiting = [keys[i:i + each] for i in range(0, len(keys), each)][::-1] if keys else []
    end = time.monotonic() + args.budget
    while waiting or running.get_map():
        if time.monotonic() > end:
            for entry in list(running.get_map().values()):
                results |= entry.data.stop()
            print(f"stopped after {args.budget:.0f} s: {len(keys) - len(results)} cases were "
                  "not run to their end", flush=True)
            return results
        while waiting and len(running.get_map()) < args.jobs:
            child = Child(waiting.pop(), cases, args)
            running.register(child.read, selectors.EVENT_READ, child)
        ready = {k.fd for k, _ in running.select(timeout=0.5)}
        for entry in list(running.get_map().values()):
            child = entry.data
            ended = entry.fd in ready and child.take()
            late = time.monotonic() > child.deadline
            if ended or late:
                running.unregister(entry.fd)
                found, rest = child.finish(late and not ended)
                results |= found
                waiting += [rest] if rest else []
    return results


def read_expected():
    """The (name, form) pairs that must pass."""
    if not EXPECTED.exists():
        return set()
    rows = (line.split() for line in EXPECTED.read_text().splitlines()
            if not line.startswith("#"))
    return {(row[0], form) for row in rows if row for form in row[1:]}


def write_expected(results):
    """Keeps what the forms that did not run promised."""
    ran = {key for key in results}
    passed = {key for key, (result, _) in results.items() if result == "pass"}
    passed |= {key for key in read_expected() if key not in ran}
    names = sorted({name for name, _ in passed})
    lines = ["# Node tests that must pass, with the forms; run.py --update writes this."]
    lines += [" ".join([n, *(f for f in FORMS if (n, f) in passed)]) for n in names]
    EXPECTED.write_text("\n".join(lines) + "\n")


def choose(cases, args):
    """The first form of every case, and of the others a third that rotates by day."""
    third = {name for name in cases
             if zlib.crc32(name.encode()) % 3 == int(time.time() // 86400) % 3}
    if args.third:
        cases = [name for name in cases if name in third]
    forms = FORMS if args.full or args.update else ("static",)
    keys = [(name, form) for form in forms for name in cases]
    if args.form:
        keys = [(name, args.form) for name in cases]
    elif forms == ("static",) and not args.static:
        keys += [(name, form) for form in FORMS[1:] for name in cases if name in third]
    return [key for key in keys if args.filter in key[0]]


def print_versions(args):
    """Which tests, by which compiler, where; pinned: what expected.txt was written with."""
    wanted = [line.partition("==")[2].strip() for line in
              (ROOT / "tools/dev/requirements.txt").read_text().splitlines()
              if line.startswith("onnx==")]
    compiler = subprocess.run([BUILD / "bin/tenon-compile", "--version"],
                              capture_output=True, text=True).stdout.strip()
    print(f"onnx {onnx.__version__} (pinned: {', '.join(wanted)}), {compiler}, "
          f"target {args.target}, device {args.device}", flush=True)


def write_log(path, results):
    """One line a case and form, as JSON."""
    with open(path, "w") as file:
        for (name, form), (result, reason) in sorted(results.items()):
            file.write(json.dumps({"case": name, "form": form, "result": result,
                                   "reason": reason}) + "\n")


def report(results, verbose):
    counts = {}
    for (name, form), (result, reason) in sorted(results.items()):
        counts.setdefault(form, {}).setdefault(result, []).append(name)
        if result in ("wrong", "error", "crash") or verbose:
            print(f"{result}: {name} ({form}): {reason}")
    for form in FORMS:
        if form in counts:
            numbers = ", ".join(f"{len(counts[form].get(r, []))} {r}" for r in
                                ("pass", "refused", "wrong", "error", "crash"))
            print(f"{form}: {numbers}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a case's name")
    parser.add_argument("--form", choices=FORMS, help="this form only")
    parser.add_argument("--static", action="store_true", help="no rotating third")
    parser.add_argument("--third", action="store_true", help="nothing but that third")
    parser.add_argument("--full", action="store_true", help="all three forms")
    parser.add_argument("--update", action="store_true")
    add_device_options(parser)
    parser.add_argument("--compile-only", action="store_true",
                        help="run nothing: a target whose device is not here")
    parser.add_argument("--log", metavar="FILE", help="write every result as JSON lines")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=30, help="seconds a case")
    parser.add_argument("--budget", type=float, default=math.inf,
                        help="seconds for all cases; some left out is exit code 1")
    parser.add_argument("--verbose", action="store_true", help="refusals too")
    args = parser.parse_args()
    args.target = chosen_target(args)
    if args.update and (args.device != "cpu" or args.compile_only):
        parser.error("--update: expected runs on --device=cpu")
    print_versions(args)
    cases = load_cases()
    keys = choose(cases, args)
    results = run_all(cases, keys, args)
    report(results, args.verbose)
    if args.log:
        write_log(args.log, results)
    if args.update:
        write_expected(results)
        write_table(ROOT / "docs/coverage.md", cases, results)
    expected = read_expected()
    broken = sorted(key for key in expected & results.keys() if results[key][0] != "pass")
    for name, form in broken:
        result, reason = results[name, form]
        print(f"FAIL: {name} ({form}): expected pass, but got {result}: {reason}")
    passed = sum(result == "pass" for result, _ in results.values())
    print(f"{passed} passed, {len(broken)} failed")
    sys.exit(1 if broken or len(results) < len(keys) else 0)


if __name__ == "__main__":
    main()
