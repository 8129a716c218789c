"""Instructions that make a value of values."""
import numpy as np

from ptx.table import FLOATS, TYPES, UnknownInstruction, instruction, value


@value("add", "rn")
def add(_, a, b):
    return a + b


@value("sub", "rn")
def sub(_, a, b):
    return a - b


@value("neg", types="t")
def neg(_, a):
    return -a


@value("not", types="t")
def invert(_, a):
    return ~a


@value("abs", types="t")
def absolute(_, a):
    return np.abs(a)


@value("and")
def conjunction(_, a, b):
    return a & b


@value("or")
def disjunction(_, a, b):
    return a | b


@value("xor")
def exclusive(_, a, b):
    return a ^ b


def _widened(a):
    return a.astype(np.dtype(f"{a.dtype.kind}{2 * a.dtype.itemsize}"))


@value("mul", "rn lo hi wide")
def mul(made, a, b):
    if made.has("wide"):
        return _widened(a) * _widened(b)
    if made.has("hi"):
        bits = 8 * a.dtype.itemsize
        high = (a.astype(object) * b.astype(object)) >> bits  # integers of any size
        return np.asarray(high, object).astype(a.dtype)
    return a * b


@value("mad", "lo wide", types="t t w")
def mad(made, a, b, c):
    return _widened(a) * _widened(b) + c if made.has("wide") else a * b + c


def _halves(x):
    """x as a sum of two, whose products with others are exact (Dekker)."""
    scaled = x * (2.0 ** 27 + 1)
    high = scaled - (scaled - x)
    return high, x - high


def _fma_of_f64(a, b, c):
    """What the product and the sum lose is added at the end."""
    product, (a1, a0), (b1, b0) = a * b, _halves(a), _halves(b)
    lost = ((a1 * b1 - product) + a1 * b0 + a0 * b1) + a0 * b0
    total = product + c
    virtual = total - product
    lost += (product - (total - virtual)) + (c - virtual)
    return np.where(np.isfinite(lost), total + lost, total)


@value("fma", "rn", types="t t t")
def fma(made, a, b, c):
    """The product is exact in f64; the sum is rounded twice, which is seldom seen in f32."""
    if made.type not in ("f64", "f32", "f16"):
        raise UnknownInstruction(f"expected fma of f64, f32 or f16, but got '{made.text}'")
    if made.type == "f64":
        return _fma_of_f64(a, b, c)
    return (a.astype(np.float64) * b + c.astype(np.float64)).astype(a.dtype)


def _quotient(a, b):
    """Towards zero; by zero it is unspecified, here all ones."""
    unsigned = np.dtype(f"u{a.dtype.itemsize}")
    size = np.abs(a).view(unsigned) // np.where(b == 0, 1, np.abs(b).view(unsigned))
    signed = np.where((a < 0) != (b < 0), -size.view(a.dtype), size.view(a.dtype))
    return np.where(b == 0, ~np.zeros_like(signed), signed)


@value("div", "rn full")
def div(made, a, b):
    return a / b if made.type in FLOATS else _quotient(a, b)


@value("rem")
def rem(_, a, b):
    return a - _quotient(a, b) * b


@value("rcp", "rn approx ftz", types="t")
def rcp(_, a):
    return a.dtype.type(1) / a


@value("sqrt", "rn", types="t")
def sqrt(_, a):
    return np.sqrt(a)


@value("ex2", "approx ftz", types="t")
def ex2(_, a):
    result = np.exp2(a.astype(np.float64)).astype(a.dtype)
    return np.where(np.abs(result) < np.finfo(a.dtype).tiny, a.dtype.type(0), result)


@value("copysign")
def copysign(_, sign, size):
    return np.copysign(size, sign)


@value("min", "NaN")
def minimum(made, a, b):
    ignores_nan = made.type in FLOATS and not made.has("NaN")
    return np.fmin(a, b) if ignores_nan else np.minimum(a, b)


@value("max", "NaN")
def maximum(made, a, b):
    ignores_nan = made.type in FLOATS and not made.has("NaN")
    return np.fmax(a, b) if ignores_nan else np.maximum(a, b)


@value("shl", types="t u32")
def shl(_, a, amount):
    bits = 8 * a.dtype.itemsize
    shifted = a << np.minimum(amount, bits - 1).astype(a.dtype)
    return np.where(amount < bits, shifted, a.dtype.type(0))


@value("shr", types="t u32")
def shr(_, a, amount):
    bits = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(amount, bits - 1).astype(a.dtype)
    beyond = shifted if a.dtype.kind == "i" else a.dtype.type(0)  # the sign fills it
    return np.where(amount < bits, shifted, beyond)


@value("bfe", types="t u32 u32")
def bfe(made, a, position, length):
    """A signed field is extended by its highest bit; beyond the register is its sign."""
    bits = np.uint32(8 * a.dtype.itemsize)
    position, length = position & np.uint32(255), length & np.uint32(255)
    above = bits - np.minimum(position + length, bits)
    field = shr(made, shl(made, a, above), above + position)
    return np.where(length == 0, a.dtype.type(0), field)


@value("prmt", types="u32 u32 u32")
def prmt(_, a, b, selector):
    """Four of eight bytes; bit 3 of a choice takes a byte's sign in all its bits."""
    both = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    result = np.uint32(0)
    for place in range(4):
        choice = selector >> np.uint32(4 * place)
        byte = (both >> ((choice & 7) * 8).astype(np.uint64)).astype(np.uint32) & np.uint32(255)
        sign = np.where(byte & 128, np.uint32(255), np.uint32(0))
        result = result | np.where(choice & 8, sign, byte) << np.uint32(8 * place)
    return result


@value("selp", types="t t pred")
def selp(_, a, b, chosen):
    return np.where(chosen, a, b)


COMPARISONS = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal,
               "gt": np.greater, "ge": np.greater_equal}


@value("setp", " ".join([*COMPARISONS, *(c + "u" for c in COMPARISONS), "num", "nan"]))
def setp(made, a, b):
    """With a NaN the forms in u are true, all others false."""
    relation = made.modifiers[0]
    if made.type not in FLOATS:
        return COMPARISONS[relation](a, b)
    unordered = np.isnan(a) | np.isnan(b)
    if relation in ("num", "nan"):
        return unordered == (relation == "nan")
    holds = COMPARISONS[relation[:2]](a, b)
    return holds | unordered if relation.endswith("u") else holds & ~unordered


ROUNDINGS = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _to_integer(x, dtype):
    """Rounded already. NaN is zero, what is too large the nearest."""
    limits = np.iinfo(dtype)
    wide = x.astype(np.float64)
    inside = np.clip(np.nan_to_num(wide, nan=0.0), float(limits.min), float(limits.max))
    whole = np.where(inside >= float(limits.max), 0, inside).astype(dtype)
    return np.where(inside >= float(limits.max), dtype.type(limits.max), whole)


def _to_tf32(x):
    """To the nearest of 11 binary digits, ties away from zero; of NaN some NaN."""
    rounded = (x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xffffe000)
    return np.where(np.isnan(x), np.uint32(0x7fffe000), rounded)


@instruction("cvt", " ".join(["rn", "rna", "f16x2", "bf16x2", "tf32", *ROUNDINGS, *TYPES]))
def cvt(made, block):
    if made.modifiers == ["rna", "tf32", "f32"]:
        return block.put(made.operands[0], _to_tf32(block.get(made.operands[1], "f32")))
    if made.modifiers[:-1] in (["rn", "f16x2"], ["rn", "bf16x2"]):
        half = TYPES[made.modifiers[1].removesuffix("x2")]
        high, low = (block.get(o, made.type).astype(half).view(np.uint16).astype(np.uint32)
                     for o in made.operands[1:])
        return block.put(made.operands[0], high << np.uint32(16) | low)
    to, x = TYPES[made.modifiers[-2]], block.get(made.operands[1], made.type)
    rounding = made.modifiers[0] if len(made.modifiers) == 3 else None
    if rounding in ROUNDINGS:
        x = ROUNDINGS[rounding](x)
        if to.kind in "iu":
            return block.put(made.operands[0], _to_integer(x, to))
    block.put(made.operands[0], x.astype(to))
