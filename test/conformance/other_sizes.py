"""The same operator at sizes its test does not have.

Equal sizes over 1 change together, to larger and smaller ones, to 1 and to 0. A
size counts where ONNX's reference evaluator and ONNX Runtime both take it and agree,
and where the results keep the rank that the model declares; else it is not legal, or
no oracle is sure. Where ONNX Runtime has no kernel for the operator, the reference
evaluator and ONNX's shape inference have to agree.
"""
import warnings

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

STEPS = {"larger": lambda d: d + 2, "smaller": lambda d: max(1, d - 1),
         "one": lambda d: 1, "empty": lambda d: 0}


def resize(array, change):
    """Every dimension over 1 becomes another one."""
    shape = [change(d) if d > 1 else d for d in array.shape]
    return np.resize(array, shape) if array.size else array


def changed(feeds, change):
    """Feeds at other sizes. Shapes, axes and the like (rank 1 of integers) stay."""
    return {n: v if v.ndim == 0 or (v.ndim == 1 and v.dtype.kind in "iu")
            else resize(v, change) for n, v in feeds.items()}


def reference(model, feeds):
    names = [o.name for o in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(None, feeds)))


def onnxruntime_says(model, feeds):
    """What ONNX Runtime computes; None where it cannot load the model at any size."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
    except Exception:
        return None
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))


def inferred_shapes(model, feeds):
    """Output name -> shape by ONNX's inference; None where it knows not all of it."""
    fixed = onnx.ModelProto.FromString(model.SerializeToString())
    for value in fixed.graph.input:
        for size, dim in zip(feeds[value.name].shape, value.type.tensor_type.shape.dim):
            dim.dim_value = size
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    shapes = {}
    for value in inferred.graph.output:
        dims = value.type.tensor_type.shape.dim
        known = value.type.tensor_type.HasField("shape") and \
            all(d.HasField("dim_value") for d in dims)
        shapes[value.name] = tuple(d.dim_value for d in dims) if known else None
    return shapes


def is_legal(model, feeds, found, differ):
    """Whether a second oracle confirms what the reference evaluator found."""
    ranks = {o.name: len(o.type.tensor_type.shape.dim) for o in model.graph.output}
    if any(not isinstance(v, np.ndarray) or v.ndim != ranks[n] for n, v in found.items()):
        return False
    second = onnxruntime_says(model, feeds)
    if second is not None:
        return not any(differ(v, second[n]) for n, v in found.items())
    shapes = inferred_shapes(model, feeds)
    return all(shapes.get(n) == v.shape for n, v in found.items())


def other_sizes(model, feeds, differ):
    """Yields (feeds, expected); differ(expected, found) gives a reason or None."""
    seen = [{n: v.shape for n, v in feeds.items()}]
    for change in STEPS.values():
        other = changed(feeds, change)
        shapes = {n: v.shape for n, v in other.items()}
        if shapes in seen:
            continue
        seen.append(shapes)
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found = reference(model, other)
                if not is_legal(model, other, found, differ):
                    continue
        except Exception:
            continue
        yield other, found
