# RUN: %python %s
# Elementary functions against numpy in higher precision, at ordinary points, at
# the edges of the type and at infinity and NaN.
import math, sys
import numpy as np
from kernels import Kernels, native_targets, ulps

UNARY = {"exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
         "log1p": np.log1p, "tanh": np.tanh, "sinh": np.sinh, "cosh": np.cosh, "sin": np.sin, "cos": np.cos,
         "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh,
         "acosh": np.arccosh, "atanh": np.arctanh, "cbrt": np.cbrt, "sqrt": np.sqrt, "floor": np.floor,
         "ceil": np.ceil, "trunc": np.trunc, "roundeven": np.rint, "absf": np.abs,
         "rsqrt": lambda x: 1 / np.sqrt(x), "erf": np.vectorize(math.erf), "erfc": np.vectorize(math.erfc)}
# Units of the last place. f64 trigonometric functions lose to the reduction.
LIMIT = {"f32": 4, "f64": 64, "f16": 1, "bf16": 1}
TYPES = {"f32": np.float32, "f64": np.float64, "f16": np.float16}


def kernel(name, op, type, arity=1):
    args = ", ".join(f"%a{i}: tensor<?x{type}>" for i in range(arity))
    maps = ", ".join(["affine_map<()[s0] -> (s0)>"] * (arity + 1))
    ins = ", ".join(f"%a{i}" for i in range(arity))
    types = ", ".join([f"tensor<?x{type}>"] * arity)
    idmaps = ", ".join(["affine_map<(i) -> (i)>"] * (arity + 1))
    body = ", ".join(f"%x{i}: {type}" for i in range(arity))
    xs = ", ".join(f"%x{i}" for i in range(arity))
    return f"""kernel.func @{name} inputs {arity} dims [{maps}] {{
^bb0({args}, %d: tensor<?x{type}>):
  %r = linalg.generic {{indexing_maps = [{idmaps}], iterator_types = ["parallel"]}} ins({ins} : {types}) outs(%d : tensor<?x{type}>) {{
  ^bb1({body}, %o: {type}):
    %y = {op} {xs} : {type}
    linalg.yield %y : {type}
  }} -> tensor<?x{type}>
  kernel.yield %r : tensor<?x{type}>
}}
"""


def points(dtype):
    rng = np.random.default_rng(1)
    big = np.finfo(dtype).max
    x = [rng.uniform(-a, a, 20000) for a in (1e-3, 1, 4, 30, 90)]
    x.append(np.exp(rng.uniform(np.log(float(np.finfo(dtype).tiny)), np.log(float(big)) - 1, 20000)))
    x.append([0.0, -0.0, 1, -1, 0.5, 2, 10, np.inf, -np.inf, np.nan, np.finfo(dtype).smallest_subnormal * 3, big])
    with np.errstate(all="ignore"):
        return np.concatenate(x).astype(dtype)


def main():
    text = "".join(kernel(f"{op}_{t}", f"math.{op}", t) for op in UNARY for t in TYPES)
    text += "".join(kernel(f"{op.split('.')[1]}_{t}", op, t, 2) for op in ("math.powf", "math.atan2", "arith.remf") for t in TYPES)
    kernels = Kernels(text)
    worst = 0
    for target in native_targets():
        for t, dtype in TYPES.items():
            for op, reference in UNARY.items():
                x = points(dtype)
                if op in ("sin", "cos", "tan"):
                    x = x[~(np.abs(x) > 1e4) | np.isinf(x)]
                with np.errstate(all="ignore"):
                    want = reference(x.astype(np.float64 if t != "f64" or op in ("erf", "erfc") else np.longdouble)).astype(dtype)
                    got, = kernels.run(target, f"{op}_{t}", [x], [(x.shape, dtype)], [len(x)])
                if op == "erfc":
                    keep = x < 4
                    got, want, x = got[keep], want[keep], x[keep]
                if t == "f64" and op in ("sin", "cos", "tan"):
                    error = np.nanmax(np.abs((got - want)) / np.maximum(1, np.abs(want))) / 2e-16
                else:
                    error = ulps(got, want)
                limit = LIMIT[t] if op != "erfc" else LIMIT[t] * 32
                if error > limit:
                    worst += 1
                    print(f"{target} {op} {t}: {error:.1f} ulp")
            rng = np.random.default_rng(2)
            for op, reference in (("powf", np.power), ("atan2", np.arctan2), ("remf", np.fmod)):
                x, y = rng.normal(0, 3, 20000).astype(dtype), rng.normal(0, 3, 20000).astype(dtype)
                y[::3] = np.rint(y[::3])
                edge = np.array([0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 2, -3, 0.5], dtype)
                a, b = [v.reshape(-1) for v in np.meshgrid(edge, edge)]
                x, y = np.concatenate([x, a]), np.concatenate([y, b])
                with np.errstate(all="ignore"):
                    want = reference(x.astype(np.float64 if t != "f64" else np.longdouble), y.astype(np.float64 if t != "f64" else np.longdouble)).astype(dtype)
                got, = kernels.run(target, f"{op}_{t}", [x, y], [(x.shape, dtype)], [len(x)])
                bad = np.isnan(got) != np.isnan(want)
                if bad.any():
                    worst += 1
                    print(target, op, t, "NaN differs at", x[bad][:5], y[bad][:5], got[bad][:5], want[bad][:5])
                    continue
                error = ulps(got, want)
                if error > LIMIT[t]:
                    worst += 1
                    print(f"{target} {op} {t}: {error:.1f} ulp")
    print("math:", "failed" if worst else "passed")
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
