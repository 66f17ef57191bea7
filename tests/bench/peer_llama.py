#!/usr/bin/env python3
"""llama.cpp on the same file, by llama-bench's method: random tokens, no sampling. peer_llama.py MODEL THREADS -> one JSON line.
Needs the package llama-cpp-python. Repacked weights, flash attention, f16 KV: its defaults at their best for decoding."""
import ctypes
import json
import random
import sys
import time

import llama_cpp as L

model_path, threads = sys.argv[1], int(sys.argv[2])
PROMPT, DECODE, ROUNDS = 512, 128, 3
L.llama_backend_init()
mp = L.llama_model_default_params()
mp.use_mmap = False
model = L.llama_model_load_from_file(model_path.encode(), mp)
cp = L.llama_context_default_params()
cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_threads, cp.n_threads_batch = 1024, 512, 512, threads, threads
ctx = L.llama_init_from_model(model, cp)
n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))


def batch(tokens):
    arr = (L.llama_token * len(tokens))(*tokens)
    return arr, L.llama_batch_get_one(arr, len(tokens))


def run(tokens):
    arr, b = batch(tokens)
    if L.llama_decode(ctx, b) != 0:
        sys.exit("llama_decode failed")
    L.llama_synchronize(ctx)


best = {"prefill_tokens_per_s": 0.0, "decode_tokens_per_s": 0.0}
for _ in range(ROUNDS):
    L.llama_memory_clear(L.llama_get_memory(ctx), True)
    t = time.time()
    run([random.randrange(256) for _ in range(PROMPT)])
    best["prefill_tokens_per_s"] = max(best["prefill_tokens_per_s"], PROMPT / (time.time() - t))
    L.llama_memory_clear(L.llama_get_memory(ctx), True)
    run([1])
    t = time.time()
    for _ in range(DECODE):
        run([random.randrange(256)])
    best["decode_tokens_per_s"] = max(best["decode_tokens_per_s"], DECODE / (time.time() - t))
print(json.dumps({k: round(v, 2) for k, v in best.items()}))
