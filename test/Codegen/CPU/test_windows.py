# RUN: %python %s
# Windows against numpy: pools and convolutions of single channels, of widths from 1 to
# beyond two vectors, strides that are vectors' and one that is not, pads, epilogues.
import itertools
import sys

import numpy as np

from kernels import Kernels, native_targets

rng = np.random.default_rng(0)
DTYPES = {"f32": np.float32, "f64": np.float64}
# Images of more than 1024 positions are not one row of masks.
SIZES = [(1, 1), (7, 7), (3, 15), (9, 16), (8, 17), (17, 33), (2, 65), (32, 32), (41, 25), (0, 5), (5, 0)]
CHANNELS = 3
KERNELS, CASES = [], []


def add(name, body, kernel, stride, dilation, combine, start, element, weighted, pads=(0, 0)):
    """A launch over symbols (height, width) of the result; relu follows the sums. It pads rows and columns by
    pads[0] before and by pads[1] behind."""
    reach = (kernel - 1) * dilation + 1
    size = [f"(s{i} - 1) * {stride} + {reach - sum(pads)}" for i in (0, 1)]
    where = ", ".join(f"{o} * {stride} + {k} * {dilation}" for o, k in (("y", "i"), ("x", "j")))
    whole, weights = f"tensor<{CHANNELS}x?x?x{element}>", f"tensor<{CHANNELS}x{kernel}x{kernel}x{element}>"
    dims = (f"{CHANNELS}, {size[0]}, {size[1]}", f"{CHANNELS}, {kernel}, {kernel}", f"{CHANNELS}, s0, s1")
    dims = ", ".join(f"affine_map<()[s0, s1] -> ({d})>" for d in dims)
    around = ", ".join(["0"] + [str(pads[0])] * 2), ", ".join(["0"] + [str(pads[1])] * 2)
    pad = f"""%image = tensor.pad %a low[{around[0]}] high[{around[1]}] {{
  ^bb0(%c: index, %y: index, %x: index):
    tensor.yield %{"zero" if weighted else "start"} : {element}
  }} : {whole} to {whole}""" if any(pads) else ""
    plane = "affine_map<(c, y, x) -> (c, y, x)>"
    KERNELS.append(f"""kernel.func @{name} inputs 2 dims [{dims}] {{
^bb0(%a: {whole}, %w: {weights}, %d: {whole}):
  %zero = arith.constant 0.0 : {element}
  %start = arith.constant {start} : {element}
  {pad}
  %z = linalg.fill ins(%start : {element}) outs(%d : {whole}) -> {whole}
  %r = linalg.generic {{indexing_maps = [affine_map<(c, y, x, i, j) -> (c, {where})>,
      affine_map<(c, y, x, i, j) -> (c, i, j)>, affine_map<(c, y, x, i, j) -> (c, y, x)>],
      iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}}
      ins({"%image" if pad else "%a"}, %w : {whole}, {weights}) outs(%z : {whole}) {{
  ^bb1(%x: {element}, %f: {element}, %o: {element}):
    {body}
    linalg.yield %q : {element}
  }} -> {whole}
  %s = linalg.generic {{indexing_maps = [{plane}, {plane}], iterator_types = ["parallel", "parallel", "parallel"]}}
      ins(%r : {whole}) outs(%d : {whole}) {{
  ^bb1(%x: {element}, %o: {element}):
    %m = arith.maximumf %x, %zero : {element}
    linalg.yield %m : {element}
  }} -> {whole}
  kernel.yield %s : {whole}
}}
""")

    def make(h, w):
        shape = (CHANNELS, max((h - 1) * stride + reach, 0), max((w - 1) * stride + reach, 0))
        image = rng.standard_normal([CHANNELS] + [max(n - sum(pads), 0) for n in shape[1:]]).astype(DTYPES[element])
        x = np.pad(image, [(0, 0), pads, pads], constant_values=0 if weighted else -np.inf)
        f = rng.standard_normal((CHANNELS, kernel, kernel)).astype(DTYPES[element])
        out = np.full((CHANNELS, h, w), float(start) if weighted else -np.inf)
        if h and w:
            for i, j in itertools.product(range(kernel), repeat=2):
                part = x[:, i * dilation:, j * dilation:][:, :(h - 1) * stride + 1:stride, :(w - 1) * stride + 1:stride]
                term = part.astype(np.float64) * (f[:, i, j, None, None] if weighted else 1)
                out = combine(out, term)
        return [image, f], np.maximum(out, 0)
    # Of no windows the image would have less than no elements.
    CASES.extend((name, size, make, element) for size in SIZES if all(size) or not any(pads))


def depthwise(name, kernel, stride, dilation, element="f32", pads=(0, 0)):
    body = f"%p = arith.mulf %x, %f : {element}\n    %q = arith.addf %o, %p : {element}"
    add(name, body, kernel, stride, dilation, np.add, "0.5", element, True, pads)


def pool(name, kernel, stride, dilation, pads=(0, 0)):
    add(name, "%q = arith.maximumf %o, %x : f32", kernel, stride, dilation, np.maximum, "0xFF800000", "f32", False, pads)


depthwise("depthwise3x3", 3, 1, 1)
depthwise("depthwise5x5_stride", 5, 2, 1)
depthwise("depthwise3x3_dilated", 3, 2, 2)
depthwise("depthwise3x3_far", 3, 3, 1)
depthwise("depthwise_f64", 3, 2, 1, "f64")
pool("pool3x3_stride", 3, 2, 1)
pool("pool2x2", 2, 1, 1)
depthwise("depthwise3x3_padded", 3, 1, 1, pads=(1, 1))
depthwise("depthwise5x5_padded_stride", 5, 2, 1, pads=(2, 1))
depthwise("depthwise5x5_padded", 5, 1, 1, pads=(2, 2))
depthwise("depthwise3x3_padded_dilated", 3, 1, 2, pads=(2, 2))
depthwise("depthwise_padded_f64", 5, 1, 1, "f64", pads=(2, 2))
pool("pool3x3_padded_stride", 3, 2, 1, pads=(1, 1))
pool("pool3x3_padded", 3, 1, 1, pads=(1, 1))


def main():
    kernels = Kernels("".join(KERNELS))
    failures = 0
    for target in native_targets():
        for name, size, make, element in CASES:
            inputs, want = make(*size)
            got, = kernels.run(target, name, inputs, [(want.shape, DTYPES[element])], size)
            if not np.abs(got - want).max(initial=0) <= 1e-5:
                failures += 1
                print(f"{target} {name} {size}: differs by {np.abs(got - want).max()}")
    print("windows:", "failed" if failures else f"passed {len(CASES)}", kernels.log.strip())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
