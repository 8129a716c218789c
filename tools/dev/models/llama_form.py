"""A decoder of Llama's shape in opset 24, in any float type.

`results`: the logits of each position; of the last one, as exporters that prune the head
have it; or the likeliest next token.
"""
import ml_dtypes
import numpy as np
from onnx import TensorProto

from llama_source import TINY, Config
from opset24_form import Opset24Form

TYPES = {"f32": (TensorProto.FLOAT, np.dtype(np.float32)),
         "f16": (TensorProto.FLOAT16, np.dtype(np.float16)),
         "bf16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16))}
RESULTS = ("logits", "last-logits", "token")
SIZES = {
    "tiny": TINY,
    "135m": Config(),
    "1b": Config(layers=16, hidden=2048, ffn=8192, heads=32, kv_heads=8, head_dim=64,
                 vocabulary=128256, theta=500000.0),
    "8b": Config(layers=32, hidden=4096, ffn=14336, heads=32, kv_heads=8, head_dim=128,
                 vocabulary=128256, theta=500000.0),
}


class LlamaForm(Opset24Form):
    def __init__(self, writer, source, dtype="bf16", results="last-logits", masked=True):
        super().__init__(writer, source)
        self.onnx_type, self.dtype = TYPES[dtype]
        self.results, self.masked = results, masked

    def _mask(self):
        """Without padding, causality is all the mask there is."""
        return super()._mask() if self.masked else ""

    def _results(self, hidden, head):
        if self.results == "logits":
            return super()._results(hidden, head)
        w = self.w
        last = [w.weight(f"last_{part}", lambda value=value: np.array([value], np.int64))
                for part, value in (("begin", -1), ("end", np.iinfo(np.int64).max),
                                    ("axis", 1))]
        hidden = w.node("Slice", [hidden, *last], "/lm_head/Slice")
        sizes = ["batch", 1, self.c.vocabulary]
        if self.results == "last-logits":
            w.node("MatMul", [hidden, head], "/lm_head/MatMul", ["logits"])
            return w.output("logits", self.onnx_type, sizes)
        logits = w.node("MatMul", [hidden, head], "/lm_head/MatMul")
        w.node("ArgMax", [logits], "/lm_head/ArgMax", ["token"], axis=-1, keepdims=0)
        return w.output("token", TensorProto.INT64, sizes[:2])
