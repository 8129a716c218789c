"""The same operator at sizes its test does not have.

Equal sizes over 1 change together. A size counts where ONNX's reference evaluator
and ONNX Runtime both take it and agree; else it is not legal, or no oracle is sure.
"""
import warnings

import numpy as np
from onnx.reference import ReferenceEvaluator

STEPS = (2, -1)


def resize(array, step):
    """Every dimension over 1 becomes larger or smaller by step, at least 1."""
    shape = [max(1, d + step) if d > 1 else d for d in array.shape]
    return np.resize(array, shape) if array.size else array


def changed(feeds, step):
    """Feeds at other sizes. Shapes, axes and the like (rank 1 of integers) stay."""
    return {n: v if v.ndim == 0 or (v.ndim == 1 and v.dtype.kind in "iu")
            else resize(v, step) for n, v in feeds.items()}


def reference(model, feeds):
    names = [o.name for o in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(None, feeds)))


def onnxruntime_says(model, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds)))


def other_sizes(model, feeds, differ):
    """Yields (feeds, expected); differ(expected, found) gives a reason or None."""
    for step in STEPS:
        other = changed(feeds, step)
        if all(a.shape == feeds[n].shape for n, a in other.items()):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                first, second = reference(model, other), onnxruntime_says(model, other)
            arrays = all(isinstance(v, np.ndarray) for v in first.values())
            if not arrays or any(differ(v, second[n]) for n, v in first.items()):
                continue
        except Exception:
            continue
        yield other, first
