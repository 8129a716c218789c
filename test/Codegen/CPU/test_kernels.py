# RUN: %python %s
# Kernels of the forms that lowering makes, against numpy: elementwise, reduction,
# movement, gather, contraction, padding; integers, booleans, small floats.
import sys
import numpy as np
from kernels import Kernels, native_targets

TESTS = []


def test(symbols=()):
    def add(function):
        TESTS.append((function, list(symbols)))
        return function
    return add


def dims(*exprs, symbols=3):
    names = ", ".join(f"s{i}" for i in range(symbols))
    return "[" + ", ".join(f"affine_map<()[{names}] -> ({e})>" for e in exprs) + "]"


def rand(*shape, dtype=np.float32):
    return np.random.default_rng(sum(shape) + len(shape)).normal(0, 1, shape).astype(dtype)


@test([37, 50, 1])
def softmax(name, s):
    x = rand(s[0], s[1])
    e = np.exp(x - x.max(1, keepdims=True))
    return f"""kernel.func @{name} inputs 1 dims {dims("s0, s1", "s0, s1")} {{
^bb0(%x: tensor<?x?xf32>, %d: tensor<?x?xf32>):
  %m = kernel.symbol affine_map<()[s0, s1, s2] -> (s0)>
  %e = tensor.empty(%m) : tensor<?xf32>
  %ninf = arith.constant 0xFF800000 : f32
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%ninf : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %max = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}} ins(%x : tensor<?x?xf32>) outs(%f : tensor<?xf32>) {{
  ^bb1(%a: f32, %b: f32):
    %c = arith.maximumf %b, %a : f32
    linalg.yield %c : f32
  }} -> tensor<?xf32>
  %p = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%x, %max : tensor<?x?xf32>, tensor<?xf32>) outs(%d : tensor<?x?xf32>) {{
  ^bb1(%a: f32, %b: f32, %o: f32):
    %c = arith.subf %a, %b : f32
    %g = math.exp %c : f32
    linalg.yield %g : f32
  }} -> tensor<?x?xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}} ins(%p : tensor<?x?xf32>) outs(%z : tensor<?xf32>) {{
  ^bb1(%a: f32, %b: f32):
    %c = arith.addf %b, %a : f32
    linalg.yield %c : f32
  }} -> tensor<?xf32>
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%p, %sum : tensor<?x?xf32>, tensor<?xf32>) outs(%d : tensor<?x?xf32>) {{
  ^bb1(%a: f32, %b: f32, %o: f32):
    %c = arith.divf %a, %b : f32
    linalg.yield %c : f32
  }} -> tensor<?x?xf32>
  kernel.yield %r : tensor<?x?xf32>
}}
""", [x], [e / e.sum(1, keepdims=True)], 2e-6


@test([13, 21, 8])
def compare_select(name, s):
    """i1 is stored as bytes, in and out."""
    x, y = rand(s[0], s[1]), rand(s[1])
    m = x > y
    return f"""kernel.func @{name} inputs 3 dims {dims("s0, s1", "s1", "s0, s1", "s0, s1", "s0, s1")} {{
^bb0(%x: tensor<?x?xf32>, %y: tensor<?xf32>, %n: tensor<?x?xi1>, %d: tensor<?x?xi1>, %e: tensor<?x?xf32>):
  %m = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%x, %y : tensor<?x?xf32>, tensor<?xf32>) outs(%d : tensor<?x?xi1>) {{
  ^bb1(%a: f32, %b: f32, %o: i1):
    %c = arith.cmpf ogt, %a, %b : f32
    linalg.yield %c : i1
  }} -> tensor<?x?xi1>
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%m, %n, %x, %y : tensor<?x?xi1>, tensor<?x?xi1>, tensor<?x?xf32>, tensor<?xf32>) outs(%e : tensor<?x?xf32>) {{
  ^bb1(%c: i1, %q: i1, %a: f32, %b: f32, %o: f32):
    %w = arith.xori %c, %q : i1
    %v = arith.select %w, %a, %b : f32
    linalg.yield %v : f32
  }} -> tensor<?x?xf32>
  kernel.yield %m, %r : tensor<?x?xi1>, tensor<?x?xf32>
}}
""", [x, y, rand(s[0], s[1]) > 0.3], [m, np.where(m ^ (rand(s[0], s[1]) > 0.3), x, y)], 0


@test([5, 7, 1])
def concat_slice(name, s):
    x, y = rand(s[0], 3, s[1]), rand(s[0], 4, s[1])
    return f"""kernel.func @{name} inputs 2 dims {dims("s0, 3, s1", "s0, 4, s1", "s0, 7, s1", "s0, 2, s1")} {{
^bb0(%x: tensor<?x3x?xf32>, %y: tensor<?x4x?xf32>, %d: tensor<?x7x?xf32>, %e: tensor<?x2x?xf32>):
  %m = kernel.symbol affine_map<()[s0, s1, s2] -> (s0)>
  %n = kernel.symbol affine_map<()[s0, s1, s2] -> (s1)>
  %a = tensor.insert_slice %x into %d[0, 0, 0] [%m, 3, %n] [1, 1, 1] : tensor<?x3x?xf32> into tensor<?x7x?xf32>
  %b = tensor.insert_slice %y into %a[0, 3, 0] [%m, 4, %n] [1, 1, 1] : tensor<?x4x?xf32> into tensor<?x7x?xf32>
  %c = tensor.extract_slice %y[0, 0, 0] [%m, 2, %n] [1, 2, 1] : tensor<?x4x?xf32> to tensor<?x2x?xf32>
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j, k)>], iterator_types = ["parallel", "parallel", "parallel"]}} ins(%c : tensor<?x2x?xf32>) outs(%e : tensor<?x2x?xf32>) {{
  ^bb1(%p: f32, %o: f32):
    linalg.yield %p : f32
  }} -> tensor<?x2x?xf32>
  kernel.yield %b, %r : tensor<?x7x?xf32>, tensor<?x2x?xf32>
}}
""", [x, y], [np.concatenate([x, y], 1), y[:, ::2]], 0


@test([11, 6, 9])
def gather(name, s):
    table, index = rand(20, s[1]), np.random.default_rng(0).integers(-20, 20, s[0])
    return f"""kernel.func @{name} inputs 2 dims {dims("20, s1", "s0", "s0, s1")} {{
^bb0(%t: tensor<20x?xf32>, %i: tensor<?xi64>, %d: tensor<?x?xf32>):
  %c20 = arith.constant 20 : i64
  %c0 = arith.constant 0 : i64
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%i : tensor<?xi64>) outs(%d : tensor<?x?xf32>) {{
  ^bb1(%a: i64, %o: f32):
    %n = arith.cmpi slt, %a, %c0 : i64
    %w = arith.addi %a, %c20 : i64
    %v = arith.select %n, %w, %a : i64
    %x = arith.index_cast %v : i64 to index
    %j = linalg.index 1 : index
    %e = tensor.extract %t[%x, %j] : tensor<20x?xf32>
    linalg.yield %e : f32
  }} -> tensor<?x?xf32>
  kernel.yield %r : tensor<?x?xf32>
}}
""", [table, index], [table[index]], 0


@test([9, 33, 1])
def transpose(name, s):
    x = rand(s[0], 5, s[1])
    return f"""kernel.func @{name} inputs 1 dims {dims("s0, 5, s1", "s1, s0, 5")} {{
^bb0(%x: tensor<?x5x?xf32>, %d: tensor<?x?x5xf32>):
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j, k) -> (j, k, i)>, affine_map<(i, j, k) -> (i, j, k)>], iterator_types = ["parallel", "parallel", "parallel"]}} ins(%x : tensor<?x5x?xf32>) outs(%d : tensor<?x?x5xf32>) {{
  ^bb1(%a: f32, %o: f32):
    linalg.yield %a : f32
  }} -> tensor<?x?x5xf32>
  kernel.yield %r : tensor<?x?x5xf32>
}}
""", [x], [x.transpose(2, 0, 1)], 0


def matmul_text(name, a, b, c, arguments, tail=""):
    """A generic contraction over (m, n, k)."""
    return f"""kernel.func @{name} inputs 2 dims {arguments} {{
^bb0(%a: tensor<{a[0]}>, %b: tensor<{b[0]}>, %d: tensor<{c[0]}>):
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%d : tensor<{c[0]}>) -> tensor<{c[0]}>
  %r = linalg.generic {{indexing_maps = [{a[1]}, {b[1]}, {c[1]}], iterator_types = [{c[2]}"parallel", "parallel", "reduction"]}} ins(%a, %b : tensor<{a[0]}>, tensor<{b[0]}>) outs(%f : tensor<{c[0]}>) {{
  ^bb1(%x: f32, %y: f32, %o: f32):
    %p = arith.mulf %x, %y : f32
    %q = arith.addf %o, %p : f32
    linalg.yield %q : f32
  }} -> tensor<{c[0]}>
  kernel.yield %r : tensor<{c[0]}>
}}
"""


@test([70, 45, 65])
def matmul(name, s):
    a, b = rand(s[0], s[2]), rand(s[2], s[1])
    text = matmul_text(name, ("?x?xf32", "affine_map<(m, n, k) -> (m, k)>"), ("?x?xf32", "affine_map<(m, n, k) -> (k, n)>"),
                       ("?x?xf32", "affine_map<(m, n, k) -> (m, n)>", ""), dims("s0, s2", "s2, s1", "s0, s1"))
    return text, [a, b], [a @ b], 1e-4


@test([1, 45, 65])
def matvec(name, s):
    return matmul(name, s)


@test([6, 45, 65])
def matmul_transposed(name, s):
    a, b = rand(s[0], s[2]), rand(s[1], s[2])
    text = matmul_text(name, ("?x?xf32", "affine_map<(m, n, k) -> (m, k)>"), ("?x?xf32", "affine_map<(m, n, k) -> (n, k)>"),
                       ("?x?xf32", "affine_map<(m, n, k) -> (m, n)>", ""), dims("s0, s2", "s1, s2", "s0, s1"))
    return text, [a, b], [a @ b.T], 1e-4


@test([1, 45, 65])
def matvec_transposed(name, s):
    return matmul_transposed(name, s)


@test([6, 45, 33])
def matmul_batch(name, s):
    """Batches share one b by groups of 3, as grouped heads do."""
    a, b = rand(2, 3, s[0], s[2]), rand(2, s[2], s[1])
    text = matmul_text(name, ("2x3x?x?xf32", "affine_map<(b, g, m, n, k) -> (b, g, m, k)>"),
                       ("2x?x?xf32", "affine_map<(b, g, m, n, k) -> (b, k, n)>"),
                       ("2x3x?x?xf32", "affine_map<(b, g, m, n, k) -> (b, g, m, n)>", '"parallel", "parallel", '),
                       dims("2, 3, s0, s2", "2, s2, s1", "2, 3, s0, s1"))
    return text, [a, b], [a @ b[:, None]], 1e-4


@test([5, 3, 1])
def integers(name, s):
    """Division by zero gives zero and does not trap."""
    a = np.array([7, -7, 5, -(2 ** 31), 9], np.int32)
    b = np.array([2, 2, 0, -1, 3], np.int32)
    return f"""kernel.func @{name} inputs 2 dims {dims("s0", "s0", "s0", "s0")} {{
^bb0(%a: tensor<?xi32>, %b: tensor<?xi32>, %d: tensor<?xi32>, %e: tensor<?xi32>):
  %r:2 = linalg.generic {{indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}} ins(%a, %b : tensor<?xi32>, tensor<?xi32>) outs(%d, %e : tensor<?xi32>, tensor<?xi32>) {{
  ^bb1(%x: i32, %y: i32, %o: i32, %p: i32):
    %q = arith.divsi %x, %y : i32
    %m = arith.remsi %x, %y : i32
    linalg.yield %q, %m : i32, i32
  }} -> (tensor<?xi32>, tensor<?xi32>)
  kernel.yield %r#0, %r#1 : tensor<?xi32>, tensor<?xi32>
}}
""", [a, b], [np.array([3, -3, 0, -(2 ** 31), 3], np.int32), np.array([1, -1, 0, 0, 0], np.int32)], 0


@test([12, 20, 1])
def pad_conv(name, s):
    x, w = rand(2, 3, s[0], s[1]), rand(5, 3, 3, 3)
    p = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    v = np.lib.stride_tricks.sliding_window_view(p, (3, 3), (2, 3))
    return f"""kernel.func @{name} inputs 2 dims {dims("2, 3, s0, s1", "5, 3, 3, 3", "2, 5, s0, s1")} {{
^bb0(%x: tensor<2x3x?x?xf32>, %w: tensor<5x3x3x3xf32>, %d: tensor<2x5x?x?xf32>):
  %zero = arith.constant 0.0 : f32
  %p = tensor.pad %x low[0, 0, 1, 1] high[0, 0, 1, 1] {{
  ^bb1(%a: index, %b: index, %c: index, %e: index):
    tensor.yield %zero : f32
  }} : tensor<2x3x?x?xf32> to tensor<2x3x?x?xf32>
  %f = linalg.fill ins(%zero : f32) outs(%d : tensor<2x5x?x?xf32>) -> tensor<2x5x?x?xf32>
  %r = linalg.conv_2d_nchw_fchw {{dilations = dense<1> : tensor<2xi64>, strides = dense<1> : tensor<2xi64>}} ins(%p, %w : tensor<2x3x?x?xf32>, tensor<5x3x3x3xf32>) outs(%f : tensor<2x5x?x?xf32>) -> tensor<2x5x?x?xf32>
  kernel.yield %r : tensor<2x5x?x?xf32>
}}
""", [x, w], [np.einsum("nchwij,fcij->nfhw", v, w)], 1e-4


@test([10, 6, 1])
def swap_results(name, s):
    """A value yielded twice, an operand yielded as it is, a destination used as scratch."""
    x = rand(s[0], s[1])
    return f"""kernel.func @{name} inputs 1 dims {dims("s0, s1", "s0, s1", "s0, s1", "s0, s1")} {{
^bb0(%x: tensor<?x?xf32>, %d: tensor<?x?xf32>, %e: tensor<?x?xf32>, %g: tensor<?x?xf32>):
  %a = linalg.exp ins(%x : tensor<?x?xf32>) outs(%d : tensor<?x?xf32>) -> tensor<?x?xf32>
  %b = linalg.add ins(%a, %x : tensor<?x?xf32>, tensor<?x?xf32>) outs(%d : tensor<?x?xf32>) -> tensor<?x?xf32>
  kernel.yield %b, %a, %x : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>
}}
""", [x], [np.exp(x) + x, np.exp(x), x], 1e-6


@test([17, 40, 1])
def half_norm(name, s):
    """RMS normalisation of f16 with a sum in f32."""
    x, w = rand(s[0], s[1], dtype=np.float16), rand(s[1], dtype=np.float16)
    f = x.astype(np.float32)
    want = f / np.sqrt((f * f).mean(1, keepdims=True) + 1e-5) * w.astype(np.float32)
    return f"""kernel.func @{name} inputs 2 dims {dims("s0, s1", "s1", "s0, s1")} {{
^bb0(%x: tensor<?x?xf16>, %w: tensor<?xf16>, %d: tensor<?x?xf16>):
  %m = kernel.symbol affine_map<()[s0, s1, s2] -> (s0)>
  %n = kernel.symbol affine_map<()[s0, s1, s2] -> (s1)>
  %e = tensor.empty(%m) : tensor<?xf32>
  %zero = arith.constant 0.0 : f32
  %eps = arith.constant 1.0e-5 : f32
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %sum = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>], iterator_types = ["parallel", "reduction"]}} ins(%x : tensor<?x?xf16>) outs(%z : tensor<?xf32>) {{
  ^bb1(%a: f16, %b: f32):
    %c = arith.extf %a : f16 to f32
    %g = arith.mulf %c, %c : f32
    %h = arith.addf %b, %g : f32
    linalg.yield %h : f32
  }} -> tensor<?xf32>
  %ni = arith.index_cast %n : index to i64
  %nf = arith.sitofp %ni : i64 to f32
  %r = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>, affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = ["parallel", "parallel"]}} ins(%x, %sum, %w : tensor<?x?xf16>, tensor<?xf32>, tensor<?xf16>) outs(%d : tensor<?x?xf16>) {{
  ^bb1(%a: f16, %b: f32, %c: f16, %o: f16):
    %mean = arith.divf %b, %nf : f32
    %g = arith.addf %mean, %eps : f32
    %h = math.rsqrt %g : f32
    %xa = arith.extf %a : f16 to f32
    %wa = arith.extf %c : f16 to f32
    %y = arith.mulf %xa, %h : f32
    %y2 = arith.mulf %y, %wa : f32
    %t = arith.truncf %y2 : f32 to f16
    linalg.yield %t : f16
  }} -> tensor<?x?xf16>
  kernel.yield %r : tensor<?x?xf16>
}}
""", [x, w], [want.astype(np.float16)], 2e-3


def copy_rows(width):
    """Rows of bytes between others that are zero: a copy and a fill of every length."""
    def make(name, s):
        x = np.random.default_rng(width).integers(-128, 128, (3, s[1])).astype(np.int8)
        return f"""kernel.func @{name} inputs 1 dims {dims("3, s1", "3, s1 + s1 + 1")} {{
^bb0(%x: tensor<3x?xi8>, %d: tensor<3x?xi8>):
  %zero = arith.constant 0 : i8
  %high = kernel.symbol affine_map<()[s0, s1, s2] -> (s1)>
  %p = tensor.pad %x low[0, 1] high[0, %high] {{
  ^bb1(%i: index, %j: index):
    tensor.yield %zero : i8
  }} : tensor<3x?xi8> to tensor<3x?xi8>
  kernel.yield %p : tensor<3x?xi8>
}}
""", [x], [np.pad(x, ((0, 0), (1, s[1])))], 0
    make.__name__ = f"copy_rows_{width}"
    return make


for _width in (0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 33, 64, 65, 200, 2047, 2048, 2049):
    test([1, _width, 1])(copy_rows(_width))


def main():
    chosen = [t for t in TESTS if len(sys.argv) < 2 or t[0].__name__ in sys.argv[1:]]
    cases = [(f.__name__, s, f(f.__name__, s)) for f, s in chosen]
    kernels = Kernels("".join(case[2][0] for case in cases))
    failures = 0
    for target in native_targets():
        for name, symbols, (_, inputs, expected, tolerance) in cases:
            got = kernels.run(target, name, inputs, [(e.shape, e.dtype) for e in expected], symbols)
            for index, (g, e) in enumerate(zip(got, expected)):
                same = (g == e).all() if tolerance == 0 else np.allclose(g.astype(np.float64), e.astype(np.float64), tolerance, tolerance)
                if not same:
                    failures += 1
                    print(f"{target} {name}: result {index} differs by {np.abs(g.astype(float) - e).max()}")
    print("kernels:", "failed" if failures else f"passed {len(cases)}", kernels.log.strip())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
