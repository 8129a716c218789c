"""Writes one ONNX graph and its external data file, a weight at a time.

Weights stream to the data file page-aligned, so memory stays at one weight.
"""
import os
import pathlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PAGE = 4096
# Axes and shapes stay inside the model: shape inference reads their values.
INLINE_BYTES = 64


class OnnxWriter:
    """A graph under construction; `save` makes both files appear at once."""

    def __init__(self, path, opsets, ir_version, producer_version,
                 producer="tenon-smollm2"):
        self.path = pathlib.Path(path)
        self.data_name = self.path.name + ".data"
        self.data_part = self.path.with_name(self.data_name + ".part")
        self.data = open(self.data_part, "wb")
        self.opsets, self.ir_version = opsets, ir_version
        self.producer, self.producer_version = producer, producer_version
        self.nodes, self.weights, self.inputs, self.outputs = [], {}, [], []
        self.constants = {}

    def node(self, op, inputs, name, outputs=1, domain="", **attributes):
        """Adds a node; returns its output's name, or their list."""
        if isinstance(outputs, int):
            outputs = [f"{name}_output_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name,
                                           domain=domain, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def constant(self, value, dtype=np.int64):
        """A small constant as a Constant node, shared by all its users."""
        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self.constants:
            name = "/Constant" + (f"_{len(self.constants)}" if self.constants else "")
            self.constants[key] = self.node(
                "Constant", [], name, value=numpy_helper.from_array(array))
        return self.constants[key]

    def weight(self, name, make):
        """An initializer in the data file; `make()` gives its array once."""
        if name in self.weights:
            return name
        array = np.asarray(make(), order="C")
        if array.nbytes <= INLINE_BYTES:
            self.weights[name] = numpy_helper.from_array(array, name)
            return name
        offset = -(-self.data.tell() // PAGE) * PAGE
        self.data.seek(offset)
        self.data.write(array.reshape(-1).view(np.uint8).data)  # a copy would be a GB
        tensor = TensorProto(name=name, dims=array.shape,
                             data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                             data_location=TensorProto.EXTERNAL)
        for key, value in (("location", self.data_name), ("offset", offset),
                           ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        self.weights[name] = tensor
        return name

    def input(self, name, dtype, shape):
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, name, dtype, shape):
        self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def save(self):
        # Constants first: a node may be older than the constant it shares.
        made = [n for n in self.nodes if n.op_type == "Constant"]
        rest = [n for n in self.nodes if n.op_type != "Constant"]
        graph = helper.make_graph(made + rest, "main_graph", self.inputs,
                                  self.outputs, list(self.weights.values()))
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid(d, v) for d, v in self.opsets],
            ir_version=self.ir_version, producer_name=self.producer,
            producer_version=self.producer_version)
        end = -(-self.data.tell() // PAGE) * PAGE
        self.data.truncate(end)
        self.data.close()
        part = self.path.with_name(self.path.name + ".part")
        part.write_bytes(model.SerializeToString())
        os.replace(self.data_part, self.path.with_name(self.data_name))
        os.replace(part, self.path)
        return model


def is_current(path, producer_version):
    """Whether path was written whole by this version of the writer."""
    if not (path.exists() and path.with_name(path.name + ".data").exists()):
        return False
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:
        return False
    return model.producer_version == producer_version
