# RUN: %python %s
# Contractions against numpy: every form of operand, sizes from 0 over 1 and primes
# to beyond a block, epilogues, convolutions.
import itertools
import sys

import numpy as np

from kernels import Kernels, native_targets

rng = np.random.default_rng(0)
NP = {"f32": np.float32, "f64": np.float64, "f16": np.float16}


def rand(*shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


def widen(name, element, total):
    return f"%{name}w = arith.extf %{name} : {element} to {total}" if element != total else ""


def contraction(a, b, c, loops, total, ins="%a, %b", start="%z", result="%r"):
    """The text of a generic; a, b, c: (tensor type, map, element type)."""
    kinds = ", ".join('"reduction"' if loop in "kcij" else '"parallel"' for loop in loops)
    maps = ", ".join(f"affine_map<({', '.join(loops)}) -> ({m})>" for _, m, _ in (a, b, c))
    x = "%xw" if a[2] != total else "%x"
    y = "%yw" if b[2] != total else "%y"
    return f"""  {result} = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{kinds}]}}
      ins({ins} : tensor<{a[0]}>, tensor<{b[0]}>) outs({start} : tensor<{c[0]}>) {{
  ^bb1(%x: {a[2]}, %y: {b[2]}, %o: {total}):
    {widen("x", a[2], total)}
    {widen("y", b[2], total)}
    %p = arith.mulf {x}, {y} : {total}
    %q = arith.addf %o, %p : {total}
    linalg.yield %q : {total}
  }} -> tensor<{c[0]}>
"""


def product(name, a, b, c, loops, dims, total="f32"):
    dims = ", ".join(f"affine_map<()[s0, s1, s2] -> ({d})>" for d in dims)
    return f"""kernel.func @{name} inputs 2 dims [{dims}] {{
^bb0(%a: tensor<{a[0]}>, %b: tensor<{b[0]}>, %d: tensor<{c[0]}>):
  %zero = arith.constant 0.0 : {total}
  %z = linalg.fill ins(%zero : {total}) outs(%d : tensor<{c[0]}>) -> tensor<{c[0]}>
{contraction(a, b, c, loops, total)}  kernel.yield %r : tensor<{c[0]}>
}}
"""


def pack(b, panel):
    """[k, n] as [n / panel, k, panel], the last panel filled with NaN."""
    k, n = b.shape
    padded = np.full((k, -(-n // panel) * panel), np.nan, b.dtype)
    padded[:, :n] = b
    return np.ascontiguousarray(padded.reshape(k, -(-n // panel), panel).transpose(1, 0, 2))


# Kernels over symbols (m, n, k); each gives operands and result for a size.
KERNELS, CASES = [], []
SIZES = [(1, 1, 1), (2, 3, 5), (1, 40, 65), (13, 64, 7), (14, 31, 128), (29, 97, 33), (170, 65, 9), (3, 0, 4), (0, 5, 3),
         (5, 6, 0), (16, 32, 577), (19, 34, 500), (9, 49, 390), (8, 3, 16), (40, 68, 801), (1, 2, 33)]


def case(name, text, make, sizes=SIZES, tolerance=2e-5):
    KERNELS.append(text)
    CASES.extend((name, size, make, tolerance) for size in sizes)


for e in ("f32", "f64", "f16"):
    t = "f64" if e == "f64" else "f32"
    panel = 128 // (8 if t == "f64" else 4)
    loops, mk, mn = "mnk", ("?x?x" + e, "m, k", e), ("?x?x" + t, "m, n", t)

    def plain(m, n, k, e=e):
        a, b = rand(m, k, dtype=NP[e]), rand(k, n, dtype=NP[e])
        return [a, b], a.astype(np.float64) @ b.astype(np.float64)

    def columns(m, n, k, e=e):
        (a, b), c = plain(m, n, k, e)
        return [a, np.ascontiguousarray(b.T)], c

    def rows(m, n, k, e=e):
        (a, b), c = plain(m, n, k, e)
        return [np.ascontiguousarray(a.T), b], c

    def packed(m, n, k, e=e, panel=panel):
        (a, b), c = plain(m, n, k, e)
        return [a, pack(b, panel)], c

    case(f"plain_{e}", product(f"plain_{e}", mk, ("?x?x" + e, "k, n", e), mn, loops, ("s0, s2", "s2, s1", "s0, s1"), t), plain)
    case(f"columns_{e}", product(f"columns_{e}", mk, ("?x?x" + e, "n, k", e), mn, loops, ("s0, s2", "s1, s2", "s0, s1"), t),
         columns)
    case(f"rows_{e}", product(f"rows_{e}", ("?x?x" + e, "k, m", e), ("?x?x" + e, "k, n", e), mn, loops,
                              ("s2, s0", "s2, s1", "s0, s1"), t), rows)
    case(f"packed_{e}", product(f"packed_{e}", mk, (f"?x?x{panel}x{e}", f"n floordiv {panel}, k, n mod {panel}", e), mn, loops,
                                ("s0, s2", f"s1 ceildiv {panel}, s2, {panel}", "s0, s1"), t), packed)


def grouped(m, n, k):
    a, b = rand(2, 3, m, k), rand(2, k, n)
    return [a, b], a.astype(np.float64) @ b[:, None].astype(np.float64)


case("grouped", product("grouped", ("2x3x?x?xf32", "b, g, m, k", "f32"), ("2x?x?xf32", "b, k, n", "f32"),
                        ("2x3x?x?xf32", "b, g, m, n", "f32"), "bgmnk", ("2, 3, s0, s2", "2, s2, s1", "2, 3, s0, s1")), grouped)


def pad_text(source, padded, before, after, rank, element, value="%zero"):
    """%image: `source` with pads before and after its last two dimensions."""
    def widths(pads):
        return ", ".join(["0"] * (rank - 2) + [str(p) for p in pads])
    places = ", ".join(f"%at{i}: index" for i in range(rank))
    return f"""  %image = tensor.pad %a low[{widths(before)}] high[{widths(after)}] {{
  ^bb0({places}):
    tensor.yield {value} : {element}
  }} : tensor<{source}> to tensor<{padded}>
"""


def convolution(name, stride, dilation, kernel, groups=2, filters=5, channels=3, before=(0, 0), after=(0, 0)):
    """Symbols: height and width of the output; a bias to start from, then a relu. The pads are the kernel's."""
    size = [f"(s{i} - 1) * {stride} + {(kernel - 1) * dilation + 1 - before[i] - after[i]}" for i in (0, 1)]
    where = [f"{o} * {stride} + {i} * {dilation}" for o, i in (("y", "i"), ("x", "j"))]
    shapes = (f"2x{groups}x{channels}x?x?xf32", f"{groups}x{filters}x{channels}x{kernel}x{kernel}xf32",
              f"{groups}x{filters}xf32", f"2x{groups}x{filters}x?x?xf32")
    dims = (f"2, {groups}, {channels}, {size[0]}, {size[1]}", f"{groups}, {filters}, {channels}, {kernel}, {kernel}",
            f"{groups}, {filters}", f"2, {groups}, {filters}, s0, s1")
    dims = ", ".join(f"affine_map<()[s0, s1, s2] -> ({d})>" for d in dims)
    sums = contraction((shapes[0], f"b, g, c, {where[0]}, {where[1]}", "f32"), (shapes[1], "g, f, c, i, j", "f32"),
                       (shapes[3], "b, g, f, y, x", "f32"), "bgfyxcij", "f32", "%image, %w" if any(before + after) else "%a, %w")
    if any(before + after):
        sums = pad_text(shapes[0], shapes[0], before, after, 5, "f32") + sums
    text = f"""kernel.func @{name} inputs 3 dims [{dims}] {{
^bb0(%a: tensor<{shapes[0]}>, %w: tensor<{shapes[1]}>, %bias: tensor<{shapes[2]}>, %d: tensor<{shapes[3]}>):
  %zero = arith.constant 0.0 : f32
  %z = linalg.generic {{indexing_maps = [affine_map<(b, g, f, y, x) -> (g, f)>, affine_map<(b, g, f, y, x) -> (b, g, f, y, x)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}}
      ins(%bias : tensor<{shapes[2]}>) outs(%d : tensor<{shapes[3]}>) {{
  ^bb1(%x: f32, %o: f32):
    linalg.yield %x : f32
  }} -> tensor<{shapes[3]}>
{sums}
  %s = linalg.generic {{indexing_maps = [affine_map<(b, g, f, y, x) -> (b, g, f, y, x)>, affine_map<(b, g, f, y, x) -> (b, g, f, y, x)>],
      iterator_types = ["parallel", "parallel", "parallel", "parallel", "parallel"]}}
      ins(%r : tensor<{shapes[3]}>) outs(%d : tensor<{shapes[3]}>) {{
  ^bb1(%x: f32, %o: f32):
    %y = arith.maximumf %x, %zero : f32
    linalg.yield %y : f32
  }} -> tensor<{shapes[3]}>
  kernel.yield %s : tensor<{shapes[3]}>
}}
"""

    def make(h, w, _):
        reach = (kernel - 1) * dilation + 1
        image = rand(2, groups, channels, *((n - 1) * stride + reach - p - q for n, p, q in zip((h, w), before, after)))
        x = np.pad(image, [(0, 0)] * 3 + list(zip(before, after)))
        filt, bias = rand(groups, filters, channels, kernel, kernel), rand(groups, filters)
        out = np.zeros((2, groups, filters, h, w)) + bias[None, :, :, None, None]
        for i, j in itertools.product(range(kernel), repeat=2):
            part = x[:, :, :, i * dilation:, j * dilation:][:, :, :, :(h - 1) * stride + 1:stride, :(w - 1) * stride + 1:stride]
            out += np.einsum("bgcyx,gfc->bgfyx", part.astype(np.float64), filt[:, :, :, i, j].astype(np.float64))
        return [image, filt, bias], np.maximum(out, 0)
    case(name, text, make, [(1, 1, 0), (7, 7, 0), (9, 33, 0), (3, 65, 0), (40, 2, 0), (5, 14, 0)])


convolution("conv3x3", 1, 1, 3)
convolution("conv3x3_stride", 2, 1, 3)
convolution("conv3x3_dilated", 1, 2, 3)
convolution("conv1x1", 1, 1, 1)
# More rows than a block, more of k than is summed at a time.
convolution("conv3x3_deep", 1, 1, 3, groups=1, filters=133, channels=45)
convolution("conv3x3_deep_stride", 2, 1, 3, groups=1, filters=20, channels=40)
convolution("conv3x3_far", 3, 1, 3)
# Single filters are no products of matrices, but windows of many terms.
convolution("conv7x7_single", 1, 1, 7, filters=1, channels=18)
convolution("conv3x3_single_stride", 2, 1, 3, groups=1, filters=1, channels=70, before=(1, 1), after=(1, 1))
# Pads that windows reach into: on all sides, on some, wider than a vector.
convolution("conv3x3_padded", 1, 1, 3, before=(1, 1), after=(1, 1))
convolution("conv3x3_padded_stride", 2, 1, 3, before=(1, 1), after=(0, 1))
convolution("conv3x3_padded_dilated", 1, 2, 3, before=(2, 2), after=(2, 2))
convolution("conv3x3_padded_deep", 1, 1, 3, groups=1, filters=133, channels=45, before=(1, 0), after=(0, 2))
convolution("conv5x5_padded_rows", 1, 1, 5, channels=18, before=(2, 0), after=(2, 0))
convolution("conv3x3_padded_far", 3, 1, 3, before=(1, 1), after=(1, 1))
convolution("conv1x1_padded", 1, 1, 1, channels=18, before=(0, 1), after=(0, 0))


def signal(name, stride, kernel, before, after, filters=20, channels=24):
    """A convolution along one dimension, padded. Symbol 0: the length of the output."""
    size = f"(s0 - 1) * {stride} + {kernel - before - after}"
    shapes = (f"2x{channels}x?xf32", f"{filters}x{channels}x{kernel}xf32", f"2x{filters}x?xf32")
    dims = ", ".join(f"affine_map<()[s0, s1, s2] -> ({d})>" for d in (
        f"2, {channels}, {size}", f"{filters}, {channels}, {kernel}", f"2, {filters}, s0"))
    sums = contraction((shapes[0], f"b, c, x * {stride} + j", "f32"), (shapes[1], "f, c, j", "f32"),
                       (shapes[2], "b, f, x", "f32"), "bfxcj", "f32", "%image, %w")
    text = f"""kernel.func @{name} inputs 2 dims [{dims}] {{
^bb0(%a: tensor<{shapes[0]}>, %w: tensor<{shapes[1]}>, %d: tensor<{shapes[2]}>):
  %zero = arith.constant 0.0 : f32
  %z = linalg.fill ins(%zero : f32) outs(%d : tensor<{shapes[2]}>) -> tensor<{shapes[2]}>
{pad_text(shapes[0], shapes[0], (0, before), (0, after), 3, "f32")}
{sums}
  kernel.yield %r : tensor<{shapes[2]}>
}}
"""

    def make(n, _, __):
        image, filt = rand(2, channels, (n - 1) * stride + kernel - before - after), rand(filters, channels, kernel)
        x = np.pad(image, [(0, 0), (0, 0), (before, after)]).astype(np.float64)
        out = sum(np.einsum("bcx,fc->bfx", x[:, :, j:][:, :, :(n - 1) * stride + 1:stride], filt[:, :, j].astype(np.float64))
                  for j in range(kernel))
        return [image, filt], out
    case(name, text, make, [(n, 0, 0) for n in (1, 2, 16, 17, 31, 64, 65, 150)])


signal("signal3_padded", 1, 3, 1, 1)
signal("signal3_padded_stride", 2, 3, 1, 0)
signal("signal9_padded", 1, 9, 4, 4)


def main():
    kernels = Kernels("".join(KERNELS))
    failures = 0
    for target in native_targets():
        for name, size, make, tolerance in CASES:
            inputs, want = make(*size)
            dtype = np.float64 if name.endswith("f64") else np.float32
            got, = kernels.run(target, name, inputs, [(want.shape, dtype)], size)
            scale = 1 + np.abs(want).max(initial=0)
            if not np.abs(got - want).max(initial=0) <= tolerance * scale:
                failures += 1
                print(f"{target} {name} {size}: differs by {np.abs(got - want).max()}")
    print("contractions:", "failed" if failures else f"passed {len(CASES)}", kernels.log.strip())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
