"""The node tests of the pinned onnx package, each in three forms.

static: as they are. dynamic: every input dimension becomes a symbol of its own.
constant: every input but the first becomes an initializer.
"""
import warnings

import numpy as np
import onnx
from onnx import numpy_helper

FORMS = ("static", "dynamic", "constant")


def load_cases():
    """name -> onnx.backend.test.case.test_case.TestCase; nothing is stored."""
    from onnx.backend.test.case.node import collect_testcases
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in collect_testcases(None)}


def operators(case):
    """The operators of a case, domain first unless it is the default one."""
    names = {f"{n.domain}.{n.op_type}" if n.domain else n.op_type
             for n in case.model.graph.node if n.op_type != "Constant"}
    return sorted(names) or ["Constant"]


def as_array(value):
    """A case's value as an ndarray, or None where it is no single tensor."""
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if value is None or isinstance(value, (list, onnx.SequenceProto, onnx.OptionalProto)):
        return None
    return np.asarray(value)


def in_form(case, form):
    """(model, {input: array}, {output: array}) of a case, or None where it has no such form."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    names = [i.name for i in model.graph.input]
    feeds = {name: as_array(v) for name, v in zip(names, inputs)}
    expected = {o.name: as_array(v) for o, v in zip(model.graph.output, outputs)}
    if form == "dynamic" and not _make_dynamic(model):
        return None
    if form == "constant":
        fixed = [n for n in names[1:] if feeds.get(n) is not None]
        if not fixed:
            return None
        for name in fixed:
            model.graph.initializer.append(numpy_helper.from_array(feeds.pop(name), name))
        kept = [i for i in model.graph.input if i.name not in fixed]
        del model.graph.input[:]
        model.graph.input.extend(kept)
    return model, feeds, expected


def _make_dynamic(model):
    """Names every input dimension, drops all other shapes; False if none was there."""
    changed = False
    for value in model.graph.input:
        if not value.type.HasField("tensor_type"):
            continue
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}_{axis}"
            changed = True
    for value in model.graph.output:
        if value.type.HasField("tensor_type"):
            for axis, dim in enumerate(value.type.tensor_type.shape.dim):
                dim.dim_param = f"{value.name}_{axis}"
    del model.graph.value_info[:]
    return changed


# Where the type itself rounds coarser than the suite's 1e-3: two units in the
# last place, as one may round the operands and the other only the result.
ROUNDING = {"float16": 2.0 ** -9, "bfloat16": 2.0 ** -6}


def is_random(case):
    """Whether no two engines agree on the case's elements."""
    return case.name.startswith("test_bernoulli")


def difference(case, expected, found):
    """Why found is not the expected array, or None."""
    if found.shape != expected.shape:
        return f"expected shape {expected.shape}, but got {found.shape}"
    if found.dtype != expected.dtype:
        return f"expected type {expected.dtype}, but got {found.dtype}"
    if is_random(case):
        return None if np.isin(found, (0, 1)).all() else "expected elements of 0 and 1"
    if expected.dtype.kind in "iub":
        wrong = int((found != expected).sum())
        return f"{wrong} of {expected.size} elements differ" if wrong else None
    rtol = max(case.rtol, ROUNDING.get(expected.dtype.name, 0))
    a, b = expected.astype(np.float64), found.astype(np.float64)
    wrong = ~np.isclose(b, a, rtol=rtol, atol=case.atol, equal_nan=True)
    if not wrong.any():
        return None
    with np.errstate(all="ignore"):
        worst = np.nanmax(np.abs(np.where(wrong, a - b, 0)))
    return f"{int(wrong.sum())} of {expected.size} elements differ, by up to {worst:.2g}"
