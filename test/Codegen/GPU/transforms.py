"""Fourier transforms of which only the run tells the length or the axis."""
import numpy as np
from onnx import helper

from models import node


def signal(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def transform(make, x, axis, dims=None, **attributes):
    """The axis is an input where there are no `dims`, else known."""
    places = np.array(axis, np.int64)
    z = x[..., 0] + 1j * x[..., -1].astype(np.float64)
    y = (np.fft.ifft if attributes.get("inverse") else np.fft.fft)(z, axis=axis)
    want = np.stack((y.real, y.imag), -1).astype(x.dtype)
    feeds, weights = ({"x": x}, {"axis": places}) if dims else ({"x": x, "axis": places}, None)
    made = helper.make_node("DFT", ["x", "", "axis"], ["y"], **attributes)
    return make([made], feeds, want, dims, weights, stages=None)


def frames(make, batch, length, size, step):
    x = signal(batch, length, 1)
    parts = np.stack([x[:, s:s + size, 0] for s in range(0, length - size + 1, step)], 1)
    y = np.fft.rfft(parts.astype(np.float64), axis=-1)
    window = np.ones(size, np.float32)
    return make([node("STFT", "x step window", "y")],
                {"x": x, "window": window}, np.stack((y.real, y.imag), -1).astype(np.float32),
                {"x": ["b", "n", 1], "window": ["m"]}, {"step": np.array(step)}, stages=None)


def cases(make):
    for n in (1, 2, 6, 24, 30, 49, 64):
        for inverse in (0, 1):
            yield (f"transform-any-{n}-{inverse}",
                   transform(make, signal(2, n, 3, 2), 1, {"x": ["a", "n", "b", 2]},
                             inverse=inverse))
    for axis in (0, 1, 2):
        yield f"transform-axis-{axis}", transform(make, signal(4, 6, 5, 2), axis, inverse=1)
    yield ("transform-any-f64",
           transform(make, signal(3, 20, 2, dtype=np.float64), 1, {"x": ["a", "n", 2]}))
    yield "transform-frames", frames(make, 2, 60, 12, 7)
