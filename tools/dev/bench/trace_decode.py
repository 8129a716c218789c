#!/usr/bin/env python3
"""Where a decoder's step goes on a GPU: for each kernel the time from the end of the launch
before to its own, the median of some steps in PyTorch's profiler, and what the host takes.

Launches overlap: how long one runs says little, as it waits for the one before.
"""
import argparse
import json
import statistics
import tempfile
import time

import gpu_models as ours
import torch
from torch.profiler import ProfilerActivity, profile

CONTEXT, STEPS, KEPT = 1016, 8, 3


def step_times(decoder):
    """Microseconds of a step, of the host alone and as a whole."""
    decoder.rewind(CONTEXT)
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(STEPS):
        decoder.step(1)
    asked = time.perf_counter()
    torch.cuda.synchronize()
    return [(end - begin) / STEPS * 1e6 for end in (asked, time.perf_counter())]


def kernels_of(decoder):
    """The kernels of the last steps, as the profiler has them, in the order of their begins."""
    decoder.rewind(CONTEXT)
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(STEPS):
            decoder.step(1)
        torch.cuda.synchronize()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        profiler.export_chrome_trace(file.name)
        events = json.load(open(file.name))["traceEvents"]
    kernels = sorted((e for e in events if e.get("cat") == "kernel"), key=lambda e: e["ts"])
    return kernels[-KEPT * (len(kernels) // STEPS):]


def print_table(kernels):
    found = {}
    for before, kernel in zip(kernels, kernels[1:]):
        own = kernel["ts"] + kernel["dur"] - before["ts"] - before["dur"]
        about = kernel["args"]
        blocks, threads = about.get("grid", [0])[0], about.get("block", [0])[0]
        found.setdefault((kernel["name"], blocks, threads, about.get(
            "registers per thread")), []).append(own)
    print("| kernel | blocks x threads, registers | a step | us, median | us of all |")
    print("|---|---|---:|---:|---:|")
    for (name, blocks, threads, registers), times in found.items():
        print(f"| {name} | {blocks} x {threads}, {registers} | {len(times) / KEPT:.1f} | "
              f"{statistics.median(times):.2f} | {sum(times) / KEPT:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="135m", help="135m, 1b or 8b")
    args = parser.parse_args()
    decoder = ours.Decoder(args.size, 1, CONTEXT + STEPS, False)
    decoder.fill(CONTEXT)
    for _ in range(3):
        host, whole = step_times(decoder)
    print(f"{args.size}: {whole:.0f} us a step, of which the host is busy for {host:.0f}")
    print_table(kernels_of(decoder))


if __name__ == "__main__":
    main()
