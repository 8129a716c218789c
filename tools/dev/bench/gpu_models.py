"""Our side of gpu.py: small ONNX models of one operator, sessions with device tensors."""
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnx
import torch

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "test/EndToEnd"), str(ROOT / "tools/dev/models")]

from llama_form import TYPES  # noqa: E402
from onnx_writer import OnnxWriter  # noqa: E402
from random_source import QuantileSource  # noqa: E402
from tenon_tools import BUILD, compile_model, default_target, tenon_session  # noqa: E402

DEVICE = "cuda"
WORK = pathlib.Path(os.environ.get("TENON_BENCH_WORK", ROOT / ".deps/bench"))
BF16 = TYPES["bf16"]


def output_names(path):
    return [o.name for o in onnx.load(path, load_external_data=False).graph.output]


class Ours:
    """A session whose inputs and outputs stay on the device; a call is one run, for which
    the caller waits as for torch's."""

    def __init__(self, artifact, feeds, outputs=None, **options):
        self.session = tenon_session(artifact, device=DEVICE, keep_on_device=True, **options)
        for name, tensor in (outputs or {}).items():
            self.session.bind_output(name, tensor)
        torch.cuda.synchronize()  # the session's stream does not wait for torch's
        self.session.run(feeds, copy=False)

    def __call__(self):
        self.session.run({}, copy=False, wait=False)

    @property
    def launches(self):
        return self.session.statistics.launches


def compiled(path, *options, name=None, limit_s=300):
    """The artifact of a model for this GPU, cached."""
    artifact = path.with_name(f"{name or path.stem}.tenon")
    return compile_model(path, artifact, *options, target=default_target(DEVICE),
                         limit_s=limit_s)


def products(rows, columns, depth, count, weights):
    """A model of `count` products [rows, depth] x [depth, columns] in bf16, each of an
    input of its own, that take turns at `weights` weights. Gives its path."""
    path = WORK / f"product-{rows}x{columns}x{depth}-{count}-{weights}.onnx"
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    writer = OnnxWriter(path, [("", 24)], 12, "bench", "tenon-bench")
    source = QuantileSource(None, BF16[1])
    for n in range(count):
        name = f"weight{n % weights}"
        writer.weight(name, lambda: source.fill(name, depth * columns, depth ** -0.5)
                      .reshape(depth, columns))
        writer.input(f"a{n}", BF16[0], [rows, depth])
        writer.node("MatMul", [f"a{n}", name], f"product{n}", [f"c{n}"])
        writer.output(f"c{n}", BF16[0], [rows, columns])
    writer.save()
    return path


def product_weights(path, columns, depth, weights):
    """The weights of `products` as torch tensors on the GPU, [columns, depth]."""
    model = onnx.load(path, load_external_data=False)
    offsets = {t.name: int(next(e.value for e in t.external_data if e.key == "offset"))
               for t in model.graph.initializer}
    found = []
    for n in range(weights):
        bits = np.fromfile(f"{path}.data", np.int16, depth * columns,
                           offset=offsets[f"weight{n}"])
        tensor = torch.from_numpy(bits).view(torch.bfloat16).reshape(depth, columns)
        found.append(tensor.cuda().t().contiguous())
    return found


def attentions(batch, heads, kv_heads, queries, keys, width, causal, count):
    """A model of `count` Attention nodes on inputs of their own. Gives its path."""
    path = WORK / (f"attention-{batch}x{heads}x{kv_heads}-{queries}x{keys}x{width}"
                   f"-{'causal' if causal else 'full'}-{count}.onnx")
    if path.exists():
        return path
    WORK.mkdir(parents=True, exist_ok=True)
    writer = OnnxWriter(path, [("", 24)], 12, "bench", "tenon-bench")
    for n in range(count):
        writer.input(f"q{n}", BF16[0], [batch, heads, queries, width])
        for what in "kv":
            writer.input(f"{what}{n}", BF16[0], [batch, kv_heads, keys, width])
        writer.node("Attention", [f"q{n}", f"k{n}", f"v{n}"], f"attention{n}", [f"y{n}"],
                    is_causal=int(causal))
        writer.output(f"y{n}", BF16[0], [batch, heads, queries, width])
    writer.save()
    return path


def repeated(name, op, count, inputs, outputs, weights, **attributes):
    """A model of `count` nodes of one operator, each with a first input of its own and the
    same weights. `inputs`, `outputs`: shapes and dtypes, by name. Gives its path."""
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / f"{name}-{count}.onnx"
    value = onnx.helper.make_tensor_value_info
    kinds = {n: onnx.helper.np_dtype_to_tensor_dtype(np.dtype(t))
             for n, (_, t) in (inputs | outputs).items()}
    nodes, arguments, results = [], [], []
    for n in range(count):
        nodes.append(onnx.helper.make_node(op, [f"{i}{n}" for i in inputs] + list(weights), [
            f"{o}{n}" for o in outputs], name=f"{op}{n}", **attributes))
        arguments += [value(f"{i}{n}", kinds[i], shape) for i, (shape, _) in inputs.items()]
        results += [value(f"{o}{n}", kinds[o], shape) for o, (shape, _) in outputs.items()]
    constants = [onnx.numpy_helper.from_array(w, n) for n, w in weights.items()]
    graph = onnx.helper.make_graph(nodes, name, arguments, results, constants)
    onnx.save(onnx.helper.make_model(graph, ir_version=10, opset_imports=[
        onnx.helper.make_opsetid("", 21)]), path)
    return path


def llama(size, masked):
    """A decoder that gives the likeliest next token, written where it is not there."""
    folder = WORK / ("llama" if masked else "llama-no-mask")
    command = [sys.executable, ROOT / "tools/dev/models/llama", folder, f"--sizes={size}",
               "--dtype=bf16", "--results=token", *([] if masked else ["--no-mask"])]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / f"llama-{size}-bf16.onnx"


class Decoder:
    """A decoder whose session keeps its caches; `fill` puts a context there."""

    def __init__(self, size, batch, capacity, masked):
        self.masked, self.length, self.feeds = masked, 0, {}
        self.path = llama(size, masked)
        self.artifact = compiled(self.path, "--kv=session", limit_s=600)
        self.session = tenon_session(self.artifact, device=DEVICE, capacity=capacity,
                                     keep_on_device=True)
        self.token = torch.empty((batch, 1), dtype=torch.int64, device=DEVICE)
        self.session.bind_output("token", self.token)
        generator = np.random.default_rng(0)
        self.ids = torch.from_numpy(
            generator.integers(0, 30000, (batch, capacity))).to(DEVICE)
        self.positions = torch.arange(capacity, device=DEVICE).repeat(batch, 1)
        self.ones = torch.ones((batch, capacity), dtype=torch.int64, device=DEVICE)

    def step(self, count):
        """Runs `count` more tokens of each sequence."""
        begin, end = self.length, self.length + count
        if (begin, end) not in self.feeds:  # made once: they are no part of a step's time
            feeds = {"input_ids": self.ids[:, begin:end], "position_ids":
                     self.positions[:, begin:end]}
            if self.masked:
                feeds["attention_mask"] = self.ones[:, :end]
            self.feeds[begin, end] = {n: x.clone() for n, x in feeds.items()}
            torch.cuda.synchronize()
        self.session.run(self.feeds[begin, end], copy=False, wait=False)
        self.length = end

    def fill(self, length, step=254):
        self.session.reset()
        self.length = 0
        while self.length < length:
            self.step(min(step, length - self.length))

    def rewind(self, length):
        self.session.rewind(length)
        self.length = length


def megabytes_of_code(artifact):
    """Everything in an artifact but its weights: code for each target and the manifest."""
    text = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json"], check=True,
                          capture_output=True, text=True).stdout
    facts = json.loads(text)
    return (facts["bytes"] - facts["weight_bytes_stored"]) / 1e6


def first_token(path, artifact, masked):
    """Seconds from loading to the first token of a fresh process, file in the page cache."""
    code = f"""
import sys, time
sys.path[:0] = {sys.path[:3]!r}
import numpy as np
from tenon_tools import tenon_session
begin = time.perf_counter()
session = tenon_session({str(artifact)!r}, device={DEVICE!r}, capacity=1024)
feeds = {{"input_ids": np.ones((1, 16), np.int64), "position_ids": np.arange(16)[None]}}
if {masked}:
    feeds["attention_mask"] = np.ones((1, 16), np.int64)
int(np.asarray(session.run(feeds)["token"])[0, 0])
print(time.perf_counter() - begin)
"""
    with open(artifact, "rb") as file:
        while file.read(1 << 26):
            pass
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError((result.stderr.strip().splitlines() or ["no message"])[-1])
    return float(result.stdout.split()[-1])


def compile_seconds(path, cpus):
    """Seconds of one compile for this GPU on `cpus` of the processors; and the artifact."""
    artifact = path.with_name(f"{path.stem}.timed.tenon")
    command = ["taskset", "-c", f"0-{cpus - 1}", BUILD / "bin/tenon-compile", path, "-o",
               artifact, f"--target={default_target(DEVICE)}", "--kv=session"]
    begin = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())
    return time.perf_counter() - begin, artifact
