#!/usr/bin/env python3
"""Small models with If, Loop and Scan against ONNX Runtime, each from one artifact with
all of its inputs' sets. (The onnx package's evaluator has no empty or reversed scans.)"""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx.parser  # noqa: E402
from tenon_tools import Tally, compile_model, ort_session, tenon_session  # noqa: E402


def f32(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape, np.float32)


def i64(value):
    return np.array(value, np.int64)


# What each model shows, its text, and sets of inputs.
MODELS = {
    "an axis that is squeezed where its size is 1 leaves a result of one rank": (
        """agraph (float[b, c, h, w] x) => (float[n, m, k] y) {
            shape = Shape (x)
            two = Constant <value = int64 {2}> ()
            size = Gather <axis = 0> (shape, two)
            one = Constant <value = int64 {1}> ()
            is_one = Equal (size, one)
            z = If (is_one) <
              then_branch = then () => (float[b, c, w] s) {
                axes = Constant <value = int64[1] {2}> ()
                s = Squeeze (x, axes)
              }, else_branch = other () => (float[b, c, h, w] i) { i = Identity (x) }>
            y = Transpose <perm = [2, 0, 1]> (z) }""",
        [{"x": f32(2, 3, 1, 4)}, {"x": f32(1, 2, 1, 7)}]),
    "a carried tensor grows by what the body computes": (
        """agraph (int64 m, float[1, k] x) => (float[n, k] y) {
            yes = Constant <value = bool {1}> ()
            y = Loop (m, yes, x) <body = body (int64 i, bool c, float[p, k] a) => (bool d, float[q, k] b) {
              last = Constant <value = int64[1] {-1}> ()
              end = Constant <value = int64[1] {9223372036854775807}> ()
              axis = Constant <value = int64[1] {0}> ()
              row = Slice (a, last, end, axis)
              next = Add (row, x)
              b = Concat <axis = 0> (a, next)
              d = Identity (c) }> }""",
        [{"m": i64(3), "x": f32(1, 4)}, {"m": i64(0), "x": f32(1, 5)}, {"m": i64(17), "x": f32(1, 1)}]),
    "the condition ends the loop, and slices are gathered until then": (
        """agraph (float[k] x, float limit) => (float[k] y, float[n, k] all) {
            yes = Constant <value = bool {1}> ()
            y, all = Loop (, yes, x) <body = body (int64 i, bool c, float[k] a) => (bool d, float[k] b, float[k] s) {
              two = Constant <value = float {2.0}> ()
              b = Mul (a, two)
              sum = ReduceMax <keepdims = 0> (b)
              d = Less (sum, limit)
              s = Add (b, x) }> }""",
        [{"x": np.abs(f32(3)) + 1, "limit": np.array(1000, np.float32)}, {"x": np.abs(f32(7)) + 1, "limit": np.array(0, np.float32)}]),
    "a false condition means no round": (
        """agraph (float[k] x, bool c0, int64 m) => (float[k] y, float[n, k] all) {
            y, all = Loop (m, c0, x) <body = body (int64 i, bool c, float[k] a) => (bool d, float[k] b, float[k] s) {
              b = Add (a, x)
              d = Identity (c)
              s = Mul (b, b) }> }""",
        [{"x": f32(3), "c0": np.array(False), "m": i64(5)}, {"x": f32(3), "c0": np.array(True), "m": i64(5)},
         {"x": f32(2), "c0": np.array(True), "m": i64(0)}]),
    "carried values change places": (
        """agraph (float[k] x, float[k] y, int64 m) => (float[k] u, float[k] v) {
            yes = Constant <value = bool {1}> ()
            u, v = Loop (m, yes, x, y) <body = body (int64 i, bool c, float[k] a, float[k] b) => (bool d, float[k] b1, float[k] a1) {
              d = Identity (c)
              b1 = Identity (b)
              a1 = Identity (a) }> }""",
        [{"x": f32(3), "y": f32(3) + 1, "m": i64(3)}, {"x": f32(3), "y": f32(3) + 1, "m": i64(4)}]),
    "a loop in a loop, the inner one over the outer one's round": (
        """agraph (float[k] x, int64 m) => (float[k] y, float[n, k] all) {
            yes = Constant <value = bool {1}> ()
            y, all = Loop (m, yes, x) <body = outer (int64 i, bool c, float[k] a) => (bool d, float[k] b, float[k] s) {
              d = Identity (c)
              on = Constant <value = bool {1}> ()
              b = Loop (i, on, a) <body = inner (int64 j, bool e, float[k] p) => (bool g, float[k] q) {
                g = Identity (e)
                q = Add (p, x) }>
              s = Sub (b, a) }> }""",
        [{"x": f32(3), "m": i64(4)}, {"x": f32(5), "m": i64(1)}, {"x": f32(5), "m": i64(0)}]),
    "branches give different sizes": (
        """agraph (float[n, k] x, bool c) => (float[p, q] y) {
            z = If (c) <then_branch = yes () => (float[a, b] t) {
              t = Concat <axis = 0> (x, x) },
            else_branch = no () => (float[a, b] e) {
              e = Transpose (x) }>
            y = Mul (z, z) }""",
        [{"x": f32(2, 3), "c": np.array(True)}, {"x": f32(2, 3), "c": np.array(False)},
         {"x": f32(1, 1), "c": np.array(True)}]),
    "what one branch requires of sizes does not bind the other": (
        """agraph (float[n] x, float[m] w, bool c) => (float[p] y) {
            y = If (c) <then_branch = yes () => (float[a] t) { t = Add (x, w) },
            else_branch = no () => (float[b] e) { e = Concat <axis = 0> (x, w) }> }""",
        [{"x": f32(4), "w": f32(4), "c": np.array(True)}, {"x": f32(4), "w": f32(2), "c": np.array(False)}]),
    "a branch in a loop, by the parity of the round": (
        """agraph (float[k] x, int64 m) => (float[k] y) {
            yes = Constant <value = bool {1}> ()
            y = Loop (m, yes, x) <body = body (int64 i, bool c, float[k] a) => (bool d, float[k] b) {
              d = Identity (c)
              two = Constant <value = int64 {2}> ()
              zero = Constant <value = int64 {0}> ()
              rest = Mod (i, two)
              even = Equal (rest, zero)
              b = If (even) <then_branch = t () => (float[k] t1) { t1 = Add (a, x) },
                else_branch = e () => (float[k] e1) { e1 = Mul (a, x) }> }> }""",
        [{"x": f32(3), "m": i64(5)}]),
    "slices whose size is the round's at the end": (
        """agraph (float[n] x, int64 m) => (float[k] y, int64[m] r) {
            yes = Constant <value = bool {1}> ()
            y, r = Loop (m, yes, x) <body = body (int64 i, bool c, float[p] a) => (bool d, float[q] b, int64 s) {
              d = Identity (c)
              b = Concat <axis = 0> (a, x)
              s = Size (b) }> }""",
        [{"x": f32(3), "m": i64(4)}, {"x": f32(1), "m": i64(0)}]),
    "a scan backwards, along other axes": (
        """agraph (float[k] h, float[k, t] x) => (float[k] y, float[k, t] all) {
            y, all = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_input_directions = [1],
                           scan_output_axes = [-1], scan_output_directions = [1],
              body = body (float[k] s, float[k] e) => (float[k] s1, float[k] o) {
                s1 = Add (s, e)
                o = Mul (s1, h) }> (h, x) }""",
        [{"h": f32(3), "x": f32(3, 5)}, {"h": f32(3), "x": f32(3, 1)}]),
    "a scan without states": (
        """agraph (int32[t, k] x) => (int32[t, k] y) {
            y = Scan <num_scan_inputs = 1, body = body (int32[k] e) => (int32[k] o) { o = Mul (e, e) }> (x) }""",
        [{"x": np.arange(12, dtype=np.int32).reshape(3, 4)}]),
}


def judge(text, feeds):
    """Why the model's outputs differ from the reference's, or ""."""
    model = onnx.parser.parse_model('<ir_version: 10, opset_import: ["" : 21]>\n' + text)
    with tempfile.TemporaryDirectory(prefix="tenon-flow-") as folder:
        path = pathlib.Path(folder, "model.onnx")
        onnx.save(model, path)
        session = tenon_session(compile_model(path, path.with_suffix(".tenon")), threads=1)
        for inputs in feeds:
            expected = ort_session(path, threads=1).run(None, inputs)
            found = session.run(inputs)
            for output, value in zip(model.graph.output, expected):
                got = np.asarray(found[output.name])
                if value.size == 0:  # where no slice was made, its sizes are 0 there
                    value = value.reshape(got.shape) if got.size == 0 else value
                # A few sums and products of float32, in the same order: equal.
                if got.shape != value.shape or not np.array_equal(got, value):
                    return f"{output.name}: expected {value}, but got {got}"
    return ""


def main():
    tally = Tally()
    for claim, (text, feeds) in MODELS.items():
        try:
            reason = judge(text, feeds)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
        tally.check(claim, not reason, reason)
    tally.finish()


main()
