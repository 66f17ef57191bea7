#!/usr/bin/env python3
"""Writes a GGUF model of a real shape with random weights, for measuring speed: make_model.py OUT [qwen3-0.6b]

Weights are Q4_0 blocks of random nibbles under one fixed scale, norms are ones; the vocabulary is bytes and filler. Nothing
it says makes sense; every kernel has the work of the real thing. Format: GGUF version 3."""
import os
import struct
import sys

SHAPES = {"qwen3-0.6b": dict(arch="qwen3", layers=28, d=1024, heads=16, kv=8, hd=128, ffn=3072, vocab=151936, ctx=4096)}
F32, Q4_0 = 0, 2


def s(text):
    b = text.encode()
    return struct.pack("<Q", len(b)) + b


def kv(key, kind, value):
    if kind == "u32":
        return s(key) + struct.pack("<II", 4, value)
    if kind == "f32":
        return s(key) + struct.pack("<If", 6, value)
    if kind == "str":
        return s(key) + struct.pack("<I", 8) + s(value)
    if kind == "strs":
        return s(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(s(v) for v in value)
    return s(key) + struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)


def byte_tokens():
    """The 256 printable characters that byte-level BPE maps bytes to."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out, n = {}, 0
    for b in range(256):
        if b in keep:
            out[b] = chr(b)
        else:
            out[b] = chr(256 + n)
            n += 1
    return [out[b] for b in range(256)]


def q4_0(n, scale):
    blocks = n // 32
    b = bytearray(os.urandom(18 * blocks))
    d = struct.pack("<e", scale)
    b[0::18] = d[:1] * blocks
    b[1::18] = d[1:] * blocks
    return b


def main():
    out, m = sys.argv[1], SHAPES[sys.argv[2] if len(sys.argv) > 2 else "qwen3-0.6b"]
    a, d, hd = m["arch"], m["d"], m["hd"]
    q, k = m["heads"] * hd, m["kv"] * hd
    tokens = byte_tokens() + [f"<filler_{i}>" for i in range(m["vocab"] - 258)] + ["<|im_start|>", "<|im_end|>"]
    types = [1] * (m["vocab"] - 2) + [3, 3]
    meta = [kv("general.architecture", "str", a), kv("general.name", "str", sys.argv[2] if len(sys.argv) > 2 else "qwen3-0.6b"),
            kv(a + ".block_count", "u32", m["layers"]), kv(a + ".context_length", "u32", m["ctx"]),
            kv(a + ".embedding_length", "u32", d), kv(a + ".feed_forward_length", "u32", m["ffn"]),
            kv(a + ".attention.head_count", "u32", m["heads"]), kv(a + ".attention.head_count_kv", "u32", m["kv"]),
            kv(a + ".attention.key_length", "u32", hd), kv(a + ".attention.value_length", "u32", hd),
            kv(a + ".attention.layer_norm_rms_epsilon", "f32", 1e-6), kv(a + ".rope.freq_base", "f32", 1e6),
            kv("tokenizer.ggml.model", "str", "gpt2"), kv("tokenizer.ggml.pre", "str", "qwen2"),
            kv("tokenizer.ggml.tokens", "strs", tokens), kv("tokenizer.ggml.token_type", "i32s", types),
            kv("tokenizer.ggml.merges", "strs", []), kv("tokenizer.ggml.eos_token_id", "u32", m["vocab"] - 1),
            kv("tokenizer.ggml.bos_token_id", "u32", m["vocab"] - 2)]
    tensors = [("token_embd.weight", [d, m["vocab"]], Q4_0), ("output_norm.weight", [d], F32)]
    for i in range(m["layers"]):
        b = f"blk.{i}."
        tensors += [(b + "attn_norm.weight", [d], F32), (b + "ffn_norm.weight", [d], F32),
                    (b + "attn_q_norm.weight", [hd], F32), (b + "attn_k_norm.weight", [hd], F32),
                    (b + "attn_q.weight", [d, q], Q4_0), (b + "attn_k.weight", [d, k], Q4_0),
                    (b + "attn_v.weight", [d, k], Q4_0), (b + "attn_output.weight", [q, d], Q4_0),
                    (b + "ffn_gate.weight", [d, m["ffn"]], Q4_0), (b + "ffn_up.weight", [d, m["ffn"]], Q4_0),
                    (b + "ffn_down.weight", [m["ffn"], d], Q4_0)]
    infos, at, sizes = b"", 0, []
    for name, dims, kind in tensors:
        n = 1
        for x in dims:
            n *= x
        size = n * 4 if kind == F32 else n // 32 * 18
        infos += s(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, at)
        sizes.append((n, size))
        at += (size + 31) // 32 * 32
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta)) + b"".join(meta) + infos
    with open(out + ".part", "wb") as f:
        f.write(head + b"\0" * (-len(head) % 32))
        for (name, dims, kind), (n, size) in zip(tensors, sizes):
            data = struct.pack("<f", 1.0) * n if kind == F32 else q4_0(n, 0.15 / dims[0] ** 0.5)
            f.write(data)
            f.write(b"\0" * (-size % 32))
    os.rename(out + ".part", out)


main()
