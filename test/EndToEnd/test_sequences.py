#!/usr/bin/env python3
"""Lists of tensors as exporters write them, against ONNX Runtime."""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from onnx import parser  # noqa: E402
from tenon_tools import CompileError, Tally, compile_model, ort_session, tenon_session  # noqa: E402

# name: (dimensions of x, a graph's body, elements of y)
MODELS = {
    "insert, take": ("n, 4", """
        e = SequenceEmpty()
        a = SequenceInsert(e, x)
        z = Constant<value_int=0>()
        h = Relu(x)
        b = SequenceInsert(a, h, z)
        last = Constant<value_int=-1>()
        p = SequenceAt(b, z)
        q = SequenceAt(b, last)
        y = Concat<axis=0>(p, q)""", "float"),
    "construct, erase, join": ("n, 4", """
        h = Relu(x)
        g = Abs(x)
        a = SequenceConstruct(x, h, g)
        one = Constant<value_int=1>()
        b = SequenceErase(a, one)
        y = ConcatFromSequence<axis=1>(b)""", "float"),
    "join on a new axis": ("n, 4", """
        h = Relu(x)
        a = SequenceConstruct(x, h)
        y = ConcatFromSequence<axis=-1, new_axis=1>(a)""", "float"),
    "length": ("n, 4", """
        a = SequenceConstruct(x, x, x)
        y = SequenceLength(a)""", "int64"),
    "split by sizes": ("n, 7", """
        s = Constant<value_ints=[3, 4]>()
        a = SplitToSequence<axis=1>(x, s)
        one = Constant<value_int=1>()
        y = SequenceAt(a, one)""", "float"),
    "split by one size, the last is smaller": ("n, 7", """
        s = Constant<value_int=3>()
        a = SplitToSequence<axis=-1>(x, s)
        last = Constant<value_int=-1>()
        y = SequenceAt(a, last)""", "float"),
    "unbind": ("n, 3", """
        a = SplitToSequence<axis=1, keepdims=0>(x)
        y = ConcatFromSequence<axis=0>(a)""", "float"),
    "unbind what has an unknown size": ("n, 3", """
        a = SplitToSequence<axis=0, keepdims=0>(x)
        one = Constant<value_int=1>()
        y = SequenceAt(a, one)""", "float"),
    "chunk what has an unknown size": ("n, 3", """
        s = Constant<value_int=2>()
        a = SplitToSequence<axis=0>(x, s)
        one = Constant<value_int=1>()
        y = SequenceAt(a, one)""", "float"),
}
REFUSED = ("n, 3", """
        a = SplitToSequence<axis=0, keepdims=0>(x)
        last = Constant<value_int=-1>()
        y = SequenceAt(a, last)""", "float")


def make(folder, dims, body, kind):
    # The rank of y is left open, as exporters leave it.
    graph = parser.parse_graph(f"g (float[{dims}] x) => ({kind} y) {{{body}}}")
    graph.output[0].type.tensor_type.ClearField("shape")
    model = onnx.helper.make_model(graph, ir_version=8,
                                   opset_imports=[onnx.helper.make_opsetid("", 17)])
    path = pathlib.Path(folder, "model.onnx")
    onnx.save(model, path)
    return path


def main():
    tally = Tally()
    for name, (dims, body, kind) in MODELS.items():
        with tempfile.TemporaryDirectory(prefix="tenon-sequences-") as folder:
            path = make(folder, dims, body, kind)
            session = tenon_session(compile_model(path, path.with_suffix(".tenon")))
            for size in (3, 5):
                x = np.random.default_rng(size).standard_normal((size, int(dims[-1])))
                feeds = {"x": x.astype(np.float32)}
                expected = ort_session(path).run(None, feeds)[0]
                found = np.asarray(session.run(feeds)["y"])
                tally.check(f"{name}, size {size}", found.dtype == expected.dtype
                            and np.array_equal(found, expected))
    with tempfile.TemporaryDirectory(prefix="tenon-sequences-") as folder:
        path = make(folder, *REFUSED)
        try:
            compile_model(path, path.with_suffix(".tenon"))
            tally.check("the last of an unknown number is refused", False, "it compiled")
        except CompileError as error:
            tally.check("the last of an unknown number is refused",
                        error.refused and "Sequence" in str(error), str(error)[:200])
    tally.finish()


if __name__ == "__main__":
    main()
