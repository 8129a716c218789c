"""Runs an artifact's program for CUDA in the interpreter, from what tenon-inspect says."""
import json
import subprocess

import ml_dtypes
import numpy as np

import ptx
from models import BUILD

TYPES = {"f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16, "i64": np.int64,
         "u8": np.uint8, "bool": np.bool_, "i32": np.int32, "i8": np.int8, "f64": np.float64,
         "i16": np.int16, "u16": np.uint16, "u32": np.uint32, "u64": np.uint64}
OPERATORS = {"add": lambda a, b: a + b, "mul": lambda a, b: a * b,
             "floordiv": lambda a, b: a // b, "ceildiv": lambda a, b: -(-a // b),
             "mod": lambda a, b: a % b, "min": min, "max": max}
STEPS = {"launch", "copy", "read_symbol", "host_tensor",
         "check"}  # the runtime's tests are about checks
# Bytes for values whose size is not known before it runs.
ROOM = 1 << 20
# Addresses of the GPU's memory; those of shared memory are small.
BASE = 0x7000_0000_0000


class Artifact:
    """One program of launches, copies, and sizes that are read from what they made."""

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
        others = {kind for kind, _ in self.program["step_list"]} - STEPS
        if others:
            raise ValueError(f"expected steps of {STEPS}, but got {others}")

    def bytes_of(self, section):
        return np.frombuffer(self.data, np.uint8, section["bytes"], section["offset"])

    def uses(self, instruction):
        return any(instruction in text for text in self.texts)

    def run(self, feeds, rows=None):
        """Of each launch, which of its kernel's stages had blocks; and the outputs. Feeds by
        the names of states are what they hold, and of `rows` a call begins with."""
        run = Run(self, feeds, rows)
        ran = []
        for kind, index in self.program["step_list"]:
            if kind == "launch":
                ran.append(run.launch(self.program["launch_list"][index]))
            elif kind == "copy":
                run.copy(self.program["copies"][index])
            elif kind == "read_symbol":
                run.read(self.program["symbol_reads"][index])
            elif kind == "host_tensor":
                run.fill(self.program["host_tensors"][index])
        return ran, [run.output(item) for item in self.program["outputs"]]


class Run:
    """The memory of a run: read-only inputs and weights, garbage in all else."""

    def __init__(self, artifact, feeds, rows):
        self.artifact, self.program = artifact, artifact.program
        self.memory = ptx.Memory(BASE, kinds=2)
        ordered = [feeds[item["name"]] for item in self.program["inputs"]]
        tensors = [tensor for cache in self.program["caches"] for tensor in cache["tensors"]
                   if cache["kept_by_session"]]
        held = [feeds[tensor["state"]] for tensor in tensors]
        counts = {cache["rows"]: rows for cache in self.program["caches"]}
        self.symbols = self._symbols([*self.program["inputs"], *tensors],
                                     [*ordered, *held], counts)
        self.exprs = evaluate(self.program["exprs"], self.symbols)
        size = self.exprs[self.program["arena"]]
        self.arena = self.memory.add_garbage("arena", ROOM if size is None else size, 64)
        self.inputs = [self.memory.add(item["name"], feed, writable=False)
                       for item, feed in zip(self.program["inputs"], ordered)]
        self.weights = [self.memory.add(item["name"], artifact.bytes_of(item), writable=False,
                                        constant=True)
                        for item in artifact.weights]
        self.made = {}
        for tensor, contents in zip(tensors, held):
            place = self.program["values"][tensor["value"]]["index"]
            self.made["state", place] = self.memory.add(tensor["state"], contents)

    def _symbols(self, items, feeds, counts):
        """A dimension that is a symbol binds it; `counts` are those that none binds."""
        symbols = {symbol["name"]: counts.get(symbol["name"])
                   for symbol in self.program["symbols"]}
        for item, feed in zip(items, feeds):
            for name, size in zip(item["dims"], feed.shape):
                if name in symbols:
                    symbols[name] = size
        return list(symbols.values())

    def _address(self, number):
        value = self.program["values"][number]
        storage, index = value["storage"], value["index"]
        if storage == "arena":
            return self.arena + self.exprs[value["offset"]]
        if storage == "view":
            return self._address(index)
        if storage in ("output", "heap", "state"):
            if (storage, index) not in self.made:
                size = int(np.prod(self._shape(value))) * np.dtype(TYPES[value["type"]]).itemsize
                self.made[storage, index] = self.memory.add_garbage(storage, size)
            return self.made[storage, index]
        return {"input": self.inputs, "weight": self.weights}[storage][index]

    def _shape(self, value):
        return [self.exprs[dim] for dim in value["dims"]]

    def _bytes(self, number):
        """Where a value lies in the memory."""
        value = self.program["values"][number]
        begin = self._address(number) - self.memory.base
        size = int(np.prod(self._shape(value))) * np.dtype(TYPES[value["type"]]).itemsize
        return slice(begin, begin + size)

    def copy(self, copy):
        """A whole value at its other place."""
        source, target = (self._bytes(copy[end]) for end in ("source", "target"))
        self.memory.bytes[target] = self.memory.bytes[source]

    def read(self, read):
        """A symbol has the value of an element from here on."""
        dtype = np.dtype(TYPES[self.program["values"][read["value"]]["type"]])
        begin = self._address(read["value"]) - self.memory.base
        begin += read["element"] * dtype.itemsize
        self.symbols[read["symbol"]] = int(
            self.memory.bytes[begin:begin + dtype.itemsize].view(dtype)[0])
        self.exprs = evaluate(self.program["exprs"], self.symbols)

    def fill(self, tensor):
        """What the host writes: sizes."""
        dtype = TYPES[self.program["values"][tensor["value"]]["type"]]
        sizes = np.array([self.exprs[element] for element in tensor["elements"]], dtype)
        begin = self._address(tensor["value"]) - self.memory.base
        self.memory.bytes[begin:begin + sizes.nbytes] = sizes.view(np.uint8)

    def launch(self, launch):
        """All blocks of all stages of its kernel; the numbers of those that have any."""
        kernel = self.artifact.kernels[launch["kernel"]]
        symbols = [self.exprs[s] for s in launch["symbols"]]
        exprs = evaluate(kernel["exprs"], symbols)
        workspace = self.memory.add_garbage(
            "workspace", exprs[kernel["workspace"][self.artifact.target]])
        parameters = [*(self._address(b) for b in launch["buffers"]), workspace,
                      *self._parameters(kernel, symbols)]
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

    def _parameters(self, kernel, symbols):
        """Those that change from call to call as addresses; nobody waits before reading them."""
        return [self.memory.add("a step's size", np.array([value]), writable=False, constant=True)
                if number in kernel["step_symbols"] else value
                for number, value in enumerate(symbols)]

    def output(self, item):
        value = self.program["values"][item["value"]]
        bytes = self.memory.contents(self._address(item["value"]))
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
