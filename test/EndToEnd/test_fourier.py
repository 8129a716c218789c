#!/usr/bin/env python3
"""DFT and STFT of lengths with all kinds of factors against NumPy in double precision."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from tenon_tools import Tally, compile_model, tenon_session  # noqa: E402

# Stages multiply rounded roots: an error of about the type's rounding times the square root
# of the number of operations, relative to the largest element.
TOLERANCE = {"float64": 1e-14, "float32": 2e-6, "float16": 2e-3}
KINDS = {"float64": TensorProto.DOUBLE, "float32": TensorProto.FLOAT,
         "float16": TensorProto.FLOAT16, "int64": TensorProto.INT64}


def signal(shape, dtype):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


SESSIONS = {}  # by model: sizes that are open need no other artifact


def run(nodes, feeds, dims, rank, constants):
    dtype = KINDS[str(feeds["x"].dtype)]
    inputs = [helper.make_tensor_value_info(n, KINDS[str(v.dtype)], dims.get(n, v.shape))
              for n, v in feeds.items()]
    outputs = [helper.make_tensor_value_info("y", dtype, [None] * rank)]
    initializers = [onnx.numpy_helper.from_array(v, n) for n, v in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    text = model.SerializeToString()
    if text not in SESSIONS:
        with tempfile.TemporaryDirectory(prefix="tenon-fourier-") as folder:
            path = pathlib.Path(folder, "model.onnx")
            onnx.save(model, path)
            SESSIONS[text] = tenon_session(compile_model(path, path.with_suffix(".tenon")),
                                           threads=1)
    return np.asarray(SESSIONS[text].run(feeds)["y"])


def dft(x, axis, dims=None, length=None, given=(), **attributes):
    """What is `given`, "axis" or "length", is an input, else a constant."""
    constants = {"axis": np.array(axis)}
    if length is not None:
        constants["length"] = np.array(length)
    feeds = {"x": x} | {name: constants.pop(name) for name in given}
    node = helper.make_node("DFT", ["x", "length" if length is not None else "", "axis"], ["y"],
                            **attributes)
    return run([node], feeds, dims or {}, x.ndim, constants)


def parts(z):
    return np.stack((z.real, z.imag), axis=-1)


def whole(x):
    wide = x.astype(np.float64)
    return wide[..., 0] + 1j * wide[..., 1] if x.shape[-1] == 2 else wide[..., 0]


def judge(tally, claim, found, expected, dtype="float32"):
    """`found` within the tolerance of the exact result."""
    error = np.inf
    if found.shape == expected.shape and found.dtype == dtype:
        error = np.abs(found.astype(np.float64) - expected).max(initial=0)
        error /= max(np.abs(expected).max(initial=0), 1)
    reason = f"{found.dtype} {found.shape} of {expected.shape}, off by {error:.2g} of the largest"
    tally.check(claim, error <= TOLERANCE[dtype], reason)


def check_lengths(tally):
    for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 30, 32, 77, 97, 100, 125, 128, 210, 1024, 1009):
        x = signal((2, n, 2), np.float32)
        judge(tally, f"{n} complex elements", dft(x, 1), parts(np.fft.fft(whole(x), axis=1)))
        judge(tally, f"{n} inverse", dft(x, 1, inverse=1), parts(np.fft.ifft(whole(x), axis=1)))
        judge(tally, f"{n} real elements, one side", dft(x[..., :1], 1, onesided=1),
              parts(np.fft.rfft(whole(x[..., :1]), axis=1)))
    for dtype in TOLERANCE:
        x = signal((3, 60, 2), dtype)
        judge(tally, f"60 of {dtype}", dft(x, 1), parts(np.fft.fft(whole(x), axis=1)), dtype)


def check_open_lengths(tally):
    """One artifact for all of them: factors are found at run time."""
    for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 30, 32, 77, 97, 100, 125, 128, 210, 1024, 1009,
              3 * 5 * 49 * 8):
        x = signal((2, n, 3, 2), np.float32)
        opened = {"x": ["a", "n", "b", 2]}
        expected = parts(np.fft.fft(whole(x), axis=1)) if n else x
        judge(tally, f"any length, {n} complex", dft(x, 1, opened), expected)
        expected = parts(np.fft.ifft(whole(x), axis=1)) if n else x
        judge(tally, f"any length, {n} inverse", dft(x, 1, opened, inverse=1), expected)
        if n:
            judge(tally, f"any length, {n} real, one side",
                  dft(x[..., :1], 1, {"x": ["a", "n", "b", 1]}, onesided=1),
                  parts(np.fft.rfft(whole(x[..., :1]), axis=1)))
        if n > 1:
            judge(tally, f"any length, {n} of one side",
                  dft(x, 1, opened, inverse=1, onesided=1),
                  np.fft.irfft(whole(x), axis=1)[..., None])
    for dtype in TOLERANCE:
        x = signal((3, 60, 2), dtype)
        judge(tally, f"any length, 60 of {dtype}", dft(x, 1, {"x": ["a", "n", 2]}),
              parts(np.fft.fft(whole(x), axis=1)), dtype)


def check_open_axes(tally):
    x = signal((4, 12, 15, 2), np.float32)
    for axis in (0, 1, 2, -2, -3):
        place = axis if axis >= 0 else 4 + axis
        for inverse, oracle in ((0, np.fft.fft), (1, np.fft.ifft)):
            judge(tally, f"axis {axis} as an input, inverse {inverse}",
                  dft(x, axis, given=["axis"], inverse=inverse),
                  parts(oracle(whole(x), axis=place)))
        for length in (7, 12, 20):
            judge(tally, f"axis {axis} and length {length} as inputs",
                  dft(x, axis, {"x": ["a", "b", "c", 2]}, length, given=["axis", "length"]),
                  parts(np.fft.fft(whole(x), n=length, axis=place)))
        real = x[..., :1]
        judge(tally, f"axis {axis} as an input, one side",
              dft(real, axis, given=["axis"], onesided=1),
              parts(np.fft.rfft(whole(real), axis=place)))
        judge(tally, f"axis {axis} as an input, of one side",
              dft(x, axis, given=["axis"], onesided=1, inverse=1),
              np.fft.irfft(whole(x), axis=place)[..., None])


def check_forms(tally):
    x = signal((4, 12, 15, 2), np.float32)
    for axis in (0, 1, 2, -2):
        place = axis if axis >= 0 else 2
        judge(tally, f"axis {axis}", dft(x, axis), parts(np.fft.fft(whole(x), axis=place)))
    for length in (8, 12, 20):
        expected = np.fft.fft(whole(x), n=length, axis=1)
        judge(tally, f"12 elements as {length}", dft(x, 1, length=length), parts(expected))
        judge(tally, f"an open size as {length}", dft(x, 1, {"x": ["a", "n", "b", 2]}, length),
              parts(expected))
    for n, length in ((7, None), (7, 12), (7, 13), (5, 12)):
        half = signal((2, n, 2), np.float32)
        expected = np.fft.irfft(whole(half), n=length, axis=1)[..., None]
        judge(tally, f"{n} of one side as {length}",
              dft(half, 1, length=length, inverse=1, onesided=1), expected)


def check_frames(tally):
    x, window = signal((2, 90, 1), np.float32), signal((20,), np.float32)
    frames = np.stack([whole(x)[:, s:s + 20] for s in range(0, 71, 7)], axis=1)
    node = helper.make_node("STFT", ["x", "step", "window", "length"], ["y"], onesided=1)
    constants = {"step": np.array(7), "length": np.array(20)}
    expected = parts(np.fft.rfft(frames * window.astype(np.float64), axis=2))
    judge(tally, "frames under a window",
          run([node], {"x": x, "window": window}, {}, 4, constants), expected)
    node.input[3] = ""
    judge(tally, "frames under a window of any size",
          run([node], {"x": x, "window": window}, {"x": ["b", "n", 1], "window": ["m"]}, 4,
              {"step": np.array(7)}), expected)


def main():
    tally = Tally()
    check_lengths(tally)
    check_open_lengths(tally)
    check_open_axes(tally)
    check_forms(tally)
    check_frames(tally)
    tally.finish()


main()
