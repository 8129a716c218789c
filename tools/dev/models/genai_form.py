"""SmolLM2 with com.microsoft operators, as ONNX Runtime's genai builder has it.

GroupQueryAttention with rotary inside; f32, f16, or int4 (MatMulNBits, packed QKV).
"""
import numpy as np
from onnx import TensorProto

from opset24_form import rotary_caches

MS = "com.microsoft"
BLOCK = 32


def quantize_int4(weight):
    """[N, K] f32 -> (B [N, K/32, 16] low nibble first, scales [N * K/32])."""
    blocks = weight.reshape(weight.shape[0], -1, BLOCK)
    peak = np.take_along_axis(blocks, np.abs(blocks).argmax(-1)[..., None], -1)
    scales = (peak / -8).astype(np.float32)
    divisor = np.where(scales == 0, np.float32(1), scales)
    codes = np.clip(np.rint(blocks / divisor) + 8, 0, 15).astype(np.uint8)
    return codes[..., 0::2] | codes[..., 1::2] << 4, scales.reshape(-1)


class GenaiF32:
    opsets, ir_version = [("", 21), (MS, 1)], 10
    onnx_type, dtype = TensorProto.FLOAT, np.float32
    packed = False

    def __init__(self, writer, source):
        self.w, self.source, self.c = writer, source, source.config

    def build(self):
        w, c = self.w, self.c
        ids = w.input("input_ids", TensorProto.INT64, ["batch", "sequence"])
        w.input("attention_mask", TensorProto.INT64, ["batch", "total"])
        for n in range(c.layers):
            for what in ("key", "value"):
                w.input(f"past_key_values.{n}.{what}", self.onnx_type,
                        ["batch", c.kv_heads, "past", c.head_dim])
        self.caches = [self._array("cos_cache", lambda: rotary_caches(c)[0]),
                       self._array("sin_cache", lambda: rotary_caches(c)[1])]
        embedding = self._array("model.embed_tokens.weight",
                                lambda: self.source.get("embed_tokens"))
        hidden = w.node("Gather", [embedding, ids], "/model/embed_tokens/Gather")
        self.lengths = self._lengths()
        normed = w.node("SimplifiedLayerNormalization",
                        [hidden, self._gain("layers.0.input_layernorm")],
                        "/model/layers.0/input_layernorm/LayerNorm", axis=-1,
                        epsilon=c.epsilon, stash_type=1)
        for n in range(c.layers):
            normed, hidden = self._layer(n, normed, hidden)
        self._linear(normed, "lm_head", ["embed_tokens"], "logits")
        w.output("logits", self.onnx_type, ["batch", "sequence", c.vocabulary])
        for n in range(c.layers):
            for what in ("key", "value"):
                w.output(f"present.{n}.{what}", self.onnx_type,
                         ["batch", c.kv_heads, "total", c.head_dim])

    def _array(self, name, make):
        return self.w.weight(name, lambda: make().astype(self.dtype))

    def _gain(self, name):
        return self._array(f"model.{name}.weight", lambda: self.source.get(name))

    def _lengths(self):
        """seqlens_k = sum(attention_mask) - 1; total = attention_mask's width."""
        w, at = self.w, "/model/attn_mask_reformat"
        axes = w.weight("lengths_axes", lambda: np.array([1], np.int64))
        one = w.weight("lengths_one", lambda: np.array([1], np.int64))
        index = w.weight("lengths_index", lambda: np.array(1, np.int64))
        sums = w.node("ReduceSum", ["attention_mask", axes], f"{at}/ReduceSum", keepdims=0)
        sums = w.node("Sub", [sums, one], f"{at}/Sub")
        sums = w.node("Cast", [sums], f"{at}/Cast", to=TensorProto.INT32)
        total = w.node("Shape", ["attention_mask"], f"{at}/Shape")
        total = w.node("Gather", [total, index], f"{at}/Gather", axis=0)
        return [sums, w.node("Cast", [total], f"{at}/Cast_1", to=TensorProto.INT32)]

    def _linear(self, value, name, sources, result=None):
        """value times the sources' rows, one under the other."""
        weight = self._array(f"model.{name}.weight", lambda: self._rows(sources).T)
        at = f"/model/{name}/MatMul"
        return self.w.node("MatMul", [value, weight], at, [result or f"{at}_output_0"])

    def _rows(self, sources):
        return np.concatenate([self.source.get(s) for s in sources])

    def _skip_norm(self, value, skip, name, last=False):
        at = f"/model/{name}/SkipLayerNorm"
        results = [f"{at}_output_0"] + ([] if last else ["", "", f"{at}_output_3"])
        self.w.node("SkipSimplifiedLayerNormalization", [skip, value, self._gain(name)],
                    at, results, domain=MS, epsilon=self.c.epsilon)
        return results[0], results[-1]

    def _project(self, n, hidden):
        """Q, K, V; packed: all in the first, the others empty."""
        names = [f"layers.{n}.self_attn.{s}_proj" for s in "qkv"]
        if self.packed:
            joined = f"layers.{n}.attn.qkv_proj"
            return [self._linear(hidden, joined, names), "", ""]
        return [self._linear(hidden, name, [name]) for name in names]

    def _layer(self, n, normed, hidden):
        w, c, at = self.w, self.c, f"/model/layers.{n}"
        name = f"{at}/attn/GroupQueryAttention"
        context = w.node(
            "GroupQueryAttention",
            [*self._project(n, normed), f"past_key_values.{n}.key",
             f"past_key_values.{n}.value", *self.lengths, *self.caches], name,
            [f"{name}_output_0", f"present.{n}.key", f"present.{n}.value"], domain=MS,
            num_heads=c.heads, kv_num_heads=c.kv_heads, scale=c.head_dim ** -0.5,
            do_rotary=1, rotary_interleaved=0, local_window_size=-1)[0]
        output = f"layers.{n}.self_attn.o_proj"
        context = self._linear(context, output, [output])
        normed, hidden = self._skip_norm(context, hidden,
                                         f"layers.{n}.post_attention_layernorm")
        gate, up = (self._linear(normed, x, [x]) for x in
                    (f"layers.{n}.mlp.gate_proj", f"layers.{n}.mlp.up_proj"))
        squashed = w.node("Sigmoid", [gate], f"{at}/mlp/act_fn/Sigmoid")
        gate = w.node("Mul", [gate, squashed], f"{at}/mlp/act_fn/Mul")
        product = w.node("Mul", [gate, up], f"{at}/mlp/Mul")
        down = f"layers.{n}.mlp.down_proj"
        product = self._linear(product, down, [down])
        last = n == c.layers - 1
        following = "norm" if last else f"layers.{n + 1}.input_layernorm"
        return self._skip_norm(product, hidden, following, last)


class GenaiF16(GenaiF32):
    onnx_type, dtype = TensorProto.FLOAT16, np.float16


class GenaiInt4(GenaiF32):
    packed = True

    def _linear(self, value, name, sources, result=None):
        rows = self._rows(sources)
        codes, scales = quantize_int4(rows)
        at = f"/model/{name}/MatMulNBits"
        operands = [value, self.w.weight(f"model.{name}.weight_Q4", lambda: codes),
                    self.w.weight(f"model.{name}.weight_scales", lambda: scales)]
        return self.w.node("MatMulNBits", operands, at, [result or f"{at}_output_0"],
                           domain=MS, bits=4, block_size=BLOCK, K=rows.shape[1],
                           N=rows.shape[0])
