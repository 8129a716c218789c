"""SmolLM2 in opset 24: Attention, RMSNormalization and RotaryEmbedding ops."""
import numpy as np
from onnx import TensorProto


def rotary_caches(config):
    """cos and sin [context, head_dim / 2], computed in f32 as exporters do."""
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float32)
    exponents /= np.float32(config.head_dim)
    frequencies = (1.0 / np.float32(config.theta) ** exponents).astype(np.float32)
    angles = np.outer(np.arange(config.context, dtype=np.float32), frequencies)
    return np.cos(angles), np.sin(angles)


class Opset24Form:
    opsets, ir_version = [("", 24)], 12
    onnx_type, dtype = TensorProto.FLOAT, np.float32

    def __init__(self, writer, source):
        self.w, self.source, self.c = writer, source, source.config

    def build(self):
        w, c = self.w, self.c
        ids = w.input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        self.mask = self._mask()
        w.input("position_ids", TensorProto.INT64, ["batch", "sequence"])
        for n in range(c.layers):
            for what in ("key", "value"):
                w.input(f"past_key_values.{n}.{what}", self.onnx_type,
                        ["batch", c.kv_heads, "past", c.head_dim])
        self.caches = [self._array("cos_cache", lambda: rotary_caches(c)[0]),
                       self._array("sin_cache", lambda: rotary_caches(c)[1])]
        embedding = self._array("model.embed_tokens.weight",
                                lambda: self.source.get("embed_tokens"))
        hidden = w.node("Gather", [embedding, ids], "/model/embed_tokens/Gather")
        for n in range(c.layers):
            hidden = self._layer(n, hidden)
        hidden = self._norm(hidden, "norm", "/model/norm/RMSNormalization")
        self._results(hidden, w.node("Transpose", [embedding], "/lm_head/Transpose",
                                     perm=[1, 0]))
        for n in range(c.layers):
            for what in ("key", "value"):
                w.output(f"present.{n}.{what}", self.onnx_type,
                         ["batch", c.kv_heads, "total", c.head_dim])

    def _results(self, hidden, head):
        self.w.node("MatMul", [hidden, head], "/lm_head/MatMul", ["logits"])
        self.w.output("logits", self.onnx_type, ["batch", "sequence", self.c.vocabulary])

    def _array(self, name, make):
        return self.w.weight(name, lambda: make().astype(self.dtype, copy=False))

    def _mask(self):
        """attention_mask as bool [batch, 1, sequence, total]."""
        w, at = self.w, "/model/mask"
        w.input("attention_mask", TensorProto.INT64, ["batch", "total"])
        mask = w.node("Cast", ["attention_mask"], f"{at}/Cast", to=TensorProto.BOOL)
        axes = w.weight("mask_axes", lambda: np.array([1, 2], np.int64))
        mask = w.node("Unsqueeze", [mask, axes], f"{at}/Unsqueeze")
        sequence = w.node("Shape", ["input_ids"], f"{at}/Shape", start=1, end=2)
        ones = w.weight("mask_ones", lambda: np.array([1, 1], np.int64))
        one = w.weight("mask_one", lambda: np.array([1], np.int64))
        shape = w.node("Concat", [ones, sequence, one], f"{at}/Concat", axis=0)
        return w.node("Expand", [mask, shape], f"{at}/Expand")

    def _norm(self, value, name, at):
        gain = self._array(f"model.{name}.weight", lambda: self.source.get(name))
        return self.w.node("RMSNormalization", [value, gain], at, axis=-1,
                           epsilon=self.c.epsilon)

    def _linear(self, value, name):
        weight = self._array(f"model.{name}.weight", lambda: self.source.get(name).T)
        return self.w.node("MatMul", [value, weight], f"/model/{name}/MatMul")

    def _attention(self, n, hidden):
        w, c, at = self.w, self.c, f"/model/layers.{n}/self_attn"
        query, key, value = (self._linear(hidden, f"layers.{n}.self_attn.{s}_proj")
                             for s in "qkv")
        turned = [w.node("RotaryEmbedding", [x, *self.caches, "position_ids"],
                         f"{at}/{name}_rotary/RotaryEmbedding", num_heads=heads)
                  for x, name, heads in ((query, "q", c.heads), (key, "k", c.kv_heads))]
        context, _, _ = w.node(
            "Attention", [*turned, value, self.mask, f"past_key_values.{n}.key",
                          f"past_key_values.{n}.value"], f"{at}/Attention",
            [f"{at}/Attention_output_0", f"present.{n}.key", f"present.{n}.value"],
            is_causal=1, q_num_heads=c.heads, kv_num_heads=c.kv_heads,
            scale=c.head_dim ** -0.5)
        return self._linear(context, f"layers.{n}.self_attn.o_proj")

    def _layer(self, n, hidden):
        w, at = self.w, f"/model/layers.{n}"
        normed = self._norm(hidden, f"layers.{n}.input_layernorm",
                            f"{at}/input_layernorm/RMSNormalization")
        hidden = w.node("Add", [hidden, self._attention(n, normed)], f"{at}/Add")
        name = f"layers.{n}.post_attention_layernorm"
        normed = self._norm(hidden, name, f"/model/{name}/RMSNormalization")
        gate = self._linear(normed, f"layers.{n}.mlp.gate_proj")
        up = self._linear(normed, f"layers.{n}.mlp.up_proj")
        squashed = w.node("Sigmoid", [gate], f"{at}/mlp/act_fn/Sigmoid")
        gate = w.node("Mul", [gate, squashed], f"{at}/mlp/act_fn/Mul")
        product = w.node("Mul", [gate, up], f"{at}/mlp/Mul")
        down = self._linear(product, f"layers.{n}.mlp.down_proj")
        return w.node("Add", [hidden, down], f"{at}/Add_1")
