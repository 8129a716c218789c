"""Small ONNX models of one operator or a short chain, and what compiles them for a GPU."""
import os
import pathlib
import subprocess

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build"))
TYPES = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.float16): TensorProto.FLOAT16,
         np.dtype(ml_dtypes.bfloat16): TensorProto.BFLOAT16,
         np.dtype(np.int64): TensorProto.INT64, np.dtype(np.uint8): TensorProto.UINT8,
         np.dtype(bool): TensorProto.BOOL, np.dtype(np.float64): TensorProto.DOUBLE,
         **{np.dtype(name): getattr(TensorProto, name.upper()) for name in
            ("int8", "int16", "uint16", "int32", "uint32", "uint64")}}
MICROSOFT = "com.microsoft"


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


def model(nodes, feeds, output, dims=None, weights=None):
    """The last node's result is `y`; an input without `dims` has the sizes of its feed."""
    inputs = [helper.make_tensor_value_info(name, TYPES[value.dtype],
                                            (dims or {}).get(name, value.shape))
              for name, value in feeds.items()]
    result = onnx.ValueInfoProto(name="y")
    result.type.tensor_type.elem_type = TYPES[np.dtype(output)]
    constants = [onnx.numpy_helper.from_array(value, name)
                 for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, [result], constants)
    return helper.make_model(graph, ir_version=12, opset_imports=[
        helper.make_opsetid("", 24), helper.make_opsetid(MICROSOFT, 1)])


def compile_model(folder, made, options=(), target="cuda:sm_80"):
    """The artifact for one architecture; sm_80 is the one whose PTX has no tensor maps."""
    source, artifact = folder / "model.onnx", folder / "model.tenon"
    onnx.save(made, source)
    subprocess.run([BUILD / "bin/tenon-compile", source, "-o", artifact,
                    f"--target={target}", "--no-baseline", *options], check=True)
    return artifact
