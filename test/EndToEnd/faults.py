#!/usr/bin/env python3
"""Faults of a GPU: each is one clear error, and the process goes on with another session.

Needs a GPU; test/runtime/cuda has these and more over a driver of ours.
"""
import argparse
import pathlib
import tempfile

import numpy as np
import onnx
from onnx import helper

from tenon_tools import Tally, add_device_options, chosen_target, compile_model, tenon_session


def repeat_model(path):
    """y = x, n times over."""
    inputs = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1]),
              helper.make_tensor_value_info("n", onnx.TensorProto.INT64, [1])]
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n"])
    nodes = [helper.make_node("Neg", ["x"], ["z"]), helper.make_node("Expand", ["z", "n"], ["y"])]
    graph = helper.make_graph(nodes, "repeat", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                ir_version=8), path)


def error_of(call):
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def run(session, count):
    return session.run({"x": np.array([3], np.float32), "n": np.array([count], np.int64)})["y"]


def is_right(session):
    y = np.asarray(run(session, 1000))
    return y.shape == (1000,) and bool((y == -3).all())


def check_memory(tally, artifact, device):
    """1 TB does not fit; what does still runs."""
    session = tenon_session(artifact, device=device)
    message = error_of(lambda: run(session, 1 << 38))
    told = all(part in message for part in (str(4 << 38), "are free", "lower the batch"))
    tally.check("too little memory: what is needed, what is free, what to lower", told, message)
    tally.check("too little memory: the session goes on", is_right(session))
    tally.check("too little memory: so does another", is_right(tenon_session(artifact,
                                                                             device=device)))


def check_ordinal(tally, artifact):
    message = error_of(lambda: tenon_session(artifact, device="cuda:99"))
    tally.check("a GPU that is not there is said", "99" in message, message)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_device_options(parser)
    args = parser.parse_args()
    if args.device == "cpu":
        print("skipped: the device is the CPU")
        print("0 passed, 0 failed")
        return
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        repeat_model(pathlib.Path(folder, "repeat.onnx"))
        artifact = compile_model(pathlib.Path(folder, "repeat.onnx"),
                                 pathlib.Path(folder, "repeat.tenon"),
                                 target=f"cpu:x86-64-v3,{chosen_target(args)}")
        check_memory(tally, artifact, args.device)
        check_ordinal(tally, artifact)
    tally.finish()


if __name__ == "__main__":
    main()
