"""SmolLM2 in opset 17 primitives, as tracing exporters write a Llama model.

Shape arithmetic, mask construction and repeat_kv are there as in such exports.
"""
import re

import numpy as np
from onnx import TensorProto, numpy_helper

LOWEST = np.finfo(np.float32).min
INT64_MAX = np.iinfo(np.int64).max


class PlainForm:
    opsets, ir_version = [("", 17)], 8

    def __init__(self, writer, source):
        self.w, self.source, self.c = writer, source, source.config

    def build(self):
        w, c = self.w, self.c
        ids = w.input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        w.input("attention_mask", TensorProto.INT64, ["batch", "total"])
        w.input("position_ids", TensorProto.INT64, ["batch", "sequence"])
        for n in range(c.layers):
            for what in ("key", "value"):
                w.input(f"past_key_values.{n}.{what}", TensorProto.FLOAT,
                        ["batch", c.kv_heads, "past", c.head_dim])
        embedding = w.weight("model.embed_tokens.weight",
                             lambda: self.source.get("embed_tokens"))
        hidden = w.node("Gather", [embedding, ids], "/model/embed_tokens/Gather")
        self.cos, self.sin = self._rotary_tables()
        self.mask = self._mask()
        for n in range(c.layers):
            hidden = self._layer(n, hidden)
        hidden = self._norm(hidden, "norm", "/model/norm")
        head = w.node("Transpose", [embedding], "/lm_head/Transpose", perm=[1, 0])
        w.node("MatMul", [hidden, head], "/lm_head/MatMul", ["logits"])
        w.output("logits", TensorProto.FLOAT, ["batch", "sequence", c.vocabulary])
        for n in range(c.layers):
            for what in ("key", "value"):
                w.output(f"present.{n}.{what}", TensorProto.FLOAT,
                         ["batch", c.kv_heads, "total", c.head_dim])

    def _f32(self, value):
        return self.w.constant(value, np.float32)

    def _size(self, value, axis, name):
        """One dimension as a scalar: Shape, Gather."""
        shape = self.w.node("Shape", [value], f"{name}/Shape")
        return self.w.node("Gather", [shape, self.w.constant(axis)],
                           f"{name}/Gather", axis=0)

    def _unsqueeze(self, value, axes, name):
        return self.w.node("Unsqueeze", [value, self.w.constant(axes)], name)

    def _shape(self, parts, name):
        """A shape vector from scalars (names) and fixed sizes (ints)."""
        vectors = [self.w.constant([p]) if isinstance(p, int)
                   else self._unsqueeze(p, [0], f"{name}/Unsqueeze_{i}")
                   for i, p in enumerate(parts)]
        return self.w.node("Concat", vectors, f"{name}/Concat", axis=0)

    def _expand(self, value, shape, name):
        """torch.expand: -1 in the target keeps the dimension."""
        w = self.w
        rank = w.node("Shape", [shape], f"{name}/Shape")
        one = _tensor([1])
        ones = w.node("ConstantOfShape", [rank], f"{name}/ConstantOfShape", value=one)
        minus = w.node("Mul", [ones, w.constant(-1)], f"{name}/Mul")
        keep = w.node("Equal", [shape, minus], f"{name}/Equal")
        target = w.node("Where", [keep, ones, shape], f"{name}/Where")
        return w.node("Expand", [value, target], f"{name}/Expand")

    def _rotary_tables(self):
        w, c, at = self.w, self.c, "/model/rotary_emb"
        exponents = np.arange(0, c.head_dim, 2, dtype=np.float32) / np.float32(c.head_dim)
        table = (1.0 / np.float32(c.theta) ** exponents).astype(np.float32)
        frequencies = w.weight("model.rotary_emb.inv_freq",
                               lambda: table.reshape(1, -1, 1))
        batch = self._size("position_ids", 0, f"{at}/batch")
        shape = self._shape([batch, -1, 1], f"{at}/shape")
        frequencies = self._expand(frequencies, shape, f"{at}/expand")
        positions = self._unsqueeze("position_ids", [1], f"{at}/Unsqueeze")
        positions = w.node("Cast", [positions], f"{at}/Cast", to=TensorProto.FLOAT)
        angles = w.node("MatMul", [frequencies, positions], f"{at}/MatMul")
        angles = w.node("Transpose", [angles], f"{at}/Transpose", perm=[0, 2, 1])
        angles = w.node("Concat", [angles, angles], f"{at}/Concat", axis=-1)
        tables = []
        for op in ("Cos", "Sin"):
            value = w.node(op, [angles], f"{at}/{op}")
            value = w.node("Mul", [value, self._f32(1.0)], f"{at}/{op}/Mul")
            tables.append(self._unsqueeze(value, [1], f"{at}/{op}/Unsqueeze"))
        return tables

    def _mask(self):
        w, at = self.w, "/model/mask"
        past = self._size("past_key_values.0.key", 2, f"{at}/past")
        sequence = self._size("input_ids", 1, f"{at}/sequence")
        batch = self._size("input_ids", 0, f"{at}/batch")
        total = w.node("Add", [past, sequence], f"{at}/Add")
        zero, one = w.constant(0), w.constant(1)
        keys = w.node("Range", [zero, total, one], f"{at}/Range")
        queries = w.node("Range", [past, total, one], f"{at}/Range_1")
        queries = w.node("Reshape", [queries, w.constant([-1, 1])], f"{at}/Reshape")
        later = w.node("Greater", [keys, queries], f"{at}/Greater")
        later = w.node("Cast", [later], f"{at}/Cast", to=TensorProto.FLOAT)
        shape = self._shape([sequence, total], f"{at}/shape")
        causal = w.node("ConstantOfShape", [shape], f"{at}/ConstantOfShape",
                        value=_tensor([LOWEST], np.float32))
        causal = w.node("Mul", [causal, later], f"{at}/Mul")
        causal = self._unsqueeze(causal, [0, 1], f"{at}/Unsqueeze")
        shape = self._shape([batch, 1, sequence, total], f"{at}/expand_shape")
        causal = self._expand(causal, shape, f"{at}/expand")
        given = self._unsqueeze("attention_mask", [1, 2], f"{at}/Unsqueeze_1")
        given = w.node("Cast", [given], f"{at}/Cast_1", to=TensorProto.FLOAT)
        both = w.node("Add", [causal, given], f"{at}/Add_1")
        padded = w.node("Equal", [both, self._f32(0.0)], f"{at}/Equal")
        return w.node("Where", [padded, self._f32(LOWEST), causal], f"{at}/Where")

    def _norm(self, value, name, at):
        w = self.w
        square = w.node("Pow", [value, self._f32(2.0)], f"{at}/Pow")
        mean = w.node("ReduceMean", [square], f"{at}/ReduceMean", axes=[-1], keepdims=1)
        mean = w.node("Add", [mean, self._f32(self.c.epsilon)], f"{at}/Add")
        root = w.node("Sqrt", [mean], f"{at}/Sqrt")
        inverse = w.node("Div", [self._f32(1.0), root], f"{at}/Div")
        value = w.node("Mul", [value, inverse], f"{at}/Mul")
        gain = w.weight(f"model.{name}.weight", lambda: self.source.get(name))
        return w.node("Mul", [gain, value], f"{at}/Mul_1")

    def _linear(self, value, name):
        layer, part = re.match(r"(layers\.\d+)\.(.*)", name).groups()
        at = f"/model/{layer}/{part.replace('.', '/')}/MatMul"
        weight = self.w.weight(f"model.{name}.weight",
                               lambda: self.source.get(name).T)
        return self.w.node("MatMul", [value, weight], at)

    def _rotate(self, value, at):
        """x * cos + rotate_half(x) * sin."""
        w, half = self.w, self.c.head_dim // 2
        axis, step = w.constant([3]), w.constant([1])
        low = w.node("Slice", [value, w.constant([0]), w.constant([half]), axis, step],
                     f"{at}/Slice")
        high = w.node("Slice", [value, w.constant([half]), w.constant([INT64_MAX]),
                                axis, step], f"{at}/Slice_1")
        high = w.node("Neg", [high], f"{at}/Neg")
        turned = w.node("Concat", [high, low], f"{at}/Concat", axis=-1)
        straight = w.node("Mul", [value, self.cos], f"{at}/Mul")
        turned = w.node("Mul", [turned, self.sin], f"{at}/Mul_1")
        return w.node("Add", [straight, turned], f"{at}/Add")

    def _repeat(self, value, at):
        """repeat_kv: every KV head once for each query head of its group."""
        w, c = self.w, self.c
        batch = self._size(value, 0, f"{at}/batch")
        total = self._size(value, 2, f"{at}/total")
        group = c.heads // c.kv_heads
        wide = self._unsqueeze(value, [2], f"{at}/Unsqueeze")
        shape = self._shape([batch, c.kv_heads, group, total, c.head_dim], f"{at}/shape")
        wide = self._expand(wide, shape, f"{at}/expand")
        shape = self._shape([batch, c.heads, total, c.head_dim], f"{at}/flat")
        return w.node("Reshape", [wide, shape], f"{at}/Reshape")

    def _attention(self, n, hidden):
        w, c, at = self.w, self.c, f"/model/layers.{n}/self_attn"
        batch = self._size(hidden, 0, f"{at}/batch")
        sequence = self._size(hidden, 1, f"{at}/sequence")
        heads = {}
        for short in "qkv":
            value = self._linear(hidden, f"layers.{n}.self_attn.{short}_proj")
            shape = self._shape([batch, sequence, -1, c.head_dim], f"{at}/{short}")
            value = w.node("Reshape", [value, shape], f"{at}/{short}/Reshape")
            heads[short] = w.node("Transpose", [value], f"{at}/{short}/Transpose",
                                  perm=[0, 2, 1, 3])
        query = self._rotate(heads["q"], f"{at}/rotary_q")
        key = self._rotate(heads["k"], f"{at}/rotary_k")
        key = w.node("Concat", [f"past_key_values.{n}.key", key], f"{at}/Concat_key",
                     [f"present.{n}.key"], axis=-2)
        value = w.node("Concat", [f"past_key_values.{n}.value", heads["v"]],
                       f"{at}/Concat_value", [f"present.{n}.value"], axis=-2)
        key = self._repeat(key, f"{at}/repeat_key")
        value = self._repeat(value, f"{at}/repeat_value")
        key = w.node("Transpose", [key], f"{at}/Transpose", perm=[0, 1, 3, 2])
        scores = w.node("MatMul", [query, key], f"{at}/MatMul")
        scores = w.node("Mul", [scores, self._f32(c.head_dim ** -0.5)], f"{at}/Mul")
        scores = w.node("Add", [scores, self.mask], f"{at}/Add")
        scores = w.node("Softmax", [scores], f"{at}/Softmax", axis=-1)
        context = w.node("MatMul", [scores, value], f"{at}/MatMul_1")
        context = w.node("Transpose", [context], f"{at}/Transpose_1", perm=[0, 2, 1, 3])
        shape = self._shape([batch, sequence, -1], f"{at}/merge")
        context = w.node("Reshape", [context, shape], f"{at}/Reshape")
        return self._linear(context, f"layers.{n}.self_attn.o_proj")

    def _layer(self, n, hidden):
        w, at = self.w, f"/model/layers.{n}"
        normed = self._norm(hidden, f"layers.{n}.input_layernorm", f"{at}/input_layernorm")
        hidden = w.node("Add", [hidden, self._attention(n, normed)], f"{at}/Add")
        normed = self._norm(hidden, f"layers.{n}.post_attention_layernorm",
                            f"{at}/post_attention_layernorm")
        gate = self._linear(normed, f"layers.{n}.mlp.gate_proj")
        up = self._linear(normed, f"layers.{n}.mlp.up_proj")
        squashed = w.node("Sigmoid", [gate], f"{at}/mlp/act_fn/Sigmoid")
        gate = w.node("Mul", [gate, squashed], f"{at}/mlp/act_fn/Mul")
        product = w.node("Mul", [gate, up], f"{at}/mlp/Mul")
        down = self._linear(product, f"layers.{n}.mlp.down_proj")
        return w.node("Add", [hidden, down], f"{at}/Add_1")


def _tensor(values, dtype=np.int64):
    return numpy_helper.from_array(np.asarray(values, dtype))
