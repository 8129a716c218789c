#!/usr/bin/env python3
"""Chats with a language model that tenon-compile made; an example to copy.

    chat.py MODEL.tenon TOKENIZER.json "Why is the sky blue?"

The model is a decoder whose caches the session keeps (tenon-compile --kv=session), or one
with past_key_values.N.* inputs and present.N.* outputs.
Sampling and the chat template are the application's job, and this is how.
"""
import argparse
import resource
import sys
import time

import numpy as np
import tenon
from tokenizers import Tokenizer

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def template(messages):
    """SmolLM2's chat template; another model has another one."""
    turns = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return turns + "<|im_start|>assistant\n"


class Decoder:
    """Runs the model; keeps its key/value cache between calls where the session does not."""

    def __init__(self, path, threads):
        self.session = tenon.load(path).session(threads=threads)
        self.inputs = {i.name: i for i in self.session.inputs}
        self.past = {}
        for name, info in self.inputs.items():
            if name.startswith("past_key_values."):
                _, heads, _, width = info.shape
                self.past[name] = np.zeros((1, heads, 0, width), info.dtype)
        self.length = 0

    def step(self, ids):
        """Feeds tokens; returns the logits after the last of them."""
        total = self.length + len(ids)
        feeds = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(self.length, total, dtype=np.int64)[None],
        }
        feeds = {name: v for name, v in feeds.items() if name in self.inputs}
        results = self.session.run({**feeds, **self.past})
        self.past = {name: results[name.replace("past_key_values", "present")]
                     for name in self.past}
        self.length = total
        return results["logits"][0, -1].astype(np.float32)


def sample(logits, temperature, top_p, rng):
    """The likeliest token, or one drawn from the top_p of the probability."""
    if temperature == 0:
        return int(logits.argmax())
    scaled = np.exp((logits - logits.max()) / temperature)
    order = np.argsort(-scaled)
    shares = np.cumsum(scaled[order]) / scaled.sum()
    kept = order[:int(np.searchsorted(shares, top_p)) + 1]
    return int(rng.choice(kept, p=scaled[kept] / scaled[kept].sum()))


class Stream:
    """Prints text as tokens arrive, whole characters only."""

    def __init__(self, tokenizer):
        self.tokenizer, self.ids, self.shown = tokenizer, [], 0

    def add(self, token):
        self.ids.append(token)
        text = self.tokenizer.decode(self.ids)
        if not text.endswith("\ufffd"):
            print(text[self.shown:], end="", flush=True)
            self.shown = len(text)


def answer(decoder, tokenizer, ids, args, rng):
    """Streams one answer; returns its text and prints the speed."""
    end = tokenizer.token_to_id("<|im_end|>")
    stream = Stream(tokenizer)
    start = time.perf_counter()
    token = sample(decoder.step(ids), args.temperature, args.top_p, rng)
    first = time.perf_counter() - start
    while token != end and len(stream.ids) < args.max_tokens:
        stream.add(token)
        token = sample(decoder.step([token]), args.temperature, args.top_p, rng)
    rest = time.perf_counter() - start - first
    count, peak = len(stream.ids), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n[prefill {len(ids)} tokens, {len(ids) / first:.1f} tok/s | "
          f"decode {count} tokens, {count / max(rest, 1e-9):.1f} tok/s | "
          f"first token {first * 1000:.0f} ms | peak memory {peak / 1024:.0f} MiB]")
    return tokenizer.decode(stream.ids)


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("tokenizer")
    parser.add_argument("prompt", nargs="?", help="without one, questions come from stdin")
    parser.add_argument("--system", default=SYSTEM)
    parser.add_argument("--raw", action="store_true", help="continue the prompt, no template")
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: the likeliest token")
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="0: one per core")
    return parser.parse_args()


def main():
    args = parse_args()
    start = time.perf_counter()
    decoder = Decoder(args.model, args.threads)
    print(f"[loaded {args.model} in {time.perf_counter() - start:.2f} s]")
    tokenizer = Tokenizer.from_file(args.tokenizer)
    rng = np.random.default_rng(args.seed)
    turns = [{"role": "system", "content": args.system}]
    questions = [args.prompt] if args.prompt else (line.strip() for line in sys.stdin)
    for question in questions:
        if args.raw:
            text = question
        else:
            turns.append({"role": "user", "content": question})
            # What the model already holds in its cache is not fed again.
            text = template(turns if len(turns) == 2 else turns[-1:])
            text = text if len(turns) == 2 else "<|im_end|>\n" + text
            print(f"> {question}")
        ids = tokenizer.encode(text).ids
        reply = answer(decoder, tokenizer, ids, args, rng)
        turns.append({"role": "assistant", "content": reply})


if __name__ == "__main__":
    main()
