"""The rows of gpu.py: for each, both engines ready to be timed, and what bounds it."""
import dataclasses

import gpu_models as ours
import gpu_peers as peers
import numpy as np
import torch
from llama_form import SIZES

GEMMS = ((8192, 8192, 8192), (4096, 4096, 4096), (2048, 28672, 4096), (2048, 4096, 14336),
         (512, 4096, 4096))
SKINNY_ROWS, SKINNY = (1, 16, 64), ((28672, 4096), (4096, 14336), (128256, 4096))
CONTEXT = 1016
# Rotating over more than this reads weights from memory, not from the L2 cache.
BEYOND_CACHE = 2.5e8


@dataclasses.dataclass
class Row:
    """`bar`: the least ratio of speeds that the project asks for, by peer."""

    name: str
    bar: dict
    make: object  # (settings) -> Work or Facts


@dataclasses.dataclass
class Work:
    """Calls that each do the row's work `count` times; flops and bytes are of one."""

    ours: object
    peers: dict
    count: int = 1
    flops: float = 0
    bytes: float = 0
    error: object = None  # () -> relative error of our result, or None
    limit: float = 0
    before: object = None  # done before each timed group of our calls
    calls: int = 0         # calls in such a group; 0: as many as the time needs
    launches: object = None


@dataclasses.dataclass
class Facts:
    """A row that has one number and a limit, and no peer."""

    value: float
    unit: str
    limit: float
    note: str = ""


def bf16(*shape):
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def relative(found, expected):
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def times_that_fill(flops, nbytes):
    """How many of a short work make about two milliseconds: the host's part, some tens of
    microseconds a run, is then about a hundredth."""
    return max(2, min(40, round(2e-3 / max(flops / 7e14, nbytes / 4e12))))


def product(rows, columns, depth, settings):
    del settings
    flops, weight = 2 * rows * columns * depth, 2 * columns * depth
    nbytes = weight + 2 * rows * (columns + depth)
    count = times_that_fill(flops, nbytes)
    weights = min(count, 1 + int(BEYOND_CACHE // weight))
    path = ours.products(rows, columns, depth, count, weights)
    inputs = [bf16(rows, depth) for _ in range(count)]
    outputs = {f"c{n}": torch.full((rows, columns), float("nan"), device="cuda",
                                   dtype=torch.bfloat16) for n in range(count)}
    engine = ours.Ours(ours.compiled(path), {f"a{n}": a for n, a in enumerate(inputs)}, outputs)
    matrices = ours.product_weights(path, columns, depth, weights)

    def error():
        last = count - 1
        exact = inputs[last].float() @ matrices[last % weights].float().t()
        return relative(outputs[f"c{last}"], exact)

    return Work(engine, {"cuBLAS": peers.products(inputs, matrices)}, count, flops, nbytes,
                error, 1e-2, launches=lambda: engine.launches)


def attention(batch, heads, kv_heads, queries, keys, width, causal):
    nbytes = 2 * batch * width * (2 * kv_heads * keys + 2 * heads * queries)
    flops = 4 * batch * heads * queries * keys * width * (0.5 if causal else 1)
    count = times_that_fill(flops, nbytes)
    path = ours.attentions(batch, heads, kv_heads, queries, keys, width, causal, count)
    inputs = [(bf16(batch, heads, queries, width), bf16(batch, kv_heads, keys, width),
               bf16(batch, kv_heads, keys, width)) for _ in range(count)]
    feeds = {f"{what}{n}": x for n, qkv in enumerate(inputs) for what, x in zip("qkv", qkv)}
    outputs = {f"y{n}": torch.full_like(inputs[n][0], float("nan")) for n in range(count)}
    engine = ours.Ours(ours.compiled(path), feeds, outputs)

    def error():
        q, k, v = (x[:1].float() for x in inputs[-1])
        q = q[:, :4]  # the first heads are enough, in f32, a few rows at a time
        exact = []
        group = heads // kv_heads
        for head in range(q.shape[1]):
            for begin in range(0, queries, 1024):
                part = q[0, head, begin:begin + 1024]
                scores = part @ k[0, head // group].t() * width ** -0.5
                if causal:
                    at = torch.arange(begin, begin + len(part), device="cuda")
                    later = torch.arange(keys, device="cuda")[None] > at[:, None]
                    scores = scores.masked_fill(later, float("-inf"))
                exact.append(scores.softmax(-1) @ v[0, head // group])
        exact = torch.cat(exact).reshape(q.shape[1], queries, width)
        return relative(outputs[f"y{count - 1}"][0, :q.shape[1]], exact)

    return Work(engine, peers.attentions(inputs, causal), count, flops, nbytes, error, 1e-2,
                launches=lambda: engine.launches)


def times_each(name, op, x_shape, results, weights, work, error, count=16, **attributes):
    """`op` on one input of f32; `work` is PyTorch's, `error` compares the last results."""
    inputs = [torch.randn(*x_shape, device="cuda") for _ in range(count)]
    path = ours.repeated(name, op, count, {"x": (x_shape, "float32")}, results, weights,
                         **attributes)
    feeds = {f"x{n}": x for n, x in enumerate(inputs)}
    outputs = {f"{name}{n}": torch.zeros(shape, device="cuda", dtype=getattr(torch, dtype))
               for n in range(count) for name, (shape, dtype) in results.items()}
    engine = ours.Ours(ours.compiled(path), feeds, outputs)
    last = [outputs[f"{name}{count - 1}"] for name in results]
    return Work(engine, {"torch": peers.repeated(inputs, work)}, count,
                bytes=inputs[0].nbytes + sum(x.nbytes for x in last),
                error=lambda: error(inputs[-1], *last), limit=1e-5,
                launches=lambda: engine.launches)


def top(rows, size, k, settings):
    del settings
    results = {"v": ([rows, k], "float32"), "i": ([rows, k], "int64")}

    def error(x, values, places):
        exact = (values == torch.topk(x, k).values) & (values == x.gather(1, places))
        return float((~exact).sum())

    return times_each(f"top-{rows}x{size}-{k}", "TopK", [rows, size], results,
                      {"k": np.array([k])}, lambda x: torch.topk(x, k), error)


def running_sum(rows, size, settings):
    del settings
    return times_each(f"cumsum-{rows}x{size}", "CumSum", [rows, size],
                      {"y": ([rows, size], "float32")}, {"axis": np.array(1)},
                      lambda x: torch.cumsum(x, 1),
                      lambda x, y: relative(y, torch.cumsum(x.double(), 1)))


def recurrent(length, batch, hidden, settings):
    del settings
    torch.backends.cudnn.allow_tf32 = False  # else it is 3e-4 off
    module = torch.nn.LSTM(hidden, hidden).cuda()
    order = [0, 3, 1, 2]  # of torch's gates i, f, g, o in ONNX

    def turned(tensor):
        parts = tensor.detach().cpu().numpy().reshape(4, hidden, -1)[order]
        return parts.reshape(1, 4 * hidden, -1)

    biases = [turned(b)[:, :, 0] for b in (module.bias_ih_l0, module.bias_hh_l0)]
    weights = {"W": turned(module.weight_ih_l0), "R": turned(module.weight_hh_l0),
               "B": np.concatenate(biases, 1)}
    return times_each(f"lstm-{length}x{batch}x{hidden}", "LSTM", [length, batch, hidden],
                      {"y": ([length, 1, batch, hidden], "float32")}, weights,
                      lambda x: module(x)[0],
                      lambda x, y: relative(y[:, 0], module(x)[0]), count=2,
                      hidden_size=hidden)


def parameters(c):
    layer = c.hidden * c.head_dim * (2 * c.heads + 2 * c.kv_heads) + 3 * c.hidden * c.ffn
    return c.layers * layer + c.vocabulary * c.hidden


def decode(size, batch, settings):
    """A step after 1016 tokens; eight of them, then the caches go back."""
    c = SIZES[size]
    engine = ours.Decoder(size, batch, CONTEXT + 8, settings.mask)
    engine.fill(CONTEXT)
    cache = 4 * c.layers * c.kv_heads * c.head_dim * CONTEXT * batch
    nbytes = 2 * parameters(c) + cache
    return Work(lambda: engine.step(1), {"torch.compile": peers.decode_step(
        c, batch, CONTEXT, settings.mode)}, 1, 2 * batch * parameters(c), nbytes,
        before=lambda: engine.rewind(CONTEXT), calls=8,
        launches=lambda: engine.session.statistics.launches)


def prefill(size, settings):
    c = SIZES[size]
    engine = ours.Decoder(size, 1, CONTEXT + 8, settings.mask)
    matrices = parameters(c) - c.vocabulary * c.hidden  # one row goes through the head
    flops = 2 * matrices * CONTEXT + 2 * c.layers * c.heads * c.head_dim * CONTEXT ** 2
    return Work(lambda: engine.step(CONTEXT), {"torch.compile": peers.prefill(
        c, CONTEXT, settings.mode)}, 1, flops, 2 * parameters(c),
        before=lambda: engine.rewind(0) if engine.length else None, calls=1,
        launches=lambda: engine.session.statistics.launches)


def whole_model(name, batch, settings):
    """A model exported here by torch in f16, with fixed sizes."""
    from torch_models import MODELS, export
    torch.manual_seed(0)  # the export may be there from another run
    module, inputs, _ = MODELS[name]()
    inputs = {n: (x[:1].repeat(batch, *[1] * (x.ndim - 1)).cuda()) for n, x in inputs.items()}
    inputs = {n: torch.randn_like(x).half() if x.is_floating_point() else x
              for n, x in inputs.items()}
    module = module.half().cuda()
    path = ours.WORK / f"{name}-f16-{batch}.onnx"
    ours.WORK.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        export(module, inputs, {}, path, True)
    expected = module(*inputs.values())
    result = torch.full_like(expected, float("nan"))
    engine = ours.Ours(ours.compiled(path), inputs, {ours.output_names(path)[0]: result})
    return Work(engine, {"torch.compile": peers.whole_model(module, list(inputs.values()),
                                                            settings.mode)},
                1, flops_of(module, inputs), 2 * sum(p.numel() for p in module.parameters()),
                lambda: relative(result, expected), 2e-2, launches=lambda: engine.launches)


def flops_of(module, inputs):
    from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter:
        module(*inputs.values())
    return counter.get_total_flops()


def compile_time(settings):
    path = ours.llama("1b", settings.mask)
    seconds, artifact = ours.compile_seconds(path, 2)
    return Facts(seconds, "s", 20, f"2 processors; {ours.megabytes_of_code(artifact):.2f} MB "
                                   "beside the weights")


def code_size(settings):
    """Of the artifact of the 135M decoder, everything but the weights."""
    artifact = ours.compiled(ours.llama("135m", settings.mask), "--kv=session", limit_s=600)
    return Facts(ours.megabytes_of_code(artifact), "MB", 3)


def library_size(settings):
    del settings
    size = (ours.BUILD / "python/tenon/libtenon_rt.so").stat().st_size
    return Facts(size / 1e6, "MB", 2)


def load_time(settings):
    path = ours.llama("8b", settings.mask)
    artifact = ours.compiled(path, "--kv=session", limit_s=600)
    return Facts(ours.first_token(path, artifact, settings.mask), "s", 6)


def all_rows():
    rows = []
    for m, n, k in GEMMS:
        rows.append(Row(f"gemm-{m}x{n}x{k}", {"cuBLAS": 0.8},
                        lambda s, d=(m, n, k): product(*d, s)))
    for n, k in SKINNY:
        for m in SKINNY_ROWS:
            rows.append(Row(f"skinny-{m}-{n}x{k}", {"cuBLAS": 0.95},
                            lambda s, d=(m, n, k): product(*d, s)))
    for width, length in ((128, 4096), (128, 16384), (64, 4096)):
        rows.append(Row(f"attention-prefill-d{width}-{length}", {"cudnn": 0.7, "flash": 1.0},
                        lambda s, d=(1, 32, 8, length, length, width, True): attention(*d)))
    for batch in (1, 16):
        for length in (4096, 32768):
            rows.append(Row(f"attention-decode-{batch}-{length}", {"best": 0.9},
                            lambda s, d=(batch, 32, 8, 1, length, 128, False): attention(*d)))
    for size, batch, bar in (("135m", 1, 1.8), ("1b", 1, 1.15), ("8b", 1, 1.0),
                             ("8b", 32, 0.85)):
        rows.append(Row(f"decode-{size}-{batch}", {"torch.compile": bar},
                        lambda s, d=(size, batch): decode(*d, s)))
    rows.append(Row("prefill-1b", {"torch.compile": 0.75}, lambda s: prefill("1b", s)))
    for name, batch, bar in (("resnet50", 1, 0.8), ("resnet50", 32, 0.5), ("vit", 1, 0.9),
                             ("vit", 32, 0.65), ("bert", 1, 0.9), ("bert", 32, 0.65)):
        rows.append(Row(f"{name}-{batch}", {"torch.compile": bar},
                        lambda s, d=(name, batch): whole_model(*d, s)))
    for m, n, k in ((1, 128256, 50), (1, 8400, 300), (64, 32000, 8)):
        rows.append(Row(f"sort-top-{k}-{m}x{n}", {}, lambda s, d=(m, n, k): top(*d, s)))
    rows.append(Row("sort-cumsum-64x4096", {}, lambda s: running_sum(64, 4096, s)))
    for batch in (1, 32):
        rows.append(Row(f"sort-lstm-128x{batch}x256", {},
                        lambda s, b=batch: recurrent(128, b, 256, s)))
    rows += [Row("compile-1b", {}, compile_time), Row("code-size", {}, code_size),
             Row("library-size", {}, library_size), Row("load-8b", {}, load_time)]
    return rows
