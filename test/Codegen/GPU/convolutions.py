"""Convolutions and what stands around them, with channels last on the device."""
import numpy as np

from models import node


def pad(x, pads, value=0.0):
    """An image [n, c, spatial...] with `value` around it, as ONNX gives pads."""
    spatial = x.ndim - 2
    widths = [(0, 0), (0, 0)] + [(pads[i], pads[spatial + i]) for i in range(spatial)]
    return np.pad(x, widths, constant_values=value)


def windows(x, kernel, strides, dilations, pads, value=0.0):
    """[n, c, outputs..., kernel...]"""
    spatial = x.ndim - 2
    x = pad(x.astype(np.float64), pads, value)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    view = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, x.ndim)))
    every = tuple(slice(None, None, s) for s in strides)
    within = tuple(slice(None, None, d) for d in dilations)
    return view[(slice(None), slice(None)) + every + within][(...,)].reshape(
        view.shape[:2] + tuple(-(-n // s) for n, s in zip(view.shape[2:2 + spatial], strides))
        + tuple(kernel))


def convolve(x, w, strides=None, dilations=None, pads=None, group=1, bias=None):
    spatial = x.ndim - 2
    strides, dilations = strides or [1] * spatial, dilations or [1] * spatial
    pads = pads or [0] * (2 * spatial)
    outputs = []
    channels, filters = x.shape[1] // group, w.shape[0] // group
    for g in range(group):
        view = windows(x[:, g * channels:(g + 1) * channels], w.shape[2:], strides, dilations,
                       pads)
        axes = list(range(2 + spatial, 2 + 2 * spatial))
        own = w[g * filters:(g + 1) * filters].astype(np.float64)
        result = np.tensordot(view, own, ([1] + axes, [1] + list(range(2, 2 + spatial))))
        outputs.append(np.moveaxis(result, -1, 1))
    result = np.concatenate(outputs, 1)
    if bias is not None:
        result += bias.astype(np.float64).reshape([1, -1] + [1] * spatial)
    return result


class Convolution:
    """The nodes, operands and result of a Conv on random numbers."""

    def __init__(self, image, filters, dtype=np.float32, bias=False, seed=0, **attributes):
        generator = np.random.default_rng(seed + sum(image) + sum(filters))
        self.x = generator.standard_normal(image).astype(dtype)
        scale = np.prod(filters[1:]) ** -0.5
        self.w = (generator.standard_normal(filters) * scale).astype(dtype)
        self.b = generator.standard_normal(filters[0]).astype(dtype) if bias else None
        self.attributes = attributes
        self.want = convolve(self.x, self.w, bias=self.b, **attributes)

    def node(self, inputs="x w", output="y"):
        return node("Conv", inputs + (" b" if self.b is not None else ""), output,
                    **self.attributes)

    def weights(self):
        return {"w": self.w} | ({"b": self.b} if self.b is not None else {})


def one(make, *shapes, dims=None, constant=True, needs=(), stages=None, **options):
    conv = Convolution(*shapes, **options)
    feeds = {"x": conv.x} | ({} if constant else conv.weights())
    return make([conv.node()], feeds, conv.want.astype(conv.x.dtype), dims,
                conv.weights() if constant else None, needs=needs, stages=stages)


def residual(make, dtype, dims=None):
    """relu(conv(relu(conv(x))) + x), where the layout goes through all of it."""
    first = Convolution((2, 16, 6, 7), (16, 16, 3, 3), dtype, True, pads=[1, 1, 1, 1])
    second = Convolution((2, 16, 6, 7), (16, 16, 1, 1), dtype, seed=3)
    middle = np.maximum(first.want, 0).astype(dtype)
    want = np.maximum(convolve(middle, second.w).astype(dtype) + first.x, 0)
    nodes = [first.node(output="c"), node("Relu", "c", "r"),
             node("Conv", "r v", "d"), node("Add", "d x", "s"), node("Relu", "s", "y")]
    return make(nodes, {"x": first.x}, want.astype(dtype), dims,
                first.weights() | {"v": second.w}, stages=None)


def squeeze(make, dtype):
    """A depthwise convolution whose result is scaled by what its mean says, as in MobileNetV3."""
    conv = Convolution((2, 16, 7, 5), (16, 1, 3, 3), dtype, True, group=16, pads=[1, 1, 1, 1],
                       strides=[2, 2])
    small = Convolution((2, 16, 1, 1), (16, 16, 1, 1), dtype, seed=5)
    image = conv.want.astype(dtype)
    mean = image.astype(np.float64).mean((2, 3), keepdims=True)
    scale = 1 / (1 + np.exp(-convolve(mean, small.w)))
    nodes = [conv.node(output="c"), node("GlobalAveragePool", "c", "m"),
             node("Conv", "m v", "d"), node("Sigmoid", "d", "s"), node("Mul", "c s", "y")]
    return make(nodes, {"x": conv.x}, (image * scale).astype(dtype), None,
                conv.weights() | {"v": small.w}, stages=None)


def pooled(make, op, dtype, value, reduce):
    """A pool between two convolutions, with pads that must never be chosen."""
    first = Convolution((2, 8, 9, 8), (8, 8, 1, 1), dtype)
    image = first.want.astype(dtype)
    view = windows(image, (3, 3), (2, 2), (1, 1), [1, 1, 1, 1], value)
    second = Convolution((2, 8, 5, 4), (8, 8, 1, 1), dtype, seed=7)
    want = convolve(reduce(view, (-2, -1)).astype(dtype), second.w)
    nodes = [first.node(output="c"),
             node(op, "c", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
             node("Conv", "p v", "y")]
    return make(nodes, {"x": first.x}, want.astype(dtype), None,
                first.weights() | {"v": second.w}, stages=None)


def cases(make, f16, bf16):
    same = {"pads": [1, 1, 1, 1]}
    mma = ("mma.sync",)
    for name, dtype, needs in (("f32", np.float32, ()), ("f16", f16, mma), ("bf16", bf16, mma)):
        yield f"window-{name}", one(make, (2, 16, 9, 11), (20, 16, 3, 3), dtype=dtype,
                                    needs=needs, **same)
        yield f"window-few-channels-{name}", one(
            make, (1, 3, 17, 19), (24, 3, 7, 7), dtype=dtype, needs=needs, strides=[2, 2],
            pads=[3, 3, 3, 3], bias=True)
        yield f"depthwise-{name}", one(make, (2, 24, 9, 8), (24, 1, 3, 3), dtype=dtype,
                                       group=24, **same)
        yield f"residual-{name}", residual(make, dtype)
    every = {"x": ["b", 16, "h", "w"]}
    yield "window-dynamic", one(make, (2, 16, 9, 11), (20, 16, 3, 3), dims=every, dtype=f16,
                                strides=[2, 2], **same)
    yield "window-packed-dynamic", one(make, (2, 3, 12, 14), (24, 3, 4, 4),
                                       dims={"x": ["b", 3, "h", "w"]}, dtype=f16,
                                       strides=[4, 4])
    yield "window-given", one(make, (1, 16, 6, 7), (20, 16, 3, 3), constant=False, dtype=f16,
                              **same)
    yield "window-dilated", one(make, (1, 8, 12, 13), (16, 8, 3, 3), dtype=f16,
                                dilations=[2, 3], pads=[2, 1, 0, 3])
    yield "window-step-1x1", one(make, (2, 16, 9, 8), (24, 16, 1, 1), dtype=f16, strides=[2, 2])
    yield "window-padded-1x1", one(make, (2, 8, 3, 4), (20, 8, 1, 1), dtype=f16,
                                   pads=[1, 0, 1, 2])
    yield "window-short", one(make, (1, 8, 10, 11), (16, 8, 2, 2), dtype=f16, strides=[3, 3])
    yield "window-1d", one(make, (2, 16, 21), (12, 16, 3), dtype=f16, pads=[1, 1],
                           strides=[2])
    yield "window-3d", one(make, (1, 8, 5, 6, 7), (12, 8, 3, 2, 3), dtype=f16,
                           pads=[1, 0, 1, 1, 1, 1])
    yield "window-odd-channels", one(make, (1, 12, 6, 7), (10, 12, 3, 3), dtype=f16, **same)
    yield "grouped", one(make, (2, 32, 7, 6), (48, 16, 3, 3), dtype=f16, group=2, bias=True,
                         **same)
    yield "depthwise-multiplied", one(make, (2, 6, 7, 6), (12, 1, 3, 3), group=6, bias=True)
    yield "residual-dynamic", residual(make, f16, {"x": ["b", 16, "h", "w"]})
    yield "squeeze", squeeze(make, np.float32)
    yield "squeeze-f16", squeeze(make, f16)
    yield "pooled-max", pooled(make, "MaxPool", f16, -np.inf, np.max)
    yield "pooled-max-f32", pooled(make, "MaxPool", np.float32, -np.inf, np.max)
    counts = np.nanmean
    yield "pooled-mean", pooled(make, "AveragePool", np.float32, np.nan, counts)


def tiled_cases(make, f16, bf16):
    """What tensor maps say on Hopper: whole tiles of k and rests, steps, groups, images of one
    to three dimensions, few windows and many."""
    same = {"pads": [1, 1, 1, 1]}
    shapes = {
        "same": ((2, 64, 13, 15), (64, 64, 3, 3), {"bias": True} | same),
        "stepped": ((3, 64, 15, 14), (128, 64, 3, 3), {"strides": [2, 2]} | same),
        "part-of-k": ((2, 96, 9, 10), (72, 96, 3, 3), same),
        "little-k": ((2, 16, 20, 9), (40, 16, 5, 3), {"pads": [2, 1, 2, 1]}),
        "bf16": ((2, 64, 13, 15), (64, 64, 3, 3), {"dtype": bf16} | same),
        "dilated": ((1, 64, 20, 21), (64, 64, 3, 3),
                    {"pads": [2, 3, 2, 3], "dilations": [2, 3]}),
        "stepped-1x1": ((2, 64, 14, 14), (128, 64, 1, 1), {"strides": [2, 2]}),
        "1x1": ((2, 64, 14, 14), (136, 64, 1, 1), {}),
        "uneven": ((2, 64, 11, 12), (64, 64, 3, 2), {"pads": [1, 0, 2, 1], "strides": [2, 3]}),
        "grouped": ((2, 128, 10, 9), (128, 64, 3, 3), {"group": 2} | same),
        "first": ((2, 3, 61, 67), (64, 3, 7, 7),
                  {"pads": [3, 3, 3, 3], "strides": [2, 2], "bias": True}),
        "patches": ((2, 3, 64, 48), (96, 3, 16, 16), {"strides": [16, 16], "bias": True}),
        "line": ((2, 64, 70), (80, 64, 3), {"pads": [1, 1], "strides": [2]}),
        "volume": ((1, 64, 6, 7, 8), (64, 64, 3, 3, 3), {"pads": [1] * 6}),
        "few-windows": ((1, 512, 7, 7), (128, 512, 3, 3), same),
        "middle": ((1, 256, 14, 14), (256, 256, 3, 3), same),
        "many-windows": ((1, 64, 56, 56), (64, 64, 3, 3), same),
        "dynamic": ((3, 64, 13, 15), (64, 64, 3, 3),
                    {"dims": {"x": ["b", 64, "h", "w"]}} | same),
        "given": ((2, 64, 9, 8), (64, 64, 3, 3), {"constant": False} | same),
        "depthwise-7x7": ((2, 64, 15, 14), (64, 1, 7, 7),
                          {"pads": [3] * 4, "group": 64, "bias": True}),
    }
    for name, (image, filters, options) in shapes.items():
        yield f"tiled-{name}", one(make, image, filters, **({"dtype": f16} | options))
    conv = Convolution((3, 64, 10, 9), (64, 64, 3, 3), f16, **same)
    scale = np.random.default_rng(9).standard_normal((3, 64, 1, 1)).astype(f16)
    # An image is a batch where something of it is in the epilogue.
    yield "tiled-scaled", make([conv.node(output="d"), node("Mul", "d s", "y")],
                               {"x": conv.x, "s": scale}, (conv.want.astype(f16) * scale),
                               None, conv.weights(), stages=None)
