"""Functions and quotients that are rounded to 16 bits: the short forms, to one unit of the
result's last place, where they are small and at their ends too."""
import math

import numpy as np

from models import node

# One rounding may fall on the other side.
UNIT = {"f16": 2.0 ** -10, "bf16": 2.0 ** -7}
ENDS = [np.inf, -np.inf, np.nan, 0, -0.0, 88, -88]


def erf(x):
    return np.vectorize(math.erf)(x)


FUNCTIONS = {"Erf": (erf, ()), "Tanh": (np.tanh, ("ex2.approx.ftz", "rcp.approx.ftz")),
             "Exp": (np.exp, ("ex2.approx.ftz",)),
             "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), ("ex2.approx.ftz", "rcp.approx.ftz"))}


def rounded(name, case):
    case.tolerance = UNIT[name]
    return case


def function(Case, op, name, dtype):
    compute, needs = FUNCTIONS[op]
    steps = np.linspace(-9, 9, 409).astype(dtype)
    x = np.concatenate([steps, np.array(ENDS).astype(dtype)])
    with np.errstate(over="ignore"):
        want = compute(x.astype(np.float64)).astype(dtype)
    return rounded(name, Case([node(op, "x", "y")], {"x": x}, want, needs=needs))


def small(Case, op, name, dtype):
    """Relative to what the function of a small number is."""
    x = (np.linspace(-1, 1, 101) * 2.0 ** -9).astype(dtype)
    scale = np.array([256], dtype)
    inner = FUNCTIONS[op][0](x.astype(np.float64)).astype(dtype)
    want = (inner.astype(np.float64) * 256).astype(dtype)
    return rounded(name, Case([node(op, "x", "f"), node("Mul", "f scale", "y")],
                              {"x": x, "scale": scale}, want))


def quotient(Case, name, dtype, needs):
    generator = np.random.default_rng(3)
    a, b = (generator.standard_normal(203).astype(dtype) for _ in range(2))
    a[:4], b[:4] = [0, 1, np.inf, 3], [0, 0, 2, np.inf]
    with np.errstate(all="ignore"):
        want = (a.astype(np.float64) / b.astype(np.float64)).astype(dtype)
    return rounded(name, Case([node("Div", "a b", "y")], {"a": a, "b": b}, want, needs=needs))


def cases(Case, F16, BF16):
    for name, dtype in (("f16", F16), ("bf16", BF16)):
        for op in FUNCTIONS:
            yield f"short-{op}-{name}", function(Case, op, name, dtype)
        for op in ("Erf", "Tanh"):
            yield f"short-{op}-{name}-small", small(Case, op, name, dtype)
    yield "short-quotient-f16", quotient(Case, "f16", F16, ("rcp.approx.ftz",))
    yield "short-quotient-bf16", quotient(Case, "bf16", BF16, ("div.full",))
