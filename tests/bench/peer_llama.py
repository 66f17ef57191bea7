#!/usr/bin/env python3
"""llama.cpp or ik_llama.cpp on a file, by llama-bench's method: random ids, no sampling. For tests/bench/engine.py and tests/bench/gpu/bench.py.

usage: peer_llama.py llama|plain|ik MODEL THREADS      llama: weights repacked at load, the default; plain: not
       peer_llama.py gpu MODEL THREADS PROMPT DECODE STREAMS BEHIND EACH      all layers on the GPU; words of tests/bench/gpu/engine.c
Reads the words of bench_engine.c from standard input and answers each with a line. Flash attention and f16 keys and values, as
both have it by default or at their best. The packages llama-cpp-python and ik-llama-cpp-python find their libraries; another one is
named by LLAMA_CPP_LIB_PATH (a folder) or IK_LLAMA_CPP_LIB_PATH (a file)."""
import os
import sys
import time

kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
n_prompt, n_decode, n_streams, n_behind, n_each = (int(x) for x in sys.argv[4:9]) if kind == "gpu" else (512, 128, 16, 128, 32)
if kind == "ik":
    from ik_llama_cpp import _ctypes_api as L
    from ik_llama_cpp._ctypes_api import _lib as lib
else:
    import llama_cpp as L
    lib = None

L.llama_backend_init()
mp = L.llama_model_default_params()
mp.n_gpu_layers = 0
if kind == "gpu":
    if not L.llama_supports_gpu_offload():
        sys.exit("this llama.cpp was built without a GPU")
    mp.n_gpu_layers = 999
elif kind == "ik":
    mp.use_mmap, mp.repack_tensors = False, True
else:
    mp.load_mode, mp.use_extra_bufts = L.LLAMA_LOAD_MODE_NONE, kind == "llama"
model = L.llama_model_load_from_file(path.encode(), mp)


def context(n_ctx, n_seqs, unified):
    cp = L.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch, cp.n_seq_max = n_ctx, 2048, 512, n_seqs
    cp.n_threads = cp.n_threads_batch = threads
    if kind == "ik":
        cp.flash_attn = True
    else:
        cp.flash_attn_type, cp.kv_unified = L.LLAMA_FLASH_ATTN_TYPE_ENABLED, unified
    return L.llama_init_from_model(model, cp)


one = context(4096, 17, True)
# Streams that share nothing are faster apart, where there is a choice.
many = one if kind == "ik" else context(n_streams * (n_behind + n_each + 32) if kind == "gpu" else 4096, n_streams, False)
ctx = one
n_vocab = L.llama_vocab_n_tokens(L.llama_model_get_vocab(model))
batch = L.llama_batch_init(2048, 0, 1)
seed = 1


def next_id():
    global seed
    seed = (seed * 1664525 + 1013904223) & 0xffffffff
    return 300 + (seed >> 8) % (n_vocab - 1000)


def add(pos, seq, logits):
    i = batch.n_tokens
    batch.n_tokens = i + 1
    batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = next_id(), pos, 1, logits
    batch.seq_id[i][0] = seq


def settle():
    """A GPU's step goes on behind the call; a token is chosen only when it is over."""
    if kind == "gpu":
        L.llama_synchronize(ctx)


def decode():
    if L.llama_decode(ctx, batch) != 0:
        sys.exit("llama_decode failed")
    batch.n_tokens = 0


if kind == "ik":
    import ctypes
    lib.llama_kv_cache_seq_cp.argtypes = [ctypes.c_void_p] + [ctypes.c_int32] * 4

    def clear():
        L.llama_kv_cache_clear(ctx)

    def share(a, b, n):
        lib.llama_kv_cache_seq_cp(ctx, a, b, 0, n)
else:
    def clear():
        L.llama_memory_clear(L.llama_get_memory(ctx), True)

    def share(a, b, n):
        L.llama_memory_seq_cp(L.llama_get_memory(ctx), a, b, 0, n)


def feed(seq, n):
    for at in range(0, n, 512):
        for i in range(at, min(n, at + 512)):
            add(i, seq, i == n - 1)
        decode()


def prompt():
    clear()
    t = time.perf_counter()
    feed(0, n_prompt)
    settle()
    return n_prompt / (time.perf_counter() - t)


def streams(n_seqs, behind, n):
    global ctx
    ctx = many if n_seqs > 1 else one
    clear()
    for s in range(n_seqs if behind else 0):
        feed(s, behind)
    settle()
    t = time.perf_counter()
    for i in range(n):
        for s in range(n_seqs):
            add(behind + i, s, True)
        decode()
        settle()
    t = time.perf_counter() - t
    ctx = one
    return n_seqs * n / t


def crowd(cold):
    clear()
    t = time.perf_counter()
    feed(16, 512)
    if not cold:
        t = time.perf_counter()
    for s in range(8):
        share(16, s, 512)
        for i in range(32):
            add(512 + i, s, i == 31)
    decode()
    for i in range(31):
        for s in range(8):
            add(544 + i, s, True)
        decode()
    return 8 / (time.perf_counter() - t)


cases = {"pp": prompt, "tg": lambda: streams(1, 0, 128), "d2k": lambda: streams(1, 2048, 32), "b16": lambda: streams(16, 128, 32),
         "sh": lambda: crowd(False), "shc": lambda: crowd(True)}
if kind == "gpu":
    cases = {"pp": prompt, "tg": lambda: streams(1, 0, n_decode), "many": lambda: streams(n_streams, n_behind, n_each)}
out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what the libraries print is no answer
prompt()
for line in sys.stdin:
    print(f"{cases[line.strip()]():.3f}", file=out, flush=True)
