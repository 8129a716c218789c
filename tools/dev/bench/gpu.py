#!/usr/bin/env python3
"""Tenon on one GPU against PyTorch and against the machine, row by row, in one run.

Each row runs in a process of its own with a time limit. Both engines take turns. A short
operator is there many times, on inputs of their own, in one model and in one CUDA graph of
PyTorch, so that what a launch costs the host is in neither's time. Bounds are a copy's
bandwidth and cuBLAS's bf16 product, measured first. --write puts the table into
docs/benchmarks/gpu.md.
"""
import argparse
import datetime
import fnmatch
import json
import os
import pathlib
import select
import signal
import statistics
import subprocess
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/benchmarks/gpu.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
ROUNDS, GROUP_S = 5, 0.05


def seconds_of(call, before, calls):
    """(seconds a call of one group of calls, calls in it), the device idle at both ends."""
    import torch
    if before:
        before()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(calls):
        call()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / calls


def calls_that_fill(call, before, fixed):
    """How many calls a group has; also warms up."""
    for _ in range(2):
        once = seconds_of(call, before, fixed or 1)
    return fixed or max(3, min(2000, round(GROUP_S / once)))


def take_turns(work):
    """{engine: median seconds of one unit of work}."""
    engines = {"Tenon": (work.ours, work.before, work.calls),
               **{name: (call, None, 0) for name, call in work.peers.items()}}
    engines = {name: (call, before, calls_that_fill(call, before, calls))
               for name, (call, before, calls) in engines.items()}
    found = {name: [] for name in engines}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            found[name].append(seconds_of(*engine) / work.count)
    return {name: statistics.median(values) for name, values in found.items()}


def measure_bounds():
    """Bytes a second of a copy, both ways counted, and FLOP/s of cuBLAS at 8192 cubed."""
    import torch
    x = torch.randn(1 << 30, device="cuda", dtype=torch.bfloat16)
    y = torch.empty_like(x)

    def best(call):
        calls = calls_that_fill(call, None, 0)
        return min(seconds_of(call, None, calls) for _ in range(ROUNDS))

    copy = 2 * x.nbytes / best(lambda: y.copy_(x))
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = 2 * 8192 ** 3 / best(lambda: torch.matmul(a, b))
    return {"bandwidth": copy, "flops": product, "gpu": torch.cuda.get_device_name(),
            "torch": torch.__version__}


def measure(row, settings, bounds):
    """The row's result as a dictionary."""
    import gpu_rows
    work = row.make(settings)
    if isinstance(work, gpu_rows.Facts):
        return {"value": work.value, "unit": work.unit, "limit": work.limit,
                "note": work.note, "met": work.value <= work.limit}
    seconds = take_turns(work)
    own, others = seconds.pop("Tenon"), seconds
    error = work.error() if work.error else None
    wrong = error is not None and not error <= work.limit
    bound = max(work.flops / bounds["flops"], work.bytes / bounds["bandwidth"])
    ratios = {name: s / own for name, s in others.items()}
    ratios["best"] = min(others.values()) / own
    missed = [name for name, least in row.bar.items() if not ratios.get(name, 0) >= least]
    return {"us": own * 1e6, "peers_us": {n: s * 1e6 for n, s in others.items()},
            "ratios": ratios, "bar": row.bar, "met": not missed and not wrong,
            "of_bound": bound / own, "bound_us": bound * 1e6, "error": error, "wrong": wrong,
            "launches": work.launches() / work.count if work.launches else None}


def in_child(work, limit_s):
    """What `work` returns in a forked process group, or {"failed": why}."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.close(read)
        try:
            answer = work()
        except BaseException as error:
            traceback.print_exc()
            first = (str(error).splitlines() or [""])[0]
            answer = {"failed": f"{type(error).__name__}: {first[:300]}"}
        os.write(write, (json.dumps(answer) + "\n").encode())
        sys.stderr.flush()
        os._exit(0)
    os.close(write)
    text, deadline = b"", time.monotonic() + limit_s
    # Processes that the child started may hold the pipe: its end is the line's end.
    while not text.endswith(b"\n"):
        if not select.select([read], [], [], max(0, deadline - time.monotonic()))[0]:
            break
        chunk = os.read(read, 65536)
        if not chunk:
            break
        text += chunk
    os.close(read)
    late = time.monotonic() >= deadline
    for kill, target in ((os.killpg, pid), (os.kill, pid)):
        try:
            kill(target, signal.SIGKILL)
        except ProcessLookupError:
            pass
    _, status = os.waitpid(pid, 0)
    if text.endswith(b"\n"):
        return json.loads(text)
    return {"failed": f"no end in {limit_s:.0f} s" if late else f"ended by {status}"}


def ready_torch():
    """Imports what the children share; no context of the GPU may be made before a fork."""
    sys.path[:0] = [str(ROOT / "test/EndToEnd"), str(ROOT / "tools/dev/models"),
                    str(pathlib.Path(__file__).parent)]
    import torch
    torch.set_grad_enabled(False)
    import gpu_rows
    return gpu_rows.all_rows()


def describe(row, found):
    """One line of the table."""
    if "failed" in found:
        return f"| {row} | failed: {found['failed'].replace('|', '/')[:120]} | | | | | |"
    met = "yes" if found["met"] else "no"
    if "value" in found:
        note = f" ({found['note']})" if found["note"] else ""
        return (f"| {row} | {found['value']:.2f} {found['unit']}{note} | | "
                f"at most {found['limit']:g} {found['unit']} | {met} | | |")
    peers = ", ".join(f"{n} {us:.1f}" for n, us in found["peers_us"].items())
    ratios = ", ".join(f"{found['ratios'].get(n, 0):.2f} of {least:g} ({n})"
                       for n, least in found["bar"].items())
    launches = "" if found["launches"] is None else f"{found['launches']:.4g}"
    wrong = f"wrong: error {found['error']:.1e}" if found["wrong"] else met
    return (f"| {row} | {found['us']:.1f} us | {peers} | {ratios} | {wrong} | "
            f"{found['of_bound']:.2f} | {launches} |")


def table(results, bounds, args):
    commit = (ROOT / "version").read_text().split()[0] if (ROOT / "version").exists() else (
        subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"],
                       capture_output=True, text=True).stdout.strip())
    yield (f"Device: {bounds.get('gpu')}; peer: PyTorch {bounds.get('torch')}, torch.compile "
           f"mode {args.mode}; commit {commit}, {datetime.date.today()}.")
    yield (f"Bounds in this run: copy {bounds['bandwidth'] / 1e12:.2f} TB/s, cuBLAS bf16 "
           f"{bounds['flops'] / 1e12:.0f} TFLOP/s.")
    yield ""
    yield "| work | Tenon | peers, us | ratio of speeds | met | of the bound | launches |"
    yield "|---|---:|---:|---:|---|---:|---:|"
    for row, found in results.items():
        yield describe(row, found)


def write_page(text):
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def matches(name, patterns):
    return any(p in name or fnmatch.fnmatch(name, p) for p in patterns.split(","))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="PATTERN,...", help="rows to run")
    parser.add_argument("--list", action="store_true", help="print the rows' names")
    parser.add_argument("--limit", type=float, default=240, help="seconds a row")
    parser.add_argument("--total", type=float, default=560, help="seconds for all rows")
    parser.add_argument("--mode", default="default", help="of torch.compile; "
                        "max-autotune-no-cudagraphs takes minutes a model")
    parser.add_argument("--mask", action="store_true",
                        help="decoders with an attention_mask input")
    parser.add_argument("--log", type=pathlib.Path, metavar="FILE", help="append JSON lines")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    args = parser.parse_args()
    begin = time.monotonic()
    rows = [row for row in ready_torch() if matches(row.name, args.only)]
    if args.list:
        print("\n".join(row.name for row in rows))
        return
    bounds = in_child(measure_bounds, 60)
    if "failed" in bounds:
        sys.exit(f"gpu.py: cannot measure the bounds: {bounds['failed']}")
    results = {}
    for row in rows:
        left = args.total - (time.monotonic() - begin)
        found = {"failed": "no time left"} if left < 5 else in_child(
            lambda: measure(row, args, bounds), min(args.limit, left))
        results[row.name] = found
        print(describe(row.name, found), flush=True)
        if args.log:
            with open(args.log, "a") as file:
                file.write(json.dumps({"row": row.name, **found, "bounds": bounds}) + "\n")
    text = "\n".join(table(results, bounds, args))
    print(f"\n{text}")
    met = sum(bool(found.get("met")) for found in results.values())
    print(f"{met} passed, {len(results) - met} failed")
    if args.write:
        write_page(text)


if __name__ == "__main__":
    main()
