#!/usr/bin/env python3
"""Writes the golden files of all-MiniLM-L6-v2: sentences with their token ids, and their vectors.

Usage:  python3 tests/golden/minilm/make.py MODEL_FOLDER     (needs the packages numpy and tokenizers)

Ids come from the package `tokenizers`, reading the model's own tokenizer.json without its truncation and padding.
Vectors come from the formulas of BERT (Devlin et al. 2018) in double precision with numpy, straight from
model.safetensors: nothing here shares code with the engine. Written beside this file: sentences.jsonl (one object a
line: text, ids) and vectors.f16 (384 little-endian half floats a sentence, same order).
"""
import json
import math
import os
import struct
import sys

import numpy as np
from tokenizers import Tokenizer

from sentences import SENTENCES


def load(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], "<f4").reshape(t["shape"]).astype(np.float64)
            for name, t in header.items() if name != "__metadata__" and t["dtype"] == "F32"}


def layer_norm(x, weights, name, eps):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps) * weights[name + ".weight"] + weights[name + ".bias"]


def linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def embed(ids, weights, config):
    n, heads, eps = len(ids), config["num_attention_heads"], config["layer_norm_eps"]
    x = (weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][:n]
         + weights["embeddings.token_type_embeddings.weight"][0])
    x = layer_norm(x, weights, "embeddings.LayerNorm", eps)
    dim = x.shape[1] // heads
    for i in range(config["num_hidden_layers"]):
        at = "encoder.layer.%d." % i
        q, k, v = (linear(x, weights, at + "attention.self." + part).reshape(n, heads, dim).transpose(1, 0, 2)
                   for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(dim)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(n, -1)
        x = layer_norm(x + linear(mixed, weights, at + "attention.output.dense"), weights,
                       at + "attention.output.LayerNorm", eps)
        inner = gelu(linear(x, weights, at + "intermediate.dense"))
        x = layer_norm(x + linear(inner, weights, at + "output.dense"), weights, at + "output.LayerNorm", eps)
    mean = x.mean(0)
    return mean / np.sqrt((mean ** 2).sum())


def main():
    folder, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    weights = load(os.path.join(folder, "model.safetensors"))
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    assert len(SENTENCES) == len(set(SENTENCES)) == 200
    with open(os.path.join(here, "sentences.jsonl"), "w", encoding="ascii") as rows, \
            open(os.path.join(here, "vectors.f16"), "wb") as vectors:
        for text in SENTENCES:
            ids = tokenizer.encode(text).ids
            assert len(ids) <= 256
            rows.write(json.dumps({"text": text, "ids": ids}, separators=(",", ":")) + "\n")
            vectors.write(embed(ids, weights, config).astype("<f2").tobytes())


main()
