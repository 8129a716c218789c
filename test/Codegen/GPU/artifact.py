"""Runs an artifact's program for CUDA in the interpreter, from what tenon-inspect says."""
import json
import subprocess

import ml_dtypes
import numpy as np

import ptx
from models import BUILD

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i64": np.int64,
         "u8": np.uint8, "bool": np.bool_, "i32": np.int32, "i8": np.int8, "f64": np.float64}
OPERATORS = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b,
             "floordiv": lambda a, b: a // b, "ceildiv": lambda a, b: -(-a // b),
             "mod": lambda a, b: a % b, "min": min, "max": max}
# Addresses of the GPU's memory; those of shared memory are small.
BASE = 0x7000_0000_0000


class Artifact:
    """One program whose steps are launches, with no step on the host."""

    def __init__(self, path, target="cuda:sm_80"):
        text = subprocess.run([BUILD / "bin/tenon-inspect", path, "--json"], check=True,
                              capture_output=True, text=True).stdout
        report = json.loads(text)
        self.data = path.read_bytes()
        self.target = target
        self.kernels, self.weights = report["kernels"], report["weights"]
        (code,) = [c for c in report["codes"] if c["target"] == target]
        self.texts = [self.bytes_of(image).tobytes().decode() for image in code["images"]]
        self.functions = [ptx.parse(text) for text in self.texts]
        ((self.program,),) = [entry["programs"] for entry in report["entries"]]
        if self.program["steps"] != self.program["launches"]:
            raise ValueError(f"expected launches alone, but got {self.program['steps']} steps")

    def bytes_of(self, section):
        return np.frombuffer(self.data, np.uint8, section["bytes"], section["offset"])

    def uses(self, instruction):
        return any(instruction in text for text in self.texts)

    def run(self, feeds):
        """The only output; and of each launch, which of its kernel's stages had blocks."""
        run = Run(self, feeds)
        return [run.launch(launch) for launch in self.program["launch_list"]], run.output()


class Run:
    """The memory of a run: read-only inputs and weights, garbage in all else."""

    def __init__(self, artifact, feeds):
        self.artifact, self.program = artifact, artifact.program
        self.memory = ptx.Memory(BASE, kinds=2)
        ordered = [feeds[item["name"]] for item in self.program["inputs"]]
        self.exprs = evaluate(self.program["exprs"], self._symbols(ordered))
        self.arena = self.memory.add_garbage("arena", self.exprs[self.program["arena"]], 64)
        self.inputs = [self.memory.add(item["name"], feed, writable=False)
                       for item, feed in zip(self.program["inputs"], ordered)]
        self.weights = [self.memory.add(item["name"], artifact.bytes_of(item), writable=False,
                                        constant=True)
                        for item in artifact.weights]
        self.outputs = {}
        self.addresses = []
        for value in self.program["values"]:
            self.addresses.append(self._address(value))

    def _symbols(self, feeds):
        """A dimension that is a symbol binds it."""
        symbols = {symbol["name"]: None for symbol in self.program["symbols"]}
        for item, feed in zip(self.program["inputs"], feeds):
            for name, size in zip(item["dims"], feed.shape):
                if name in symbols:
                    symbols[name] = size
        return list(symbols.values())

    def _address(self, value):
        storage, index = value["storage"], value["index"]
        if storage == "arena":
            return self.arena + self.exprs[value["offset"]]
        if storage == "view":
            return self.addresses[index]
        if storage == "output":
            if index not in self.outputs:
                size = int(np.prod(self._shape(value))) * np.dtype(TYPES[value["type"]]).itemsize
                self.outputs[index] = self.memory.add_garbage("output", size)
            return self.outputs[index]
        return {"input": self.inputs, "weight": self.weights}[storage][index]

    def _shape(self, value):
        return [self.exprs[dim] for dim in value["dims"]]

    def launch(self, launch):
        """All blocks of all stages of its kernel; the numbers of those that have any."""
        kernel = self.artifact.kernels[launch["kernel"]]
        symbols = [self.exprs[s] for s in launch["symbols"]]
        exprs = evaluate(kernel["exprs"], symbols)
        workspace = self.memory.add_garbage("workspace", exprs[kernel["workspace"][self.artifact.target]])
        parameters = [*(self.addresses[b] for b in launch["buffers"]), workspace, *symbols]
        stages = kernel["stages"][self.artifact.target]
        for stage in stages:
            function = self.artifact.functions[stage["image"]][stage["symbol"]]
            if exprs[stage["grid"]] == 0:
                continue
            if function.threads != stage["threads"] or stage["tensor_maps"] or stage["cluster"] > 1:
                raise ValueError(f"expected {function.threads} threads, no cluster and no tensor "
                                 f"map, but got {stage}")
            for index in range(exprs[stage["grid"]]):
                ptx.Block(function, self.memory, parameters, index, stage["shared_bytes"]).run()
            self.memory.watches[1].barriers += 1  # all its blocks have ended
        return [number for number, stage in enumerate(stages) if exprs[stage["grid"]] > 0]

    def output(self):
        (item,) = self.program["outputs"]
        value = self.program["values"][item["value"]]
        bytes = self.memory.contents(self.addresses[item["value"]])
        return bytes.view(TYPES[item["type"]]).reshape(self._shape(value))


def evaluate(pool, symbols):
    """Values of all expressions, each made of earlier ones; None where a symbol is unknown or
    a division by zero makes it none."""
    values = []
    for op, *operands in pool:
        if op == "constant":
            values.append(operands[0])
        elif op == "symbol":
            values.append(symbols[operands[0]])
        else:
            a, b = (values[operand] for operand in operands)
            divides = op in ("floordiv", "ceildiv", "mod")
            absent = a is None or b is None or (divides and b == 0)
            values.append(None if absent else OPERATORS[op](a, b))
    return values
