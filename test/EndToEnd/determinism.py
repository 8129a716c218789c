#!/usr/bin/env python3
"""The same artifact gives the same bits, run after run and process beside process.

A decoder goes through a prompt and steps several times, in several processes at once: on a
GPU they take turns, so launches of one model begin and end at other times than alone, and
what reads before the launch before it has written is seen. The device's own results are
compared with each other; test/EndToEnd/llama.py says whether they are right.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tenon_tools import ROOT, Tally, add_device_options, chosen_target, compile_model, tenon_session

PROMPT, STEPS = 5, 60


def sequence(session, ids):
    """The last token's logits after a prompt and after each of the steps behind it."""
    session.reset()
    begin, found = 0, []
    for count in [PROMPT] + [1] * STEPS:
        end = begin + count
        feeds = {"input_ids": ids[:, begin:end], "position_ids": np.arange(begin, end)[None],
                 "attention_mask": np.ones((1, end), np.int64)}
        names = {value.name for value in session.inputs}
        results = session.run({n: v for n, v in feeds.items() if n in names})
        found.append(np.array(results["logits"])[0, -1].astype(np.float32))
        begin = end
    return np.stack(found)


def child(artifact, device, repeats, output):
    session = tenon_session(artifact, device=device, capacity=PROMPT + STEPS)
    ids = np.random.default_rng(0).integers(0, 256, (1, PROMPT + STEPS))
    np.save(output, [sequence(session, ids) for _ in range(repeats)])


def check_decoder(tally, folder, dtype, args):
    subprocess.run([sys.executable, ROOT / "tools/dev/models/llama", folder, "--dtype", dtype,
                    f"--sizes={args.size}"], check=True, stdout=subprocess.DEVNULL)
    artifact = compile_model(folder / f"llama-{args.size}-{dtype}.onnx", folder / f"{dtype}.tenon",
                             "--kv=session", target=chosen_target(args))
    outputs = [folder / f"{dtype}-{n}.npy" for n in range(args.processes)]
    processes = [subprocess.Popen([sys.executable, __file__, "--device", args.device, "--child",
                                   artifact, str(args.repeats), output]) for output in outputs]
    ended = [process.wait(args.limit) for process in processes]
    tally.check(f"{dtype}: {args.processes} processes at once end well", not any(ended), str(ended))
    if any(ended):
        return
    runs = np.concatenate([np.load(output) for output in outputs])
    tally.check(f"{dtype}: every number is one", np.isfinite(runs).all())
    others = int((runs != runs[0]).reshape(len(runs), -1).any(axis=1).sum())
    tally.check(f"{dtype}: {len(runs)} sequences give the same bits", others == 0,
                f"{others} differ from the first")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="tiny", help="of tools/dev/models/llama")
    parser.add_argument("--dtypes", default="f32,bf16")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=120, help="seconds for the processes")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    add_device_options(parser)
    args = parser.parse_args()
    if args.child:
        artifact, repeats, output = args.child
        return child(pathlib.Path(artifact), args.device, int(repeats), output)
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        for dtype in args.dtypes.split(","):
            check_decoder(tally, pathlib.Path(folder), dtype, args)
    tally.finish()


if __name__ == "__main__":
    main()
