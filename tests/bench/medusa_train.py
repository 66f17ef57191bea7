#!/usr/bin/env python3
"""Trains Medusa heads for a model of one's own, on what the model itself answers (docs/engine.md, "Guessed tokens").

usage: medusa_train.py OUT DATA... [--test DATA] [--heads 3] [--epochs 6] [--seed 1]

DATA are folders that build/release/tests/bench/medusa_data made, OUT the folder to write: config.json and
medusa_lm_head.safetensors, heads of one residual block each that use the model's output matrix. --test prints how often each head
is right on answers that it has not seen. Needs NumPy; about 10 minutes of one core for 30,000 tokens of a model of width 576."""
import argparse
import json
import os
import struct

import numpy as np

BATCH, RATE, DECAY, OTHERS = 256, 1e-3, 1e-2, 2048


def read_rows(folder, d):
    row = np.dtype([("answer", "<i4"), ("id", "<i4"), ("hidden", "<f4", (d,))])
    rows = np.fromfile(os.path.join(folder, "rows.bin"), row)  # those of answers that were written together alternate
    return rows[np.argsort(rows["answer"], kind="stable")]


def pairs(rows, head):
    """Hidden states, and the token that is head + 1 places behind the one drawn from each."""
    k = head + 1
    same = rows["answer"][:-k] == rows["answer"][k:]
    return rows["hidden"][:-k][same], rows["id"][k:][same]


def block(x, w, b):
    z = x @ w.T + b
    s = 1 / (1 + np.exp(-z))
    return x + z * s, z, s


class Adam:
    def __init__(self, shape):
        self.m, self.v, self.t = np.zeros(shape, np.float32), np.zeros(shape, np.float32), 0

    def step(self, p, g, rate, decay):
        self.t += 1
        self.m += 0.1 * (g - self.m)
        self.v += 0.001 * (g * g - self.v)
        p -= rate * (self.m / (1 - 0.9**self.t) / (np.sqrt(self.v / (1 - 0.999**self.t)) + 1e-8) + decay * p)


def train(x, y, output, epochs, rng):
    """Cross entropy over the tokens that occur and, anew for each epoch, some that do not."""
    d = x.shape[1]
    w, b = np.zeros((d, d), np.float32), np.zeros(d, np.float32)
    of_w, of_b = Adam(w.shape), Adam(b.shape)
    seen, place = np.unique(y, return_inverse=True)
    steps, done = epochs * (len(x) // BATCH), 0
    for epoch in range(epochs):
        ids = np.concatenate([seen, np.setdiff1d(rng.integers(0, len(output), OTHERS), seen)])
        out = np.ascontiguousarray(output[ids])
        order, total = rng.permutation(len(x)), 0.0
        for at in range(0, len(x) - BATCH + 1, BATCH):
            pick = order[at:at + BATCH]
            h, z, s = block(x[pick], w, b)
            p = h @ out.T
            p -= p.max(1, keepdims=True)
            np.exp(p, p)
            p /= p.sum(1, keepdims=True)
            right = (np.arange(BATCH), place[pick])
            total -= np.log(p[right] + 1e-9).sum()
            p[right] -= 1
            g = (p @ out) / BATCH * (s + z * s * (1 - s))
            rate = RATE * 0.5 * (1 + np.cos(np.pi * done / steps))
            of_w.step(w, g.T @ x[pick], rate, DECAY)
            of_b.step(b, g.sum(0), rate, 0)
            done += 1
        print(f"  epoch {epoch + 1}: cross entropy {total / (len(x) // BATCH * BATCH):.3f}", flush=True)
    return w, b


def score(x, y, w, b, output):
    """Shares of the tokens that are the most likely one, and one of the two most likely."""
    top = np.concatenate([np.argpartition(-(block(x[i:i + 256], w, b)[0] @ output.T), 2)[:, :2] for i in range(0, len(x), 256)])
    best = np.concatenate([(block(x[i:i + 256], w, b)[0] @ output.T).argmax(1) for i in range(0, len(x), 256)])
    return np.mean(best == y), np.mean((top == y[:, None]).any(1))


def write(folder, heads):
    tensors, data = {}, b""
    for i, (w, b) in enumerate(heads):
        for name, x in ((f"{i}.0.linear.weight", w), (f"{i}.0.linear.bias", b)):
            raw = x.astype("<f2").tobytes()
            tensors[name] = {"dtype": "F16", "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
            data += raw
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "medusa_lm_head.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header + data)
    with open(os.path.join(folder, "config.json"), "w", encoding="ascii") as f:
        json.dump({"medusa_num_heads": len(heads), "medusa_num_layers": 1}, f)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out")
    args.add_argument("data", nargs="+")
    args.add_argument("--test")
    args.add_argument("--heads", type=int, default=3)
    args.add_argument("--epochs", type=int, default=6)
    args.add_argument("--seed", type=int, default=1)
    a = args.parse_args()
    with open(os.path.join(a.data[0], "shape.txt"), encoding="ascii") as f:
        d, n_vocab = map(int, f.read().split())
    output = np.memmap(os.path.join(a.data[0], "output.bin"), "<f4", "r", shape=(n_vocab, d))
    rng = np.random.default_rng(a.seed)
    heads = []
    for i in range(a.heads):
        made = [pairs(read_rows(folder, d), i) for folder in a.data]
        x, y = (np.concatenate(part) for part in zip(*made))
        print(f"head {i}: {len(x)} tokens")
        heads.append(train(x, y, output, a.epochs, rng))
        if a.test:
            one, two = score(*pairs(read_rows(a.test, d), i), *heads[-1], output)
            print(f"  right on others' answers: {one:.3f}; one of its two best: {two:.3f}")
    write(a.out, heads)


if __name__ == "__main__":
    main()
