#!/usr/bin/env python3
"""Plans made to do harm, with the hashes of their files recomputed: no symbol of a launch
can name more than its buffers hold. Each is set to a large number in turn, and the run
has to fail before the kernel begins."""
import pathlib
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tools/dev")]

import numpy as np  # noqa: E402
import onnx.parser  # noqa: E402
import xxhash  # noqa: E402
from fuzz_mutations import HEADER  # noqa: E402
from tenon_tools import Tally, compile_model, tenon_session  # noqa: E402

MODELS = {
    "Split": ("(float[n, 6] x) => (float[p, 6] y, float[q, 6] z) {"
              "y, z = Split <axis = 0, num_outputs = 2> (x) }", {"x": (9, 6)}),
    "Slice": ("(float[n, m] x) => (float[p, q] y) {"
              "shape = Shape (x)\n two = Constant <value = int64[1] {2}> ()\n"
              "half = Div (shape, two)\n zero = Constant <value = int64[1] {0}> ()\n"
              "start = Gather (half, zero)\n end = Gather (shape, zero)\n"
              "y = Slice (x, start, end, zero) }", {"x": (9, 6)}),
    "Concat": ("(float[n, k] a, float[m, k] b) => (float[p, k] y) {"
               "y = Concat <axis = 0> (a, b) }", {"a": (3, 5), "b": (4, 5)}),
    "Conv without pads": ("(float[n, 2, h, w] x, float[3, 2, 3, 3] f) => (float[n, 3, p, q] y) {"
                          "y = Conv (x, f) }", {"x": (1, 2, 8, 9), "f": (3, 2, 3, 3)}),
    "MaxPool": ("(float[n, c, h, w] x) => (float[n, c, p, q] y) {"
                "y = MaxPool <kernel_shape = [2, 3], strides = [2, 1]> (x) }", {"x": (1, 2, 8, 9)}),
    "MatMul": ("(float[n, k] x, float[k, m] w) => (float[n, m] y) {"
               "y = MatMul (x, w) }", {"x": (5, 7), "w": (7, 9)}),
    "Add": ("(float[n, k] x, float[k] b) => (float[n, k] y) { y = Add (x, b) }",
            {"x": (5, 7), "b": (7,)}),
    "Pad": ("(float[n, m] x) => (float[p, q] y) {"
            "pads = Constant <value = int64[4] {1, 2, 0, 3}> ()\n y = Pad (x, pads) }",
            {"x": (5, 7)}),
    "Pad by reflection": ("(float[n, m] x) => (float[p, q] y) {"
                          "pads = Constant <value = int64[4] {1, 2, 0, 3}> ()\n"
                          "y = Pad <mode = \"reflect\"> (x, pads) }", {"x": (5, 7)}),
    "Resize": ("(float[1, c, h, w] x) => (float[1, c, p, q] y) {"
               "scales = Constant <value = float[4] {1.0, 1.0, 2.0, 1.5}> ()\n"
               "y = Resize <mode = \"linear\"> (x, , scales) }", {"x": (1, 2, 5, 6)}),
    "STFT": ("(float[b, n, 1] x, float[m] window) => (float[b, f, k, 2] y) {"
             "step = Constant <value = int64 {3}> ()\n y = STFT (x, step, window) }",
             {"x": (2, 40, 1), "window": (8,)}),
    "STFT of known size": ("(float[b, n, 1] x, float[8] window) => (float[b, f, k, 2] y) {"
             "step = Constant <value = int64 {3}> ()\n y = STFT (x, step, window) }",
             {"x": (2, 40, 1), "window": (8,)}),
    "DFT": ("(float[a, n, b, 2] x) => (float[a, n, b, 2] y) {"
            "axis = Constant <value = int64 {1}> ()\n y = DFT (x, , axis) }", {"x": (2, 12, 3, 2)}),
    "inverse DFT of one side": (
        "(float[a, n, b, 2] x) => (float[a, m, b, 1] y) {"
        "axis = Constant <value = int64 {1}> ()\n"
        "y = DFT <inverse = 1, onesided = 1> (x, , axis) }", {"x": (2, 7, 3, 2)}),
    "Col2Im": ("(float[1, c, l] x) => (float[1, d, 5, 5] y) {"
               "image = Constant <value = int64[2] {5, 5}> ()\n"
               "block = Constant <value = int64[2] {2, 2}> ()\n y = Col2Im (x, image, block) }",
               {"x": (1, 8, 16)}),
    "GridSample": ("(float[1, c, h, w] x, float[1, p, q, 2] g) => (float[1, c, p, q] y) {"
                   "y = GridSample (x, g) }", {"x": (1, 2, 5, 6), "g": (1, 3, 4, 2)}),
    "ScatterElements": ("(float[n, m] x, float[n, k] u) => (float[n, m] y) {"
                        "i = Cast <to = 7> (u)\n y = ScatterElements <axis = 1> (x, i, u) }",
                        {"x": (5, 7), "u": (5, 3)}),
    "Gather": ("(float[n, m] x, float[k] u) => (float[k, m] y) {"
               "i = Cast <to = 7> (u)\n y = Gather <axis = 0> (x, i) }", {"x": (5, 7), "u": (3,)}),
    "CumSum": ("(float[n, m] x) => (float[n, m] y) {"
               "axis = Constant <value = int64 {1}> ()\n y = CumSum (x, axis) }", {"x": (5, 7)}),
}
# By model, the symbols of launches that only change numbers: of which length factors and roots
# of unity are, a count of frames and the size of an axis that positions are clamped after.
NUMBERS = {"STFT": {(0, 0), (1, 1), (3, 5)}, "DFT": {(0, 0), (1, 1)},
           "inverse DFT of one side": {(0, 0), (1, 1), (3, 5)}}
LARGE = 1 << 20


class Table:
    """A table of a FlatBuffer."""

    def __init__(self, data, at):
        self.data, self.at = data, at

    def field(self, slot):
        """Where the field of that number is, or None."""
        vtable = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        size, = struct.unpack_from("<H", self.data, vtable)
        if 4 + 2 * slot >= size:
            return None
        offset, = struct.unpack_from("<H", self.data, vtable + 4 + 2 * slot)
        return self.at + offset if offset else None

    def follow(self, at):
        return at + struct.unpack_from("<I", self.data, at)[0]

    def table(self, slot):
        return Table(self.data, self.follow(self.field(slot)))

    def places(self, slot):
        """Where the elements of a vector of uint or tables are."""
        if self.field(slot) is None:
            return []
        start = self.follow(self.field(slot))
        count, = struct.unpack_from("<I", self.data, start)
        return [start + 4 + 4 * i for i in range(count)]

    def tables(self, slot):
        return [Table(self.data, self.follow(at)) for at in self.places(slot)]


def programs(manifest):
    root = Table(manifest, struct.unpack_from("<I", manifest, 0)[0])
    return [program for entry in root.tables(5) for program in entry.tables(1)]


def with_large(manifest, program):
    """The manifest with one more expression, LARGE, at the end of the program's; its number."""
    field = program.field(2)
    old = program.follow(field)
    count, = struct.unpack_from("<I", manifest, old)
    nodes = manifest[old + 4:old + 4 + 24 * count] + struct.pack("<BxxxIIxxxxq", 0, 0, 0, LARGE)
    changed = bytearray(manifest)
    changed += bytes(-(len(changed) + 4) % 8)  # nodes begin at a multiple of 8
    struct.pack_into("<I", changed, field, len(changed) - field)
    return changed + struct.pack("<I", count + 1) + nodes, count


def changed_plans(data):
    """The artifact with each symbol of each launch LARGE in turn, and which that is."""
    fields = list(HEADER.unpack_from(data))
    offset = fields[3]
    if offset + fields[4] != len(data):
        raise ValueError("expected the manifest at the end of the file")
    manifest = data[offset:]
    for program in programs(manifest):
        launches = [step.table(1) for step in program.tables(7) if manifest[step.field(0)] == 1]
        for number, launch in enumerate(launches):
            for symbol, place in enumerate(launch.places(2)):
                changed, large = with_large(manifest, program)
                struct.pack_into("<I", changed, place, large)
                fields[4:7] = len(changed), xxhash.xxh64_intdigest(bytes(changed)), offset + len(changed)
                whole = bytearray(data[:offset]) + changed
                HEADER.pack_into(whole, 0, *fields)
                yield (number, symbol), bytes(whole)


def outcome(path, feeds):
    """The message of a failed run, or nothing."""
    try:
        tenon_session(path, threads=1).run(feeds)
    except Exception as error:
        return str(error)
    return ""


def check_model(tally, folder, name, text, sizes):
    path, artifact = folder / "model.onnx", folder / "model.tenon"
    onnx.save(onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 21]>\nagraph {text}'), path)
    compile_model(path, artifact)
    feeds = {n: np.ones(shape, np.float32) for n, shape in sizes.items()}
    tally.check(f"{name} runs as it is", not outcome(artifact, feeds), outcome(artifact, feeds))
    changed = list(changed_plans(artifact.read_bytes()))
    for what, data in changed:
        hostile = folder / "hostile.tenon"
        hostile.write_bytes(data)
        message = outcome(hostile, feeds)
        refused = any(part in message for part in ("expected places within", "bytes, but got"))
        holds = refused or (not message and what in NUMBERS.get(name, ()))
        tally.check(f"{name}: launch {what[0]}, symbol {what[1]}", holds, message or "it ran")
    tally.check(f"{name} has symbols", bool(changed), "expected some, but got none")


def main():
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="tenon-hostile-") as folder:
        for name, (text, sizes) in MODELS.items():
            check_model(tally, pathlib.Path(folder), name, text, sizes)
    tally.finish()


main()
