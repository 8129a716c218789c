# RUN: %python %s
# kernel.block_product against numpy: bits, blocks, zeros, a bias, a ragged last block,
# few rows and many, columns that fill no tile.
import sys

import numpy as np

from kernels import Kernels, native_targets

NAMES = {np.dtype(np.float32): "f32", np.dtype(np.float16): "f16", np.dtype(np.uint8): "i8"}


def unpack(data, bits, count):
    """Integers of each row, the first in the low bits."""
    parts = [(data >> (i * bits)) & ((1 << bits) - 1) for i in range(8 // bits)]
    return np.stack(parts, -1).reshape(len(data), -1)[:, :count].astype(np.float64)


class Case:
    def __init__(self, rows, depth, columns, bits=4, block=32, zeros=None, bias=False,
                 dtype=np.float32, dynamic=True, signed=False, shared=False):
        random = np.random.default_rng(rows + depth + columns)
        blocks = -(-depth // block)
        self.x = random.normal(0, 1, (rows, depth)).astype(dtype)
        self.w = random.integers(0, 256, (columns, blocks * block * bits // 8), np.uint8)
        lines = 1 if shared else columns
        self.s = (random.random((lines, blocks)) * 0.1).astype(dtype)
        self.z = {None: None, "floats": (random.random((lines, blocks)) * 15).astype(dtype),
                  "integers": random.integers(0, 256, (lines, -(-blocks * bits // 8)),
                                              np.uint8)}[zeros]
        self.signed = signed
        self.b = random.normal(0, 1, columns).astype(dtype) if bias else None
        self.bits, self.block, self.dynamic = bits, block, dynamic

    def integers(self, data, count):
        codes, half = unpack(data, self.bits, count), 1 << (self.bits - 1)
        return np.where(codes >= half, codes - 2 * half, codes) if self.signed else codes

    def want(self):
        blocks = self.s.shape[1]
        if self.z is None:
            zeros = np.full(self.s.shape, 0.0 if self.signed else float(1 << (self.bits - 1)))
        elif self.z.dtype == np.uint8:
            zeros = self.integers(self.z, blocks)
        else:
            zeros = self.z.astype(np.float64)
        spread = [np.repeat(a.astype(np.float64), self.block, 1) for a in (zeros, self.s)]
        w = (self.integers(self.w, blocks * self.block) - spread[0]) * spread[1]
        y = self.x.astype(np.float64) @ w[:, :self.x.shape[1]].T
        return y + (0 if self.b is None else self.b.astype(np.float64))

    def text(self, name):
        y = np.empty((len(self.x), len(self.w)), self.x.dtype)
        named = [("x", self.x), ("w", self.w), ("s", self.s), ("zeros", self.z),
                 ("bias", self.b), ("y", y)]
        named = [(n, a) for n, a in named if a is not None]
        types, dims = [], []
        for n, a in named:
            shape = [str(d) for d in a.shape]
            if self.dynamic and n in ("x", "y"):
                dims.append(f"affine_map<()[s0] -> (s0, {shape[1]})>")
                shape[0] = "?"
            else:
                dims.append(f"affine_map<()[{'s0' if self.dynamic else ''}] -> "
                            f"({', '.join(shape)})>")
            types.append(f"tensor<{'x'.join(shape + [NAMES[a.dtype]])}>")
        given = "".join(f" {n}(%{n})" for n, a in named if n in ("zeros", "bias"))
        arguments = ", ".join(f"%{n}: {t}" for (n, _), t in zip(named, types))
        return f"""kernel.func @{name} inputs {len(named) - 1} dims [{", ".join(dims)}] {{
^bb0({arguments}):
  %r = kernel.block_product ins(%x, %w, %s){given} outs(%y) bits {self.bits} block {self.block}{" signed" if self.signed else ""}
    : ({", ".join(types)}) -> {types[-1]}
  kernel.yield %r : {types[-1]}
}}
"""

    def check(self, kernels, target, name):
        inputs = [a for a in (self.x, self.w, self.s, self.z, self.b) if a is not None]
        shape = (len(self.x), len(self.w))
        symbols = [len(self.x)] if self.dynamic else []
        got = kernels.run(target, name, inputs, [(shape, self.x.dtype)], symbols)[0]
        tolerance = 5e-2 if self.x.dtype == np.float16 else 2e-4
        np.testing.assert_allclose(got, self.want(), 1e-3, tolerance, err_msg=name)


def cases():
    for rows in (1, 3, 5, 70):
        yield f"rows_{rows}", Case(rows, 96, 40)
    yield "static_row", Case(1, 64, 33, dynamic=False)
    yield "static_rows", Case(9, 64, 33, dynamic=False)
    for bits in (2, 4, 8):
        for block in (16, 64, 256):
            for rows in (1, 6):
                yield f"bits_{bits}_block_{block}_{rows}", Case(rows, 2 * block, 7, bits, block)
    for rows in (2, 8):
        yield f"ragged_{rows}", Case(rows, 100, 65)
        yield f"integer_zeros_{rows}", Case(rows, 96, 5, zeros="integers")
        yield f"integer_zeros_2_{rows}", Case(rows, 320, 5, bits=2, zeros="integers")
        yield f"float_zeros_{rows}", Case(rows, 96, 5, zeros="floats")
        yield f"bias_{rows}", Case(rows, 96, 34, bias=True, zeros="integers")
        yield f"column_{rows}", Case(rows, 100, 34, block=128)
        yield f"blocks_of_48_{rows}", Case(rows, 96, 34, block=48, zeros="integers")
        for bits in (2, 4, 8):
            yield f"signed_{bits}_{rows}", Case(rows, 96, 34, bits, signed=True)
            yield f"signed_zeros_{bits}_{rows}", Case(rows, 96, 34, bits, zeros="integers",
                                                      signed=True)
            yield f"shared_{bits}_{rows}", Case(rows, 96, 34, bits, 96, zeros="integers",
                                                shared=True)
        yield f"f16_{rows}", Case(rows, 96, 34, bias=True, dtype=np.float16)


def main():
    named = dict(cases())
    kernels = Kernels("\n".join(case.text(name) for name, case in named.items()))
    failed = 0
    for target in native_targets():
        for name, case in named.items():
            try:
                case.check(kernels, target, name)
            except AssertionError as error:
                failed += 1
                print(f"{target} {name}: {str(error)[:600]}")
    print(f"{len(named) * len(native_targets())} checked, {failed} failed")
    sys.exit(failed > 0)


main()
