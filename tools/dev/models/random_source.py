"""Random weights for models of any size, in their own type, by several threads.

An element is one of 65536 quantiles of the normal distribution, so that 16 GB take
seconds. The values depend on the weight's name alone, not on the threads.
"""
import concurrent.futures
import hashlib
import os
import statistics

import numpy as np

CHUNK = 1 << 22


def _quantiles():
    inverse = statistics.NormalDist().inv_cdf
    return np.array([inverse((i + 0.5) / 65536) for i in range(65536)])


class QuantileSource:
    """Gives arrays under Hugging Face's names, [out, in], the products' ones as the
    transpose of what is stored, so that an exporter's own transpose costs nothing."""

    def __init__(self, config, dtype):
        self.config, self.dtype = config, np.dtype(dtype)
        self.quantiles = _quantiles()
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    def fill(self, name, count, scale):
        table = (self.quantiles * scale).astype(self.dtype)
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        values = np.empty(count, self.dtype)

        def draw(begin):
            part = values[begin:begin + CHUNK]
            random = np.random.Generator(np.random.SFC64([seed, begin]))
            # Without "clip" take would write to a buffer of its own first.
            np.take(table, random.integers(0, 65536, part.size, np.uint16), out=part,
                    mode="clip")

        list(self.pool.map(draw, range(0, count, CHUNK)))
        return values

    def get(self, name):
        c, part = self.config, name.rpartition(".")[2]
        queries, keys = c.heads * c.head_dim, c.kv_heads * c.head_dim
        products = {"q_proj": (c.hidden, queries), "k_proj": (c.hidden, keys),
                    "v_proj": (c.hidden, keys), "o_proj": (queries, c.hidden),
                    "gate_proj": (c.hidden, c.ffn), "up_proj": (c.hidden, c.ffn),
                    "down_proj": (c.ffn, c.hidden)}
        if part in products:
            rows, columns = products[part]
            return self.fill(name, rows * columns, rows ** -0.5).reshape(rows, columns).T
        if part == "embed_tokens":
            values = self.fill(name, c.vocabulary * c.hidden, c.hidden ** -0.5)
            return values.reshape(c.vocabulary, c.hidden)
        gains = 1 + self.fill(name, c.hidden, 0.1).astype(np.float32)
        return gains.astype(self.dtype)
