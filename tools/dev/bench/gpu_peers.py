"""The other side of gpu.py: what PyTorch gives its users, each as one CUDA graph."""
import itertools

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

BACKENDS = {"cudnn": SDPBackend.CUDNN_ATTENTION, "flash": SDPBackend.FLASH_ATTENTION,
            "efficient": SDPBackend.EFFICIENT_ATTENTION}


def captured(work):
    """A replay of everything that `work` launches."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def products(inputs, weights):
    """F.linear of each input with weights [columns, depth] in turn, which cuBLAS runs."""
    pairs = list(zip(inputs, itertools.cycle(weights)))
    return captured(lambda: [F.linear(a, w) for a, w in pairs])


def attentions(inputs, causal):
    """{backend: replay of all attentions}; those that refuse the sizes are left out."""
    found = {}
    for name, backend in BACKENDS.items():
        def work():
            with sdpa_kernel(backend):
                return [F.scaled_dot_product_attention(q, k, v, is_causal=causal,
                                                       enable_gqa=q.shape[1] != k.shape[1])
                        for q, k, v in inputs]
        try:
            found[name] = captured(work)
        except Exception:
            torch.cuda.synchronize()
    return found


def repeated(inputs, work):
    """`work` on each input."""
    return captured(lambda: [work(x) for x in inputs])


class Layer(nn.Module):
    """Q, K, V in one product, gate and up in one, and a cache of fixed size."""

    def __init__(self, config, batch, capacity):
        super().__init__()
        c, self.config = config, config
        self.widths = [c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim]
        self.gain_attention, self.gain_mlp = nn.Parameter(torch.ones(c.hidden)), nn.Parameter(
            torch.ones(c.hidden))
        self.qkv = nn.Linear(c.hidden, sum(self.widths), bias=False)
        self.out = nn.Linear(self.widths[0], c.hidden, bias=False)
        self.gate_up = nn.Linear(c.hidden, 2 * c.ffn, bias=False)
        self.down = nn.Linear(c.ffn, c.hidden, bias=False)
        for name in ("keys", "values"):
            self.register_buffer(name, torch.zeros(batch, c.kv_heads, capacity, c.head_dim))

    def turn(self, x, cos, sin):
        low, high = x.chunk(2, -1)
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)

    def attend(self, x, at, tables, mask):
        c, (batch, rows, _) = self.config, x.shape
        q, k, v = (part.view(batch, rows, -1, c.head_dim).transpose(1, 2)
                   for part in self.qkv(x).split(self.widths, -1))
        q, k = self.turn(q, *tables), self.turn(k, *tables)
        self.keys.index_copy_(2, at, k)
        self.values.index_copy_(2, at, v)
        if mask is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            y = F.scaled_dot_product_attention(q, self.keys, self.values, attn_mask=mask,
                                               enable_gqa=True)
        return self.out(y.transpose(1, 2).reshape(batch, rows, -1))

    def forward(self, x, at, tables, mask):
        c = self.config
        x = x + self.attend(F.rms_norm(x, (c.hidden,), self.gain_attention, c.epsilon), at,
                            tables, mask)
        gate, up = self.gate_up(F.rms_norm(x, (c.hidden,), self.gain_mlp, c.epsilon)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Decoder(nn.Module):
    """A decoder of Llama's shape with tied embeddings; gives the likeliest next token."""

    def __init__(self, config, batch, capacity):
        super().__init__()
        c, self.config = config, config
        self.embedding = nn.Embedding(c.vocabulary, c.hidden)
        self.layers = nn.ModuleList(Layer(c, batch, capacity) for _ in range(c.layers))
        self.gain = nn.Parameter(torch.ones(c.hidden))
        exponents = torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim
        positions = torch.arange(capacity, dtype=torch.float32)
        angles = torch.outer(positions, c.theta ** -exponents)
        self.register_buffer("cos", angles.cos().bfloat16())
        self.register_buffer("sin", angles.sin().bfloat16())
        self.register_buffer("seen", torch.ones(capacity, capacity, dtype=torch.bool).tril())

    def forward(self, ids, at, prefill):
        x, tables = self.embedding(ids), (self.cos[at], self.sin[at])
        mask = None if prefill else self.seen[at][None, None]
        for layer in self.layers:
            x = layer(x, at, tables, mask)
        x = F.rms_norm(x[:, -1:], (self.config.hidden,), self.gain, self.config.epsilon)
        return F.linear(x, self.embedding.weight).argmax(-1)


def decoder(config, batch, capacity):
    with torch.device("cuda"):
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        try:
            model = Decoder(config, batch, capacity)
        finally:
            torch.set_default_dtype(default)
    return model.eval()


def decode_step(config, batch, context, mode):
    """A replay of one compiled step with `context` tokens before it."""
    model = decoder(config, batch, context + 8)
    step = torch.compile(lambda ids, at: model(ids, at, False), mode=mode, fullgraph=True)
    ids = torch.ones((batch, 1), dtype=torch.int64, device="cuda")
    at = torch.tensor([context], device="cuda")
    return captured(lambda: step(ids, at))


def prefill(config, tokens, mode):
    """A replay of a compiled prompt of `tokens`."""
    model = decoder(config, 1, tokens + 8)
    step = torch.compile(lambda ids, at: model(ids, at, True), mode=mode, fullgraph=True)
    ids = torch.ones((1, tokens), dtype=torch.int64, device="cuda")
    at = torch.arange(tokens, device="cuda")
    return captured(lambda: step(ids, at))


def whole_model(module, inputs, mode):
    """A replay of any compiled module; images as channels last, as its users run it."""
    images = [x for x in inputs if x.ndim == 4]
    if images:
        module = module.to(memory_format=torch.channels_last)
        inputs = [x.to(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs]
    compiled = torch.compile(module, mode=mode)
    return captured(lambda: compiled(*inputs))
