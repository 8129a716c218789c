#!/usr/bin/env python3
"""Faults of a GPU: each is one clear error, and the process goes on with another session.

Needs a GPU; test/runtime/cuda has these and more over a driver of ours.
"""
import argparse
import ctypes
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


# A kernel that ends its context.
TRAP = b".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry fault() { trap; }\0"


def lose_gpu(ordinal):
    """What else in the process uses the GPU's context breaks it; the driver's word for that."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    results = [cuda.cuInit(0), cuda.cuDeviceGet(ctypes.byref(device), ordinal),
               cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
               cuda.cuCtxSetCurrent(context),
               cuda.cuModuleLoadData(ctypes.byref(module), TRAP),
               cuda.cuModuleGetFunction(ctypes.byref(function), module, b"fault"),
               cuda.cuLaunchKernel(function, *[1] * 6, 0, None, None, None)]
    assert not any(results), results
    return cuda.cuCtxSynchronize()


def check_lost(tally, artifact, device):
    """Sessions on the lost GPU say so; one on the CPU and a new one on the GPU work."""
    session = tenon_session(artifact, device=device)
    assert is_right(session)
    ordinal = int((device.split(":") + ["0"])[1])
    tally.check("a lost GPU: its context fails", lose_gpu(ordinal) != 0)
    message = error_of(lambda: run(session, 1000))
    tally.check("a lost GPU: the session says so", "the GPU failed" in message and
                "make a new session" in message, message)
    message = error_of(lambda: run(session, 1000))
    tally.check("a lost GPU: and says what to do", "expected a new session" in message, message)
    tally.check("a lost GPU: the process goes on, on the CPU",
                is_right(tenon_session(artifact, device="cpu")))
    # Drivers bring some contexts back, and for others want a new process.
    found = []
    message = error_of(lambda: found.append(is_right(tenon_session(artifact, device=device))))
    tally.check("a lost GPU: a new session is right, or says that it takes a new process",
                found == [True] or "only a new process" in message, message)


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
        check_lost(tally, artifact, args.device)
    tally.finish()


if __name__ == "__main__":
    main()
