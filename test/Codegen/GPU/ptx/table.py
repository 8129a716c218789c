"""The table of instructions, and the types of their operands."""
import dataclasses
import functools

import ml_dtypes
import numpy as np

UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
TYPES = {f"{kind}{8 * size}": np.dtype(signed if kind == "s" else unsigned)
         for size, unsigned in UNSIGNED.items()
         for signed in [np.dtype(unsigned).name[1:]] for kind in "bus"}
TYPES |= {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16),
          "f32": np.dtype(np.float32), "f64": np.dtype(np.float64), "pred": np.dtype(bool)}
FLOATS = ("f16", "bf16", "f32", "f64")


class UnknownInstruction(Exception):
    pass


@dataclasses.dataclass
class Instruction:
    name: str
    modifiers: list
    operands: list
    guard: tuple | None  # a predicate, and whether it is negated
    text: str
    execute: object = None

    @property
    def type(self):
        return self.modifiers[-1]

    def has(self, modifier):
        return modifier in self.modifiers

    def lanes(self, operand):
        """The registers of {a, b}, or the one that it is."""
        return [part.strip() for part in self.operands[operand].strip("{} ").split(",")]


# name -> what makes the function that runs an instruction in a block.
HANDLERS = {}


def require(instruction, known, types=1):
    """Its modifiers are known ones, then its types: no meaning is passed over."""
    count = len(instruction.modifiers) - types
    unknown = [m for m in instruction.modifiers[:count] if m not in known.split()]
    unknown += [m for m in instruction.modifiers[count:] if m not in TYPES]
    if unknown or count < 0:
        raise UnknownInstruction(f"expected modifiers of '{known}' and {types} types, but got "
                                 f"{unknown} in '{instruction.text}'")


def instruction(name, known="", types=1):
    """Decorates f(block, instruction), which does everything by itself."""
    def add(function):
        def handler(made):
            require(made, known, types)
            return functools.partial(function, made)
        HANDLERS[name] = handler
        return function
    return add


def value(name, known="", types="t t"):
    """Decorates f(instruction, *operands) -> result, with the types of its operands: `t` is
    the instruction's, `w` is twice as wide in its wide form."""
    def add(function):
        def handler(made):
            require(made, known)
            wide = made.type[0] + str(2 * int(made.type[1:])) if made.has("wide") else made.type
            kinds = [{"t": made.type, "w": wide}.get(t, t) for t in types.split()]
            if len(kinds) + 1 != len(made.operands):
                raise UnknownInstruction(f"expected {len(kinds)} operands and a result, but got "
                                         f"'{made.text}'")

            def execute(block):
                operands = [block.get(o, t) for o, t in zip(made.operands[1:], kinds)]
                block.put(made.operands[0], function(made, *operands))
            return execute
        HANDLERS[name] = handler
        return function
    return add


@functools.lru_cache(maxsize=None)
def immediate(text, type):
    """-1, 0x7F, 0x7FU, 0f3F800000 or 0d3FF0000000000000 (bits), as an array of no dimension."""
    dtype = TYPES[type]
    if type == "pred":
        return np.array(bool(int(text)))
    digits = text.rstrip("U")
    bits = int(digits[2:], 16) if digits[:2] in ("0f", "0d", "0x") else int(digits)
    bits &= (1 << 8 * dtype.itemsize) - 1
    return np.array(bits, UNSIGNED[dtype.itemsize]).view(dtype)
