"""Models as PyTorch users have them, with random weights, and their ONNX exports.

Each maker gives (module, example inputs by name, axes of those that vary). Nothing is
downloaded: timm and transformers build from their configurations.
"""
import pathlib
import warnings

import torch

IMAGE = {"image": {0: "batch"}}


def randomize(module, seed=0):
    """Gains near one, biases and statistics near zero: as of a trained network. Fresh
    modules have zeros and ones there, which hide what an export gets wrong."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        values = torch.rand(tensor.shape, generator=generator) * (high - low) + low
        tensor.copy_(values.to(tensor.dtype))

    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if name.endswith("running_var"):
                uniform(tensor, 0.5, 1.5)
            elif tensor.is_floating_point() and tensor.ndim == 1 and "inv_freq" not in name:
                gain = name.endswith(("weight", "gamma")) or "running" in name
                bounds = (0.5, 1.0) if gain and "mean" not in name else (-0.1, 0.1)
                uniform(tensor, *bounds)
    return module.eval()


def image_model(name):
    import timm
    return randomize(timm.create_model(name, pretrained=False)), {
        "image": torch.randn(2, 3, 224, 224)}, IMAGE


class Bert(torch.nn.Module):
    """BERT-base without its pooler: ids and mask in, hidden states out."""

    def __init__(self):
        super().__init__()
        from transformers import BertConfig, BertModel
        self.model = BertModel(BertConfig(), add_pooling_layer=False)

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def bert():
    ids = torch.randint(0, 30000, (2, 128))
    mask = torch.ones(2, 128, dtype=torch.int64)
    mask[1, 100:] = 0
    axes = {0: "batch", 1: "sequence"}
    return (randomize(Bert()), {"input_ids": ids, "attention_mask": mask},
            {"input_ids": axes, "attention_mask": axes})


class Decoder(torch.nn.Module):
    """A small Llama of transformers, without a cache."""

    def __init__(self):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM
        self.model = LlamaForCausalLM(LlamaConfig(
            vocab_size=4096, hidden_size=512, intermediate_size=1408, num_hidden_layers=4,
            num_attention_heads=8, num_key_value_heads=4, max_position_embeddings=2048,
            use_cache=False))

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits


class CachedDecoder(Decoder):
    """The same with past keys and values as tensors in and out."""

    def forward(self, input_ids, past_keys, past_values):
        from transformers import DynamicCache
        cache = DynamicCache()
        for layer in range(past_keys.shape[0]):
            cache.update(past_keys[layer], past_values[layer], layer)
        logits = self.model(input_ids=input_ids, past_key_values=cache, use_cache=True).logits
        layers = cache.layers
        return (logits, torch.stack([x.keys for x in layers]),
                torch.stack([x.values for x in layers]))


def llama():
    return (randomize(Decoder()), {"input_ids": torch.randint(0, 4096, (2, 33))},
            {"input_ids": {0: "batch", 1: "sequence"}})


def llama_cached():
    past = torch.randn(2, 4, 2, 4, 17, 64)
    return (randomize(CachedDecoder()),
            {"input_ids": torch.randint(0, 4096, (2, 3)), "past_keys": past[0],
             "past_values": past[1]},
            {"input_ids": {0: "batch", 1: "sequence"}, "past_keys": {1: "batch", 3: "past"},
             "past_values": {1: "batch", 3: "past"}})


MODELS = {
    "resnet50": lambda: image_model("resnet50"),
    "mobilenetv3": lambda: image_model("mobilenetv3_large_100"),
    "convnext": lambda: image_model("convnext_tiny"),
    "vit": lambda: image_model("vit_base_patch16_224"),
    "bert": bert,
    "llama": llama,
    "llama-cached": llama_cached,
}


def export(module, inputs, axes, path, dynamo):
    """What torch.onnx.export writes; axes: {} for fixed sizes. Raises what torch raises."""
    arguments = dict(input_names=list(inputs), dynamo=dynamo)
    if dynamo:
        shapes = tuple(axes.get(name, {}) for name in inputs)  # in forward's order
        arguments.update(dynamic_shapes=shapes if axes else None, external_data=True)
    else:
        arguments.update(dynamic_axes=axes, opset_version=17)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, tuple(inputs.values()), str(path), **arguments)
    return pathlib.Path(path)
