#!/usr/bin/env python3
"""ptxas over the PTX of gpu_cases.py, of operators whose sizes are known at run time only, and
of a small decoder: it assembles, nothing spills, no stack frame, no warning (a wgmma that ptxas
serializes is one). Needs no GPU. --full: of the corpus's whole models, too.

With artifacts as arguments: a line for each of their kernels.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

import corpus
from gpu_cases import all_cases, compile_case, one_node
from tenon_tools import BUILD, ROOT, Tally, default_target

TOOLKIT = "/usr/local/cuda/bin"
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
FUNCTION = re.compile(r"Compiling entry function '(\w+)'")


def images(artifact):
    """(architecture, PTX) of each image of code for CUDA."""
    text = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json"], check=True,
                          capture_output=True, text=True).stdout
    data = artifact.read_bytes()
    for code in json.loads(text)["codes"]:
        if code.get("form") == "ptx":
            for image in code["images"]:
                begin = image["offset"]
                yield code["target"].partition(":")[2], data[begin:begin + image["bytes"]]


def assemble(ptxas, architecture, ptx):
    """([(kernel, registers, stack and spills in bytes)], [complaint])."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "kernel.ptx")
        source.write_bytes(ptx.rstrip(b"\0"))
        result = subprocess.run([ptxas, "-v", f"-arch={architecture}", source, "-o",
                                 f"{folder}/kernel.cubin"], capture_output=True, text=True)
    text = result.stdout + result.stderr
    kernels = [(name, int(registers), sum(map(int, spilled))) for name, registers, spilled in
               zip(FUNCTION.findall(text), REGISTERS.findall(text), SPILLS.findall(text))]
    complaints = [line for line in text.splitlines()
                  if re.search(r"\b(error|warning|fatal)\b", line, re.I) or "C75" in line]
    if result.returncode and not complaints:
        complaints = [f"ptxas exited {result.returncode}"]
    complaints += [f"{name} ({architecture}): {size} bytes of stack and spills"
                   for name, _, size in kernels if size]
    return kernels, complaints


def complaints_of(ptxas, artifact):
    return [complaint for architecture, ptx in images(artifact)
            for complaint in assemble(ptxas, architecture, ptx)[1]]


def check_case(ptxas, folder, model, *options):
    try:
        return complaints_of(ptxas, compile_case(folder, model, *options))
    except subprocess.CalledProcessError as error:
        return [error.stderr.strip()[:300]]


def with_symbols(model, *dims):
    """The model with names in place of sizes where an input's `dims` have one."""
    for value, names in zip(model.graph.input, dims):
        for dim, name in zip(value.type.tensor_type.shape.dim, names):
            if name:
                dim.dim_param = name
    return model


def product_of_any_rows(function):
    """What a recurrent cell has: a function of a product and what is added to it, in f32."""
    weight = onnx.numpy_helper.from_array(np.ones((20, 48), np.float32), "w")
    nodes = [helper.make_node(op, inputs.split(), [output]) for op, inputs, output in
             (("MatMul", "x w", "p"), ("Add", "z p", "s"), (function, "s", "y"))]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
              for name, width in (("x", 20), ("z", 48), ("y", 48))]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def cases_of_any_size():
    """name -> model. Attention: a known number of keys, which is a few tiles, of an unknown
    batch; and all unknown, with a mask. Products of an unknown number of rows."""
    for width, keys, causal in ((48, 197, 0), (64, 197, 0), (64, 300, 0), (80, 300, 0),
                                (96, 197, 0), (128, 300, 0), (192, 197, 0), (256, 197, 1)):
        for dtype in ("f16", "bf16"):
            model, _ = one_node("Attention", [(2, 6, keys, width)] * 3, dtype, is_causal=causal)
            yield (f"attention-{dtype}-{width}-any-batch-of-{keys}",
                   with_symbols(model, *[["batch"]] * 3))
    for width in (32, 64, 128):
        shapes = [(2, 12, 40, width)] * 3 + [(2, 1, 40, 40)]
        model, _ = one_node("Attention", shapes, "f16")
        yield (f"attention-f16-{width}-any-masked",
               with_symbols(model, *[["batch", None, "tokens"]] * 3,
                            ["batch", None, "tokens", "tokens"]))
    for width in (128, 192, 256):
        model, _ = one_node("Attention", [(2, 6, 40, width)] * 3, "bf16", is_causal=1)
        yield (f"attention-bf16-{width}-any-causal",
               with_symbols(model, *[["batch", None, "tokens"]] * 3))
    for function in ("Tanh", "Erf"):
        yield f"product-{function}-any-rows", product_of_any_rows(function)


def check_corpus(tally, ptxas, pattern):
    """Models of the corpus that must run, as they are and in 16 bits."""
    for name, row in corpus.rows().items() if (corpus.CORPUS / "manifest.tsv").exists() else ():
        if name not in corpus.REQUIRED or pattern not in name:
            continue
        corpus.WORK.mkdir(parents=True, exist_ok=True)
        path = corpus.prepare(row, with_answers=False)
        for dtype in (None, "f16", "bf16"):
            artifact = corpus.artifact_of(f"{name}-{dtype}", "assemble")
            options = [f"--passes=convert-float{{to={dtype}}}"] if dtype else []
            result = subprocess.run(
                [BUILD / "bin/tenon-compile", path, "-o", artifact,
                 f"--target={default_target('cuda')}", *options], capture_output=True, text=True)
            complaints = (complaints_of(ptxas, artifact) if result.returncode == 0
                          else [result.stderr.strip()[:300]])
            artifact.unlink(missing_ok=True)
            tally.check(f"{name} in {dtype or 'its types'}", not complaints,
                        " / ".join(complaints[:3]))


def check_rounded(tally, ptxas, folder, cases):
    """Products of f32 in the forms that one asks for."""
    for name, (model, _) in cases.items():
        if not name.startswith(("product-f32", "convolution-f32")):
            continue
        for mode in ("tf32", "bf16x3"):
            complaints = check_case(ptxas, pathlib.Path(folder, f"{name}-{mode}"), model,
                                    f"--f32-matmul={mode}")
            tally.check(f"{name} by {mode}", not complaints, " / ".join(complaints[:3]))


def check_decoder(ptxas, folder, dtype):
    subprocess.run([sys.executable, ROOT / "tools/dev/models/llama", folder, "--sizes=tiny",
                    f"--dtype={dtype}"], check=True, stdout=subprocess.DEVNULL)
    artifact = folder / f"{dtype}.tenon"
    result = subprocess.run([BUILD / "bin/tenon-compile", folder / f"llama-tiny-{dtype}.onnx",
                             "-o", artifact, f"--target={default_target('cuda')}",
                             "--kv=session"], capture_output=True, text=True)
    return complaints_of(ptxas, artifact) if result.returncode == 0 else [result.stderr.strip()]


def print_kernels(ptxas, artifact):
    for architecture, ptx in images(artifact):
        kernels, complaints = assemble(ptxas, architecture, ptx)
        for name, registers, spilled in kernels:
            print(f"{architecture} {name}: {registers} registers, {spilled} bytes of stack "
                  "and spills")
        print("\n".join(complaints), end="\n" if complaints else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifacts", nargs="*", type=pathlib.Path)
    parser.add_argument("--filter", default="", help="part of a case's name")
    parser.add_argument("--ptxas", default=shutil.which("ptxas", path=f"{TOOLKIT}:"
                                                        f"{os.environ['PATH']}"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="the corpus's whole models, too")
    args = parser.parse_args()
    if not args.ptxas:
        print("skipped: no ptxas here")
        print("0 passed, 0 failed")
        return
    for artifact in args.artifacts:
        print_kernels(args.ptxas, artifact)
    if args.artifacts:
        return
    cases, tally = all_cases(args.filter), Tally()
    cases |= {name: (model, None) for name, model in cases_of_any_size() if args.filter in name}
    with tempfile.TemporaryDirectory() as folder:
        pool = concurrent.futures.ThreadPoolExecutor(args.jobs)  # its work is other processes
        found = pool.map(lambda n: check_case(args.ptxas, pathlib.Path(folder, n),
                                              cases[n][0]), cases)
        for name, complaints in zip(cases, found):
            tally.check(name, not complaints, " / ".join(complaints[:3]))
        check_rounded(tally, args.ptxas, folder, cases)
        for dtype in ("f32", "bf16"):
            if args.filter in "decoder":
                complaints = check_decoder(args.ptxas, pathlib.Path(folder), dtype)
                tally.check(f"decoder in {dtype}", not complaints, " / ".join(complaints[:3]))
    if args.full:
        check_corpus(tally, args.ptxas, args.filter)
    tally.finish()


if __name__ == "__main__":
    main()
