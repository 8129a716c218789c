# RUN: %python %s
# Which form code takes: sizes that a cast says are loops like others, and whatever each
# channel reads of its own, an item is a channel and a vector its neighbours in memory.
import sys

import numpy as np

from kernels import Kernels, native_targets

rng = np.random.default_rng(0)


def product(name, cast):
    """Rows of a symbol's size times a matrix whose size is a number."""
    given = "%w = tensor.cast %a : tensor<?x?xf32> to tensor<?x24xf32>" if cast else ""
    rows, source = ("%w", "tensor<?x24xf32>") if cast else ("%a", "tensor<?x?xf32>")
    return f"""kernel.func @{name} inputs 2 dims [affine_map<()[s0, s1] -> (s0, s1)>, affine_map<()[s0, s1] -> (24, 40)>, affine_map<()[s0, s1] -> (s0, 40)>] {{
^bb0(%a: tensor<?x?xf32>, %b: tensor<24x40xf32>, %d: tensor<?x40xf32>):
  %zero = arith.constant 0.0 : f32
  {given}
  %z = linalg.fill ins(%zero : f32) outs(%d : tensor<?x40xf32>) -> tensor<?x40xf32>
  %r = linalg.generic {{indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>],
      iterator_types = ["parallel", "parallel", "reduction"]}} ins({rows}, %b : {source}, tensor<24x40xf32>) outs(%z : tensor<?x40xf32>) {{
  ^bb1(%x: f32, %y: f32, %o: f32):
    %p = arith.mulf %x, %y : f32
    %q = arith.addf %o, %p : f32
    linalg.yield %q : f32
  }} -> tensor<?x40xf32>
  kernel.yield %r : tensor<?x40xf32>
}}
"""


CHANNEL, PLACE = "affine_map<(c, n) -> (c)>", "affine_map<(c, n) -> (c, n)>"
NORMALIZE = f"""kernel.func @normalize inputs 5 dims [affine_map<()[s0] -> (48, s0)>, affine_map<()[s0] -> (48)>, affine_map<()[s0] -> (48)>,
    affine_map<()[s0] -> (48)>, affine_map<()[s0] -> (48)>, affine_map<()[s0] -> (48, s0)>] {{
^bb0(%x: tensor<48x?xf32>, %s: tensor<48xf32>, %b: tensor<48xf32>, %m: tensor<48xf32>, %v: tensor<48xf32>, %d: tensor<48x?xf32>):
  %r = linalg.generic {{indexing_maps = [{PLACE}, {CHANNEL}, {CHANNEL}, {CHANNEL}, {CHANNEL}, {PLACE}], iterator_types = ["parallel", "parallel"]}}
      ins(%x, %s, %b, %m, %v : tensor<48x?xf32>, tensor<48xf32>, tensor<48xf32>, tensor<48xf32>, tensor<48xf32>) outs(%d : tensor<48x?xf32>) {{
  ^bb1(%e: f32, %scale: f32, %bias: f32, %mean: f32, %variance: f32, %o: f32):
    %root = math.sqrt %variance : f32
    %factor = arith.divf %scale, %root : f32
    %apart = arith.subf %e, %mean : f32
    %scaled = arith.mulf %apart, %factor : f32
    %q = arith.addf %scaled, %bias : f32
    linalg.yield %q : f32
  }} -> tensor<48x?xf32>
  kernel.yield %r : tensor<48x?xf32>
}}
"""


def main():
    kernels = Kernels(product("plain", False) + product("through_cast", True) + NORMALIZE)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((50, 24), (24, 40)))
    x = rng.standard_normal((48, 77)).astype(np.float32)
    s, c, m = rng.standard_normal((3, 48)).astype(np.float32)
    v = rng.uniform(0.5, 2, 48).astype(np.float32)
    normal = (x - m[:, None]) * (s / np.sqrt(v))[:, None] + c[:, None]
    for target in native_targets():
        for name in ("plain", "through_cast"):
            got, = kernels.run(target, name, [a, b], [((50, 40), np.float32)], [50, 24])
            np.testing.assert_allclose(got, a @ b, 1e-4, 1e-4, err_msg=f"{target} {name}")
        got, = kernels.run(target, "normalize", [x, s, c, m, v], [(x.shape, np.float32)], [77])
        np.testing.assert_allclose(got, normal, 1e-4, 1e-4, err_msg=f"{target} normalize")
    grid = {name: info["grid"] for name, info in kernels.info.items()}
    assert grid["plain"] == grid["through_cast"] != "1", grid
    assert grid["normalize"].endswith("* 48"), grid
    print("forms: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
