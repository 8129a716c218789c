#!/usr/bin/env python3
"""What quantize-weights and convert-float cost SmolLM2-135M-Instruct: perplexity on real text, bytes, speed.

Tenon compiles the plain form with --passes; ONNX Runtime runs the same weights as
tenon-compile --emit=onnx exports them. --write puts the tables into
docs/benchmarks/quantize.md between its markers.
"""
import argparse
import datetime
import glob
import hashlib
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd")]

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from tenon_tools import BUILD, default_target, tenon_session  # noqa: E402

MODELS, PAGE = ROOT / "models/smollm2", ROOT / "docs/benchmarks/quantize.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
WINDOW, CONTEXT = 1024, 512
FORMS = {"f32": "", "bf16": "convert-float{to=bf16}", "f16": "convert-float{to=f16}",
         "int8, groups of 32": "quantize-weights{bits=8 group=32}",
         "int4, groups of 32": "quantize-weights{bits=4 group=32}",
         "uint4, groups of 32": "quantize-weights{bits=4 group=32 symmetric=false}"}
# ONNX Runtime has no operators of bf16 on the CPU.
WITHOUT_PEER = {"bf16"}


def licences():
    folder = pathlib.Path("/usr/share/common-licenses")
    names = ("GPL-3", "LGPL-2.1", "GFDL-1.3", "MPL-2.0", "Apache-2.0")
    return "".join((folder / n).read_text() for n in names)


def manual():
    return "".join(pathlib.Path(p).read_text(errors="replace")
                   for p in sorted(glob.glob("/usr/share/vim/vim90/doc/usr_*.txt")))


def operators():
    newest = {s.name: s for s in onnx.defs.get_all_schemas() if s.domain == ""}
    return "\n".join(f"{name}\n{newest[name].doc}" for name in sorted(newest))


# Texts that Debian 12 or a pinned wheel has; the hash says whether it is that one.
TEXTS = {"licences": (licences, "cb473375ded23705"),
         "Vim's manual": (manual, "3ed1338971d6ae0a"),
         "ONNX's operators": (operators, "270d9e99ce5a3407")}


def read_texts(wanted):
    for name, (read, start) in TEXTS.items():
        if wanted and name not in wanted:
            continue
        try:
            text = read()
        except OSError as error:
            print(f"{name}: not here ({error})")
            continue
        found = hashlib.sha256(text.encode()).hexdigest()
        if not text or not found.startswith(start):
            print(f"{name}: expected sha256 {start}..., but got {found[:16]}")
            continue
        yield name, text


def ort_run(path, threads):
    """A function of feeds; what is multiplied by 4-bit weights stays f32."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0")
    session = onnxruntime.InferenceSession(str(path), options,
                                           providers=["CPUExecutionProvider"])
    outputs = [o.name for o in session.get_outputs()]
    return lambda feeds: dict(zip(outputs, session.run(None, feeds)))


class Engine:
    def __init__(self, run, empty):
        self.run, self.empty = run, empty

    def step(self, ids, past, length):
        total = length + len(ids)
        return self.run({"input_ids": np.array([ids], np.int64),
                         "attention_mask": np.ones((1, total), np.int64),
                         "position_ids": np.arange(length, total, dtype=np.int64)[None], **past})

    def perplexity(self, ids):
        """Windows without overlap, an empty cache at each."""
        loss, count = 0.0, 0
        for start in range(0, len(ids), WINDOW):
            window = ids[start:start + WINDOW]
            logits = np.asarray(self.step(window, self.empty, 0)["logits"])[0, :-1]
            highest = logits.max(-1, keepdims=True)
            spread = np.log(np.exp(logits - highest).sum(-1, dtype=np.float64)) + highest[:, 0]
            chosen = logits[np.arange(len(window) - 1), window[1:]]
            loss += float((spread - chosen).sum())
            count += len(window) - 1
        return float(np.exp(loss / count))

    def decode_rate(self, steps):
        """Tokens a second at a context of 512, by the best step."""
        ids = np.random.default_rng(0).integers(17, 49152, CONTEXT).tolist()
        best = float("inf")
        results = self.step(ids, self.empty, 0)
        for n in range(steps):
            past = {p: results[p.replace("past_key_values", "present")] for p in self.empty}
            start = time.perf_counter()
            results = self.step([ids[n]], past, CONTEXT + n)
            best = min(best, time.perf_counter() - start)
        return 1 / best


def compile_form(passes, emit, output):
    passes = [f"--passes={passes}"] if passes else []
    target = ["--emit=onnx"] if emit else [f"--target={default_target()}"]
    subprocess.run([BUILD / "bin/tenon-compile", MODELS / "plain.onnx", "-o", output,
                    *passes, *target], check=True)
    return output


def measure(form, passes, texts, args):
    """One row for each engine: label, MB, tokens a second, perplexities."""
    model = onnx.load(MODELS / "plain.onnx", load_external_data=False)
    empty = {i.name: np.zeros((1, 3, 0, 64), np.float32) for i in model.graph.input
             if i.name.startswith("past_key_values.")}
    folder = pathlib.Path(args.folder)
    artifact = compile_form(passes, False, folder / "perplexity.tenon")
    export = compile_form(passes, True, folder / "perplexity.onnx")
    sizes = [artifact.stat().st_size, pathlib.Path(f"{export}.data").stat().st_size]
    for label, size in zip(("Tenon", "ONNX Runtime"), sizes):
        if label != "Tenon" and form in WITHOUT_PEER:
            continue
        run = (tenon_session(artifact, args.threads).run if label == "Tenon"
               else ort_run(export, args.threads))
        engine = Engine(run, empty)
        row = [f"{label}, {form}", size / 1e6, engine.decode_rate(args.steps),
               *(engine.perplexity(ids) for ids in texts.values())]
        print(row, flush=True)
        yield row


def table(texts, rows, args):
    yield (f"{os.cpu_count()} CPUs, {args.threads} threads{', ' + args.note if args.note else ''}. "
           f"ONNX Runtime {__import__('onnxruntime').__version__}. {datetime.date.today()}.")
    yield ""
    yield "| weights | MB | decode at 512, tok/s | " + " | ".join(texts) + " |"
    yield "|---|---:|---:|" + "---:|" * len(texts)
    for label, size, rate, *values in rows:
        yield f"| {label} | {size:.1f} | {rate:.1f} | " + " | ".join(f"{v:.3f}" for v in values) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4096, help="of each text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--texts", default="", help="comma-separated names; default: all")
    parser.add_argument("--forms", default="", help="semicolon-separated; default: all")
    parser.add_argument("--folder", default="/tmp", help="for artifacts and exports")
    parser.add_argument("--note", default="", help="what the table has to say of the machine")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    from tokenizers import Tokenizer
    subprocess.run([sys.executable, ROOT / "tools/dev/models/smollm2", "--forms", "plain"],
                   check=True)
    tokenizer = Tokenizer.from_file(str(MODELS / "tokenizer.json"))
    texts = {name: tokenizer.encode(text).ids[:args.tokens]
             for name, text in read_texts([n for n in args.texts.split(",") if n])}
    forms = [f for f in args.forms.split(";") if f] or list(FORMS)
    rows = [row for form in forms for row in measure(form, FORMS[form], texts, args)]
    text = "\n".join(table(texts, rows, args))
    print(text)
    if args.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
