"""What the test runs: models by name, their inputs, and what NumPy says of them."""
import sys

import ml_dtypes
import numpy as np

import convolutions
import reductions
import scatters
import short_math
import searches
import transforms
from models import MICROSOFT, ROOT, model, node

sys.path.append(str(ROOT / "test/conformance"))
from cases import in_form, load_cases  # noqa: E402 (they are beside other tests)

F16, BF16 = np.float16, ml_dtypes.bfloat16
# One rounding of a result of each type, and that of sums of f32 in another order.
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(F16): 2e-3, np.dtype(BF16): 1.6e-2,
             np.dtype(np.float64): 1e-12}


class Case:
    """Dimensions of inputs that are named in `dims` are known at run time only. The PTX must
    have the instructions that it `needs`; `stages`: those of the last kernel that have blocks;
    `options`: more of them for the compiler; `errors`: bounds of the results' relative error;
    `launches`: how many kernels run, and `first` the stages of the first that have blocks;
    `target`: an architecture, whose kernels may have no tensor maps.
    """

    def __init__(self, nodes, feeds, want, dims=None, weights=None, needs=(), stages=(0,),
                 options=(), errors=None, output=None, launches=None,
                 first=None, target="cuda:sm_80"):
        self.feeds, self.wants, self.needs, self.stages = feeds, [want], needs, stages
        self.options, self.errors = options, errors
        self.launches, self.first, self.target = launches, first, target
        self.model = model(nodes, feeds, output or want.dtype, dims, weights)
        self.tolerance = TOLERANCE.get(want.dtype, 0)


# Node tests, each made into a kernel in a way of its own.
NODES = """erf cos acosh_example gelu_tanh_1 where_example cast_FLOAT_to_FLOAT16
transpose_all_permutations_3 concat_3d_axis_1 gather_1 gather_elements_0 gathernd_example_int32
scatter_elements_with_axis scatternd_add tril cumsum_2d_axis_1 logsoftmax_axis_0
rms_normalization_4d_axis1 reduce_max_default_axes_keepdim_example maxpool_2d_pads
averagepool_2d_strides convtranspose einsum_batch_matmul gridsample rotary_embedding
qlinearmatmul_2D_uint8_float32 dequantizelinear_blocked attention_4d_gqa lstm_defaults
gru_defaults dft_axis_opset19 dft_inverse_opset19 top_k_same_values_2d top_k_uint64
cumprod_2d_axis_1 cumprod_1d_int32_exclusive
nonzero_example compress_0 compress_default_axis compress_bfloat16 unique_length_1
unique_sorted_without_axis unique_not_sorted_without_axis unique_sorted_with_axis_3d
lstm_bidirectional lstm_with_peepholes lstm_batchwise gru_seq_length gru_bidirectional rnn_seq_length
simple_rnn_reverse scatter_elements_with_reduction_max scatternd nonmaxsuppression_two_batches
nonmaxsuppression_center_point_box_format nonmaxsuppression_limit_output_size
nonmaxsuppression_suppress_by_IOU_and_scores""".split()


class NodeCase:
    """A test of the onnx package, all sizes known or none; any stages may run."""

    def __init__(self, case, form):
        self.model, self.feeds, expected = in_form(case, form)
        self.wants = list(expected.values())
        self.needs, self.stages, self.options, self.errors = (), None, (), None
        self.launches = self.first = None
        self.target = "cuda:sm_80"
        is_float = any(want.dtype.kind == "f" for want in self.wants)
        self.tolerance = max(case.rtol, 1e-4) if is_float else 0


def node_cases():
    known = load_cases()
    for name in NODES:
        if f"test_{name}" in known:  # other versions of the package have others
            for form in ("static", "dynamic"):
                yield f"{name}-{form}", NodeCase(known[f"test_{name}"], form)
        else:
            print(f"none: {name}: this onnx package has no such test")


def normal(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(dtype)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def elementwise(rows, columns):
    a, b = normal(rows, columns), normal(columns, seed=1)
    nodes = [node("Add", "a b", "s"), node("Sigmoid", "s", "g"), node("Mul", "s g", "y")]
    total = a.astype(np.float64) + b
    return Case(nodes, {"a": a, "b": b}, (total * sigmoid(total)).astype(np.float32),
                {"a": ["m", "n"], "b": ["n"]})


def sum_of_all(*shape):
    x = normal(*shape)
    return Case([node("ReduceSum", "x", "y", keepdims=0)], {"x": x},
                x.sum(dtype=np.float64).astype(np.float32), {"x": ["m", "n"]})


def product(m, n, k, dtype=np.float32, epilogue=False, symbols=True, weight=False,
            **claims):
    """`weight`: B is one, and lies with k last."""
    a, b, bias = normal(m, k, dtype=dtype), normal(k, n, dtype=dtype), normal(n, dtype=dtype)
    want = a.astype(np.float64) @ b.astype(np.float64)
    nodes, feeds = [node("MatMul", "a b", "p" if epilogue else "y")], {"a": a}
    weights = {"b": b} if weight else {}
    feeds |= {} if weight else {"b": b}
    if epilogue:
        nodes += [node("Add", "p bias", "s"), node("Relu", "s", "y")]
        feeds["bias"] = bias
        want = np.maximum(want + bias.astype(np.float64), 0)
    dims = {"a": ["m", k]} if symbols else None
    # Errors are of a result before it is rounded.
    want = want if "errors" in claims else want.astype(dtype)
    return Case(nodes, feeds, want, dims, weights, output=dtype, **claims)


def wide_product(x, w):
    return x.astype(np.float64) @ w.astype(np.float64)


def gate(m, n, k, dtype=np.float32, **claims):
    """silu of one product times another: one kernel of both sums."""
    x = normal(m, k, dtype=dtype)
    w, v = (normal(k, n, dtype=dtype, seed=s) / dtype(8) for s in (1, 2))
    g = wide_product(x, w).astype(dtype)
    silu = (g * sigmoid(g.astype(np.float64)).astype(dtype)).astype(dtype)
    want = silu.astype(np.float64) * wide_product(x, v).astype(dtype)
    nodes = [node("MatMul", "x w", "g"), node("Sigmoid", "g", "s"), node("Mul", "g s", "a"),
             node("MatMul", "x v", "u"), node("Mul", "a u", "y")]
    return Case(nodes, {"x": x}, want.astype(dtype), {"x": ["m", k]}, {"w": w, "v": v},
                launches=1, **claims)


def siblings(m, k, columns, dtype=np.float32, norm=False, batch=(), **claims):
    """Products of the same rows, which a norm may make, one beside the other."""
    x, scale = normal(*batch, m, k, dtype=dtype), normal(k, dtype=dtype, seed=3)
    weights = {f"w{i}": normal(k, n, dtype=dtype, seed=i) for i, n in enumerate(columns)}
    nodes, rows = [], x
    if norm:
        nodes.append(node("RMSNormalization", "x scale", "h", epsilon=1e-5))
        wide = x.astype(np.float64)
        rows = wide / np.sqrt((wide ** 2).mean(-1, keepdims=True) + 1e-5)
        rows = (rows * scale.astype(np.float64)).astype(dtype)
    nodes += [node("MatMul", f"{'h' if norm else 'x'} {name}", f"p{name}") for name in weights]
    nodes.append(node("Concat", " ".join(f"p{name}" for name in weights), "y", axis=-1))
    want = np.concatenate([wide_product(rows, w) for w in weights.values()], -1)
    constants = weights | ({"scale": scale} if norm else {})
    return Case(nodes, {"x": x}, want.astype(dtype), {"x": ["b", "m", k][-x.ndim:]}, constants,
                stages=None, launches=2, **claims)


def convolution(channels, results, height, width, stride=1, dtype=np.float32, **claims):
    x = normal(2, channels, height, width, dtype=dtype)
    w = normal(results, channels, 3, 3, dtype=dtype)
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    want = np.einsum("nchwij,ocij->nohw", windows[:, :, ::stride, ::stride], w.astype(np.float64))
    want = want if "errors" in claims else want.astype(dtype)
    return Case([node("Conv", "x w", "y", pads=[1, 1, 1, 1], strides=[stride, stride])],
                {"x": x, "w": w}, want, {"x": ["b", channels, height, width]}, output=dtype,
                **claims)


def batched_product(batch, m, n, k, dtype):
    a, b = normal(batch, m, k, dtype=dtype), normal(batch, k, n, dtype=dtype, seed=1)
    want = a.astype(np.float64) @ b.astype(np.float64)
    return Case([node("MatMul", "a b", "y")], {"a": a, "b": b}, want.astype(dtype),
                {"a": ["b", "m", "k"], "b": ["b", "k", "n"]}, needs=("mma.sync",))


def attention(heads, kv_heads, rows, keys, width, causal=False, masked=False, dtype=F16, **claims):
    q = normal(1, heads, rows, width, dtype=dtype)
    k, v = (normal(1, kv_heads, keys, width, dtype=dtype, seed=s) for s in (1, 2))
    wide = [x.astype(np.float64) for x in (q, k, v)]
    wide[1:] = [np.repeat(x, heads // kv_heads, 1) for x in wide[1:]]
    scores = np.einsum("bhsd,bhtd->bhst", wide[0], wide[1]) * width ** -0.5
    mask = normal(rows, keys) > -0.5
    if causal:
        scores = np.where(np.arange(keys) <= np.arange(rows)[:, None], scores, -np.inf)
    if masked:
        scores = np.where(mask, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ wide[2]
    feeds = {"q": q, "k": k, "v": v} | ({"mask": mask} if masked else {})
    return Case([node("Attention", " ".join(feeds), "y", is_causal=int(causal))], feeds,
                want.astype(dtype), needs=() if dtype == np.float32 else ("mma.sync",), **claims)


def packed_attention(tokens, heads, width, dtype=F16):
    """Its operands are parts of one projection."""
    x = normal(2, tokens, 3, heads, width, dtype=dtype)
    q, k, v = x.astype(np.float64).transpose(2, 0, 3, 1, 4)
    weights = np.exp(q @ k.swapaxes(-1, -2) * width ** -0.5)
    want = weights / weights.sum(-1, keepdims=True) @ v
    nodes = [node("Transpose", "x", "parts", perm=[2, 0, 3, 1, 4]),
             *(node("Gather", f"parts n{i}", name, axis=0) for i, name in enumerate("qkv")),
             node("Transpose", "k", "turned", perm=[0, 1, 3, 2]),
             node("MatMul", "q turned", "scores"), node("Mul", "scores scale", "scaled"),
             node("Softmax", "scaled", "weights", axis=-1), node("MatMul", "weights v", "heads"),
             node("Transpose", "heads", "y", perm=[0, 2, 1, 3])]
    want = want.transpose(0, 2, 1, 3)
    constants = {f"n{i}": np.array(i) for i in range(3)}
    return Case(nodes, {"x": x}, want.astype(dtype),
                weights=constants | {"scale": np.array(width ** -0.5, dtype)}, launches=1)


def four_bit(m, n, k, block=32, dtype=np.float32):
    """Columns of B in blocks of 4 bits, the lower half of a byte first, about a zero of 8."""
    draw = np.random.default_rng(n)
    packed = draw.integers(0, 256, (n, k // block, block // 2), np.uint8)
    scales = draw.uniform(0.02, 0.1, (n, k // block)).astype(dtype)
    values = np.stack([packed & 15, packed >> 4], -1).reshape(n, k // block, block)
    b = ((values.astype(np.float64) - 8) * scales.astype(np.float64)[:, :, None]).reshape(n, k)
    a = normal(m, k, dtype=dtype)
    return Case([node("MatMulNBits", "a b scales", "y", domain=MICROSOFT, K=k, N=n, bits=4,
                      block_size=block)], {"a": a}, (a.astype(np.float64) @ b.T).astype(dtype),
                {"a": ["m", k]}, {"b": packed, "scales": scales.reshape(-1)})


# The relative error of products of f32 against f64, both ways: with numbers of 11, 16 and 24
# binary digits.
F32_ERRORS = {"ieee": (1e-8, 1e-6), "bf16x3": (1e-6, 2e-5), "tf32": (1e-4, 1e-3)}


def f32_products():
    for mode, errors in F32_ERRORS.items():
        needs = {"ieee": (), "tf32": ("mma.sync.aligned.m16n8k8", "cvt.rna.tf32"),
                 "bf16x3": ("mma.sync.aligned.m16n8k16",)}[mode]
        claims = {"options": [f"--f32-matmul={mode}"], "errors": errors, "needs": needs}
        yield f"f32-{mode}-deep", product(33, 40, 1024, symbols=False, **claims)
        yield f"f32-{mode}-wide", product(130, 136, 24, symbols=False, **claims)
        yield f"f32-{mode}-ragged", product(67, 33, 35, epilogue=True, **claims)
        yield f"f32-{mode}-convolution", convolution(4, 9, 8, 11, stride=2, **claims)


def converted_product(to, errors, needs):
    """A product of f32, calculated in 16 bits."""
    return product(33, 40, 200, symbols=False, options=[f"--passes=convert-float{{to={to}}}"],
                   errors=errors, needs=needs, stages=None)


def all_cases():
    yield from node_cases()
    yield "elementwise-1x1", elementwise(1, 1)
    yield "elementwise-7x131", elementwise(7, 131)
    yield from reductions.cases(Case, F16, BF16)
    yield from scatters.cases(Case)
    yield from transforms.cases(Case)
    yield "sum-of-all", sum_of_all(23, 61)
    yield "product-f32", product(70, 65, 33)
    yield "product-f32-static", product(70, 65, 33, symbols=False)
    yield "product-f32-epilogue", product(33, 66, 20, epilogue=True)
    # One row, up to eight, and tiles, side by side in one kernel.
    # Without rows nothing runs, so nothing behind an empty operand is read.
    yield "rows-0", product(0, 37, 150, weight=True, stages=[])
    for m, stage in ((1, 0), (2, 1), (8, 1), (9, 2)):
        yield f"rows-{m}", product(m, 37, 150, weight=True, stages=[stage])
        yield f"rows-{m}-f16", product(m, 21, 136, F16, weight=True, stages=[stage])
        yield f"rows-{m}-bf16", product(m, 21, 136, BF16, weight=True, stages=[stage])
    # A deep column's warp asks for more of it at a time, or shares it with others.
    for name, target in (("", "cuda:sm_80"), ("overlap-", "cuda:sm_90a")):
        for k in (1100, 4100):
            yield f"{name}rows-1-deep-{k}", product(1, 19, k, weight=True, stages=[0],
                                                    target=target)
    yield "rows-1-deep-f16", product(1, 19, 8200, F16, weight=True, stages=[0])
    for m, stage in ((1, 0), (5, 1), (67, 2)):
        for name, dtype in (("f32", np.float32), ("f16", F16)):
            yield f"gate-{m}-{name}", gate(m, 37, 152, dtype, stages=[stage])
            yield f"siblings-{m}-{name}", siblings(m, 72, (40, 9, 24), dtype, first=[stage])
            # One row is made by the blocks of the products, more by a stage before theirs.
            stages = [1] if m == 1 else [0, stage + 1]
            yield f"norm-{m}-{name}", siblings(m, 136, (40, 17, 9), dtype, True, first=stages)
            # Launches overlap: before a block waits it reads weights alone.
            hopper = {"target": "cuda:sm_90a"} if name == "f32" else None
            if hopper:
                yield f"overlap-gate-{m}", gate(m, 37, 152, stages=[stage], **hopper)
                yield f"overlap-siblings-{m}", siblings(m, 72, (40, 9, 24), first=[stage],
                                                        **hopper)
                yield f"overlap-norm-{m}", siblings(m, 576, (40, 17, 9), norm=True,
                                                    first=stages, **hopper)
    yield "norm-of-batch-1", siblings(1, 96, (33, 16), BF16, True, batch=(1,), first=[1])
    yield "norm-of-batch-9", siblings(3, 96, (33, 16), BF16, True, batch=(3,), first=[0, 3])
    for name, dtype in (("f16", F16), ("bf16", BF16)):
        yield f"product-{name}", product(70, 72, 40, dtype, needs=("mma.sync",))
        yield f"product-{name}-ragged", product(67, 33, 35, dtype, True, needs=("mma.sync",))
        yield f"product-{name}-deep", product(33, 40, 200, dtype, weight=True, stages=[2])
        yield f"product-{name}-epilogue", product(19, 24, 70, dtype, epilogue=True)
        yield f"product-{name}-batched", batched_product(3, 17, 20, 50, dtype)
    yield from f32_products()
    kinds = "mma.sync.aligned.m16n8k16.row.col.f32."
    yield "converted-bf16", converted_product("bf16", (1e-3, 1e-2), (kinds + "bf16",))
    yield "converted-f16", converted_product("f16", (1e-4, 1e-3), (kinds + "f16",))
    yield "convolution", convolution(3, 5, 7, 9)
    yield "convolution-stride", convolution(4, 9, 8, 11, stride=2)
    yield from convolutions.cases(Case, F16, BF16)
    yield from short_math.cases(Case, F16, BF16)
    yield from searches.cases(Case)
    yield "convolution-f16", convolution(8, 20, 6, 7, dtype=F16, needs=("mma.sync",))
    yield "attention-few", attention(4, 2, 3, 40, 16)
    yield "attention-few-masked", attention(4, 2, 3, 40, 16, masked=True)
    for dtype in (np.float32, F16):
        for tokens in (5, 70):
            yield (f"attention-parts-{tokens}-{np.dtype(dtype).name}",
                   packed_attention(tokens, 3, 16, dtype))
    yield "attention-64", attention(2, 1, 40, 40, 16, causal=True)
    yield "attention-64-ragged", attention(3, 3, 67, 131, 32, masked=True)
    yield "attention-64-bf16", attention(2, 1, 35, 70, 64, dtype=BF16)
    yield "attention-split", attention(2, 1, 1, 600, 16, stages=(0, 1))
    # More parts than are merged at a time.
    yield "attention-split-f32", attention(1, 1, 1, 4000, 16, dtype=np.float32, stages=(0, 1))
    yield "attention-split-f16", attention(1, 1, 1, 4000, 16, stages=(0, 1))
    for m in (1, 9):
        yield f"four-bit-{m}", four_bit(m, 24, 64)
        yield f"four-bit-{m}-f16", four_bit(m, 17, 96, 16, dtype=F16)
