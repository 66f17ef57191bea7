#!/usr/bin/env python3
"""Tests of `make gpu-bench` without a GPU: its arithmetic and lines on given numbers, its budget on a clock of the test's own, its models read by other
code, and the whole program at tiny sizes on the emulated device (tests/simt), beside a made-up llama.cpp.

usage: tests/bench/gpu/test_bench.py PROGRAMS      PROGRAMS: gpu, engine and make_model, linked with the emulated device"""
import argparse
import contextlib
import io
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import bench as bench_py  # noqa: E402
import report  # noqa: E402
from runner import Budget, Failed, Runner  # noqa: E402

passed = failed = 0
SHAPE = "--layers 2 --embd 256 --heads 4 --kv-heads 2 --head-dim 64 --ffn 256 --vocab 262 --context 256"
SIZES = ["--prompt", "40", "--decode", "3", "--streams", "2", "--behind", "40", "--each", "2", "--threads", "1", "--copy", "100000", "--turns", "2",
         "--shapes", "64x256", "--types", "Q4_0,F16", "--tokens", "1,9", "--rounds", "2", "--stream-rounds", "1"]
MARK = "(EMULATED, no figure of a GPU)"


def check(ok, what):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAIL  {what}")


def near(a, b, by=1e-9):
    return a is not None and abs(a - b) <= by * abs(b)


# ---- arithmetic and lines ------------------------------------------------------------------------

def given(**rates):
    m = report.Model("8B Q4_0", 4_500_000_000, 70_000, 7_000_000_000)
    m.context, m.copies, m.where = 100, [4000.0, 4300.0, 4200.0], "a GPU"
    for key, values in rates.items():
        who = "llama.cpp" if key.endswith("_") else "sluice"
        for v in values:
            m.add(key.rstrip("_"), who, v)
    return m


def lines_of(f, emulated=False):
    out = report.Report(emulated)
    with contextlib.redirect_stdout(io.StringIO()):
        f(out)
    return out.lines


def test_arithmetic():
    m = given(tg=[590, 600, 700])
    # 600 tokens/s of 4.5 GB and 100 tokens of 70 kB, over the median copy of 4,200 GB/s
    check(near(m.share(), 600 * (4.5e9 + 7e6) / 4.2e12), "the share is of the median copy of the same rounds")
    m.copies = [8400.0]
    check(near(m.share(), 600 * (4.5e9 + 7e6) / 8.4e12), "twice the copies, half the share")
    check(near(report.share_of_peak(10_000, 7e9, 1400), 10_000 * 14e9 / 1.4e15), "the share of the peak counts two operations a weight")
    check(report.ratio(3, None) is None and report.ratio(None, 2) is None and report.ratio(3, 2) == 1.5, "ratios")
    check(given().share() is None and report.median([]) is None, "nothing measured, nothing said")


def goal_lines(m, emulated=False):
    return [x for x in lines_of(lambda out: out.goals([m]), emulated) if x.startswith("- ")]


def test_goals():
    met = goal_lines(given(tg=[600], tg_=[500], pp=[24_000], pp_=[20_000], many=[6000.0], many_=[1.0]))
    check(len(met) == 4 and all(x.endswith(": met") for x in met), f"goals that are just met: {met}")
    check("64.4 %, goal 60.0 %" in met[0] and "1.20x, goal 1.20x" in met[1] and "6,000 tokens/s, goal 6,000" in met[3], f"with their numbers: {met}")
    missed = goal_lines(given(tg=[550], tg_=[500], pp=[23_900], pp_=[20_000], many=[5999.0]))
    check(all(x.endswith(": NOT met") for x in missed), f"goals that are just missed: {missed}")
    alone = goal_lines(given(tg=[600]))
    check(alone[0].endswith(": met") and all("not measured" in x for x in alone[1:]), f"without a peer nothing is claimed: {alone}")
    check(all(x.endswith(MARK) for x in goal_lines(given(tg=[600]), True)), "an emulated figure says so in the goals")


def test_table():
    lines = lines_of(lambda out: out.model(given(tg=[590, 600, 700], tg_=[400, 300, 500], pp=[20_000]), 1000.0, "a GPU"))
    text = "\n".join(lines)
    check("| decode, one request, tokens/s | 600.0 (590.0 to 700.0) | 400.0 (300.0 to 500.0) | 1.50x |" in text, f"a row: {text}")
    check("| prompt, tokens/s | 20,000.0 (20,000.0 to 20,000.0) | - | - |" in text, f"a row without a peer: {text}")
    check("Decode moves 2,704.2 GB/s: 64.4 % of the 4,200.0 GB/s that were copied in the same rounds (4,000.0 to 4,300.0)" in text, f"what decode moves: {text}")
    check("280 TOP/s, 28.0 % of the int8 peak" in text, f"the prompt's share of the peak: {text}")
    m = given(tg=[600])
    m.seen = [{"sm": "1980", "mem": "3201", "watts": 500.4}, {"sm": "1755", "mem": "3201", "watts": 620.0}, {"sm": "1980", "mem": "3201", "watts": 480.0}]
    m.joules = [0.25, 0.75]
    text = "\n".join(lines_of(lambda out: out.model(m, 1000.0, "a GPU"), True))
    check(f"While it computed: processors 1980 MHz (1755 to 1980), memory 3201 MHz (3201 to 3201), power 500 W (480 to 620){' ' + MARK}" in text, f"clocks: {text}")
    check("Energy of the streams: 0.500 J a token" in text, f"energy: {text}")
    lines = lines_of(lambda out: out.health("before", {"sm": "345", "mem": "3201", "celsius": "30", "watts": 75.0, "throttle": "0x1", "driver": "580.95"}))
    check(lines == ["Clocks before: 345 MHz, memory 3201 MHz, 30 C, 75 W, reasons to throttle 0x1, driver 580.95"], f"health: {lines}")
    lines = lines_of(lambda out: out.products([("Q4_0", 4096, 4096, 9_437_184, [(1, 4.0)]), ("F16", 4096, 4096, 33_554_432, [(512, 40.0)])], 4200.0, [800.0, 1600.0]))
    check("| Q4_0 | 4096 x 4096 | 1 | 4.00 | 2,359.3 | 56.2 % | 8.389 | 0.5 % |" in lines, f"a product of integers: {lines}")
    check("| F16 | 4096 x 4096 | 512 | 40.00 | 838.9 | 20.0 % | 429.5 | 53.7 % |" in lines, f"a product of floats: {lines}")


# ---- time and processes --------------------------------------------------------------------------

def test_budget():
    now = [100.0]
    b = Budget(60, 90, lambda: now[0])
    check(b.left() == 50 and b.lacks(50) is None and "50 s are left" in b.lacks(51), "what the build took is gone")
    now[0] = 200
    check("0 s are left" in b.lacks(1), "no negative time")


def raises(f, words):
    try:
        f()
    except Failed as e:
        check(words in str(e), f"{words}: {e}")
        return
    check(False, f"nothing was raised: {words}")


def test_runner():
    program = ("import sys, time\nfor line in sys.stdin:\n    w = line.strip()\n    if w == 'die': sys.exit('it is broken')\n    if w == 'sleep': time.sleep(60)\n"
               "    print({'two': '1.5 2', 'bad': 'error no such thing', 'words': 'a b'}[w], flush=True)\n")
    r = Runner("it", [sys.executable, "-c", program], Budget(60))
    check(r.numbers("two") == [1.5, 2.0], "numbers")
    raises(lambda: r.numbers("bad"), "it: no such thing")
    raises(lambda: r.numbers("words"), "it: a b")
    check(not r.dead and r.numbers("two") == [1.5, 2.0], "a refusal is not the end")
    began = time.monotonic()
    raises(lambda: r.ask("sleep", 1), "no answer in time")
    check(time.monotonic() - began < 20 and r.dead, "silence is the end")
    raises(lambda: r.ask("two"), "no answer in time")
    r.close()
    r = Runner("it", [sys.executable, "-c", program.replace("sleep(60)", "sleep(1)").replace("'two':", "'sleep': '7', 'two':")], Budget(60))
    seen = []
    check(r.numbers("sleep", 30, lambda: seen.append(1)) == [7.0] and 1 <= len(seen) <= 6, f"looked at meanwhile: {len(seen)} times")
    r.close()
    r = Runner("it", [sys.executable, "-c", program], Budget(60))
    raises(lambda: r.ask("die"), "it is broken")
    r.close()


def script(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o755)


def test_within():
    def run(end, *command, **env):
        return subprocess.run([os.path.join(HERE, "within.sh"), str(int(time.time()) + end), "it", *command], capture_output=True, text=True, check=False, env=dict(os.environ, **env))

    late = run(-1, "false")
    check(late.returncode == 0 and "SKIP  it: left out for time" in late.stdout and late.stdout.endswith("0 passed, 0 failed, 1 skipped\n"), f"left out: {late}")
    cut = run(2, "sleep", "60", WITHIN_LEAST="1")
    check(cut.returncode == 0 and "the time was over" in cut.stdout, f"cut: {cut}")
    check(run(60, "sh", "-c", "exit 3").returncode == 3 and run(60, "true").returncode == 0, "the command's own status")


def test_go(tmp):
    """go.sh in a tree of stand-ins: what it says where something is missing, what it takes then, and for which GPUs it builds."""
    tree = os.path.join(tmp, "tree")
    for d in ("packaging", "tests/bench/gpu", "bin", "build/release/gpu"):
        os.makedirs(os.path.join(tree, d))
    shutil.copy(os.path.join(HERE, "go.sh"), os.path.join(tree, "tests/bench/gpu"))
    script(os.path.join(tree, "packaging/deps.sh"), '#!/bin/sh\n[ "$1" = --list ] && { echo "$MISSING"; exit 0; }\necho noise of a package manager; exit 1\n')
    script(os.path.join(tree, "tests/bench/gpu/bench.py"), '#!/bin/sh\necho "bench $@"\n')
    script(os.path.join(tree, "tests/bench/gpu/run.sh"), '#!/bin/sh\necho "run $@ $GPU_STARTED"\n')
    script(os.path.join(tree, "bin/make"), '#!/bin/sh\ncase "$*" in *cuda-toolkit*) echo noise; exit $NO_NVCC;; esac\necho "make $@"\nexit $NO_BUILD\n')
    script(os.path.join(tree, "bin/nvidia-smi"), '#!/bin/sh\nprintf "$CAPS"\n')

    def go(what, **env):
        all_env = dict(os.environ, PATH=os.path.join(tree, "bin") + ":" + os.environ["PATH"], MISSING="", NO_NVCC="0", NO_BUILD="0", CAPS="9.0\\n", GPUBENCHFLAGS="--rounds 1")
        return subprocess.run(["tests/bench/gpu/go.sh", what, "build", "build/release", "4", "test_a"], cwd=tree, env=dict(all_env, **env), capture_output=True, text=True, check=False)

    r = go("bench", MISSING="re2c libyaml-dev")
    check(r.returncode == 1 and r.stdout == "FAIL  gpu-bench: missing on this machine, and not to be had: re2c libyaml-dev\n0 passed, 1 failed\n" and r.stderr == "", f"one clear line: {r}")
    r = go("test", NO_NVCC="1")
    check(r.returncode == 1 and "not to be had: a CUDA compiler, 12.8 or newer" in r.stdout and "noise" not in r.stdout, f"no compiler: {r}")
    r = go("bench", NO_BUILD="2")
    check(r.returncode == 1 and "FAIL  gpu-bench: it does not build" in r.stdout, f"a build that fails: {r}")
    r = go("bench")
    check(r.returncode == 0 and "-j4 CUDA=1 CUDA_SM=90a gpu-bench-build\nbuilt in " in r.stdout, f"built for what is there: {r}")
    check(re.search(r"bench build/release/gpu --started \d+ --rounds 1\n", r.stdout) is not None, f"with its options: {r}")
    r = go("bench", GPUBENCHFLAGS="--budget 5")
    check(re.search(r"bench build/release/gpu --started \d+ --budget 5\n", r.stdout) is not None, f"another time: {r}")
    r = go("test", CAPS="8.7\\n9.0\\n")
    check("CUDA_SM" not in r.stdout and "gpu-test-build" in r.stdout and re.search(r"run build/release/gpu test_a \d+\n", r.stdout) is not None, f"an unknown one: all: {r}")
    script(os.path.join(tree, "build/release/gpu/gpu"), "#!/bin/sh\n")
    r = go("bench", NO_NVCC="1")
    check(r.returncode == 0 and "as they were brought" in r.stdout and "bench build/release/gpu" in r.stdout, f"programs that were brought: {r}")


# ---- models --------------------------------------------------------------------------------------

def half(b):
    return struct.unpack("<e", b)[0]


def q4_0(b):
    return [half(b[:2]) * ((b[2 + i % 16] >> (4 * (i // 16)) & 15) - 8) for i in range(32)]


def q4_k(b):
    d, m, s, out = half(b[:2]), half(b[2:4]), b[4:16], []
    for g in range(8):
        sc, mn = (s[g] & 63, s[g + 4] & 63) if g < 4 else (s[g + 4] & 15 | s[g - 4] >> 6 << 4, s[g + 4] >> 4 | s[g] >> 6 << 4)
        out += [d * sc * (b[16 + g // 2 * 32 + i] >> (4 * (g % 2)) & 15) - m * mn for i in range(32)]
    return out


def q6_k(b):
    ql, qh, sc, d, out = b[:128], b[128:192], struct.unpack("16b", b[192:208]), half(b[208:210]), []
    for i in range(256):
        n, l, part = i // 128, i % 32, i % 128 // 32
        q = (ql[64 * n + l + 32 * (part % 2)] >> (4 * (part // 2)) & 15) | (qh[32 * n + l] >> (2 * part) & 3) << 4
        out.append(d * sc[i // 16] * (q - 32))
    return out


KINDS = {2: (32, 18, q4_0), 12: (256, 144, q4_k), 14: (256, 210, q6_k)}


class File:
    """GGUF version 3, as its specification says: the pairs, the tensors' descriptions, the bytes."""

    def __init__(self, path):
        with open(path, "rb") as f:
            self.b, self.at = f.read(), 8
        n_tensors, n_pairs = self.take("<QQ")
        self.pairs = {}
        for _ in range(n_pairs):
            key = self.text()
            self.pairs[key] = self.value(self.take("<I")[0])
        self.tensors = {}
        for _ in range(n_tensors):
            name = self.text()
            dims = self.take(f"<{self.take('<I')[0]}Q")
            kind, at = self.take("<IQ")
            self.tensors[name] = (dims, kind, at)
        self.data = (self.at + 31) // 32 * 32

    def take(self, form):
        v = struct.unpack_from(form, self.b, self.at)
        self.at += struct.calcsize(form)
        return v

    def text(self):
        n = self.take("<Q")[0]
        self.at += n
        return self.b[self.at - n:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            of, n = self.take("<IQ")
            return [self.value(of) for _ in range(n)]
        return self.take({4: "<I", 5: "<i", 6: "<f"}[kind])[0]

    def weights(self, name):
        """Rows of numbers."""
        dims, kind, at = self.tensors[name]
        if kind == 0:
            return [list(struct.unpack_from(f"<{dims[0]}f", self.b, self.data + at))]
        elems, size, read = KINDS[kind]
        row = dims[0] // elems
        return [sum((read(self.b[self.data + at + (r * row + i) * size:][:size]) for i in range(row)), []) for r in range(dims[1])]


def test_models(programs, tmp):
    for kind, first, tensor_kind in (("Q4_0", 2, 2), ("Q4_K_M", 12, 14)):
        path, again = os.path.join(tmp, kind), os.path.join(tmp, kind + ".again")
        for p in (path, again):
            subprocess.run([os.path.join(programs, "make_model"), p, kind] + SHAPE.split(), check=True)
        f = File(path)
        with open(again, "rb") as g:
            check(g.read() == f.b, f"{kind}: the same bytes each time")
        check(f.pairs["llama.block_count"] == 2 and f.pairs["llama.embedding_length"] == 256 and len(f.pairs["tokenizer.ggml.tokens"]) == 262, f"{kind}: the shape that was asked for")
        check(len(set(f.pairs["tokenizer.ggml.tokens"])) == 262, f"{kind}: no token twice")
        check(f.tensors["blk.0.attn_q.weight"][1] == first and f.tensors["output.weight"][1] == 14 and f.tensors["blk.1.ffn_down.weight"][1] == tensor_kind, f"{kind}: types by tensor: {f.tensors}")
        check(f.weights("output_norm.weight") == [[1.0] * 256], f"{kind}: norms are ones")
        for name in ("blk.0.attn_q.weight", "blk.1.ffn_down.weight", "output.weight"):
            rows = f.weights(name)
            if name == "output.weight":
                check(rows[-2:] == [[0.0] * 256] * 2 and any(rows[-3]), f"{kind}: no answer ends by itself")
                rows = rows[:-2]
            flat = [x for row in rows for x in row]
            mean, var = sum(flat) / len(flat), sum(x * x for x in flat) / len(flat)
            check(0.85 < math.sqrt(var * len(rows[0])) < 1.15 and abs(mean) * math.sqrt(len(rows[0])) < 0.2 and all(map(math.isfinite, flat)),
                  f"{kind}: {name} keeps its input's size: {math.sqrt(var * len(rows[0])):.3f}, mean {mean:.2g}")
            check(len({row[0] for row in rows}) > len(rows) // 4, f"{kind}: {name} is random")
    bad = subprocess.run([os.path.join(programs, "make_model"), os.path.join(tmp, "bad"), "Q4_K_M", "--embd", "100"], capture_output=True, text=True, check=False)
    check(bad.returncode == 1 and "token_embd.weight" in bad.stderr and not os.path.exists(os.path.join(tmp, "bad")), f"a shape that cannot be: {bad}")


# ---- the whole -----------------------------------------------------------------------------------

PEER = """import sys
answers = {"tg": "2.0", "pp": "10.0", "many": "error no room"}
for line in sys.stdin:
    print(answers[line.strip()], flush=True)
"""


def bench(programs, tmp, *more, peer=True):
    peer_path = os.path.join(tmp, "peer.py")
    script(peer_path, PEER)
    argv = [os.path.join(HERE, "bench.py"), programs, "--models", tmp, "--shape", SHAPE, *SIZES, "--json", os.path.join(tmp, "json"),
            "--peer", f"{sys.executable} {peer_path}" if peer else "none", *more]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)


def test_whole(programs, tmp):
    r = bench(programs, tmp, "--parts", "Q4_K_M,products")
    text = r.stdout
    check(r.returncode == 0 and r.stderr == "", f"it runs: {r}")
    with open(os.path.join(tmp, "json"), encoding="utf-8") as f:
        j = json.load(f)
    m = j["models"][0]
    own, peer = m["rates"]["tg"]["sluice"], m["rates"]["tg"]["llama.cpp"]
    f = File(os.path.join(tmp, next(x for x in os.listdir(tmp) if x.startswith("random-Q4_K_M"))))
    read = [(name, dims, kind) for name, (dims, kind, _) in f.tensors.items() if len(dims) == 2 and name != "token_embd.weight"]
    n_bytes = sum(dims[0] // KINDS[kind][0] * KINDS[kind][1] * dims[1] for _, dims, kind in read)
    check(m["weights"] == n_bytes, f"bytes of weights a token: {m['weights']}, of matrices {n_bytes}")
    check(m["multiplications"] == sum(dims[0] * dims[1] for name, dims, _ in read if name != "output.weight"), f"multiplications: {m['multiplications']}")
    check(j["emulated"] and len(own) == 2 and peer == [2.0, 2.0] and all(x > 0 for x in own), f"numbers: {j}")
    check(m["asked"] == [["tg", "sluice"], ["tg", "llama.cpp"]] * 2 + [["pp", "sluice"], ["pp", "llama.cpp"]] * 2 + [["many", "sluice"]], f"A-B-A-B: {m['asked']}")
    check(len(m["copies"]) == 5 and all(c > 0 for c in m["copies"]) and m["context"] > 3, "the copies are measured in each round")
    # The lines say what the numbers are.
    share = report.share_of_copy(report.median(own), m["weights"], m["kv_token"], m["context"], m["copies"])
    check(f": {report.percent(share)} of the {report.median(m['copies']):,.1f} GB/s that were copied in the same rounds" in text, f"the share: {text}")
    check(f"| {report.median(own):,.1f} ({min(own):,.1f} to {max(own):,.1f}) | 2.0 (2.0 to 2.0) | {report.times(report.median(own) / 2)} |" in text, f"the row: {text}")
    check("- left out: Q4_K_M, streams at once, tokens/s over all, llama.cpp: llama.cpp: no room" in text, f"what a peer refuses: {text}")
    check(text.count("Clocks") == 2 and "emulated device 0, compute capability 8.0" in text, f"the device: {text}")
    check(len(re.findall(r"^\| (Q4_0|F16) \S* ?.*\| 64 x 256 \| [19] \|", text, re.M)) == 4, f"products: {text}")
    goals = text[text.index("## Goals"):]
    check(len(re.findall(r"^- .*: (met|NOT met) ", goals, re.M)) == 4, f"four goals: {goals}")
    check(re.search(r"^\d+ s of 470 s$", text, re.M) is not None, "how long it took")
    # Whatever has a unit of speed is marked.
    figures = [x for x in text.splitlines() if re.search(r"\d (GB/s|TOP/s|tokens/s|J a token)|\d %|^\| .*tokens/s.*\d|^\| (Q4_0|F16)|goal", x) and "left out" not in x]
    check(len(figures) >= 12 and all(MARK in x for x in figures), f"figures of an emulated device say so: {[x for x in figures if MARK not in x]}")


def test_no_time(programs, tmp):
    r = bench(programs, tmp, "--budget", "50", "--model-seconds", "60", "--parts", "Q4_0,Q4_K_M", peer=False)
    check(r.returncode == 0 and len(re.findall(r"^- left out: Q4_(0|K_M): it takes about 60 s, and \d+ s are left$", r.stdout, re.M)) == 2, f"left out for time: {r}")
    r = bench(programs, tmp, "--parts", "Q4_0", "--shape", "--layers 0", peer=False)
    check(r.returncode == 0 and "- left out: Q4_0: make_model: layers: a number above 0 is needed" in r.stdout, f"no model: {r}")
    r = bench(tmp, tmp, "--parts", "Q4_0", peer=False)
    check(r.returncode == 1 and r.stdout.startswith("FAIL  no figure: gpu: ") and r.stderr == "", f"no programs: {r}")
    r = bench(programs, tmp, "--parts", "Q4_0", "--device", "cuda:7", peer=False)
    check(r.returncode == 0 and "there is no GPU 7" in r.stdout and "## Goals" in r.stdout, f"no such device: {r}")


LLAMA = """import sys
LLAMA_LOAD_MODE_NONE = LLAMA_FLASH_ATTN_TYPE_ENABLED = 1
class Any: pass
class Rows(dict):
    def __missing__(self, k):
        self[k] = Rows()
        return self[k]
class Batch:
    def __init__(self):
        self.n_tokens = 0
        self.token, self.pos, self.n_seq_id, self.logits, self.seq_id = Rows(), Rows(), Rows(), Rows(), Rows()
contexts = []
def llama_model_load_from_file(path, mp):
    print("layers", mp.n_gpu_layers, file=sys.stderr)
    return 1
def llama_init_from_model(model, cp):
    contexts.append(cp)
    cp.seen = []
    return cp
def llama_decode(ctx, b):
    n = b.n_tokens
    ends = {}
    for i in range(n):
        ends[b.seq_id[i][0]] = max(b.pos[i], ends.get(b.seq_id[i][0], 0))
    if max(ends) >= ctx.n_seq_max or max(ends.values()) >= ctx.n_ctx // (1 if ctx.kv_unified else ctx.n_seq_max):
        return 1
    ctx.seen.append(n)
    return 0
def llama_memory_clear(m, data): m.seen.append("clear")
def llama_memory_seq_cp(*a): pass
def llama_get_memory(ctx): return ctx
def llama_synchronize(ctx): ctx.seen.append("wait")
def llama_supports_gpu_offload(): return GPU
def llama_vocab_n_tokens(v): return 5000
def llama_model_get_vocab(m): return 0
def llama_batch_init(*a): return Batch()
def llama_backend_init(): pass
llama_model_default_params = llama_context_default_params = Any
"""


def test_peer(tmp):
    """peer_llama.py's way on a GPU, with a stand-in for llama_cpp that refuses contexts which are too small."""
    def run(gpu):
        script(os.path.join(tmp, "llama_cpp.py"), LLAMA.replace("GPU\n", f"{gpu}\n"))
        return subprocess.run([sys.executable, os.path.join(HERE, "..", "peer_llama.py"), "gpu", "m.gguf", "2", "512", "16", "64", "1000", "64"], input="pp\ntg\nmany\n",
                              capture_output=True, text=True, check=False, env=dict(os.environ, PYTHONPATH=tmp), timeout=120)

    r = run(True)
    check(r.returncode == 0 and len(r.stdout.split()) == 3 and "layers 999" in r.stderr, f"three answers: {r}")
    r = run(False)
    check(r.returncode == 1 and "built without a GPU" in r.stderr, f"no GPU: {r}")
    args = argparse.Namespace(prompt=512, decode=16, streams=64, behind=1000, each=64, threads=3, peer="auto")
    here = os.getcwd()
    os.chdir(tmp)  # no environment of the project's own there
    os.environ["PYTHONPATH"] = tmp
    check(bench_py.peer_command(args, "m.gguf") == (None, "the llama_cpp that is there was built without a GPU"), "one that is of no use")
    run(True)
    command, why = bench_py.peer_command(args, "m.gguf")
    check(why is None and command[0] == sys.executable and command[2:] == ["gpu", "m.gguf", "3", "512", "16", "64", "1000", "64"], f"one that is: {command}")
    script(os.path.join(tmp, "llama_cpp.py"), "raise ImportError\n")
    command, why = bench_py.peer_command(args, "m.gguf")
    check(command is None and "cannot import llama_cpp" in why, f"none: {why}")
    del os.environ["PYTHONPATH"]
    os.chdir(here)


def main():
    programs = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as tmp:
        for f in (test_arithmetic, test_goals, test_table, test_budget, test_runner, test_within):
            f()
        test_go(tmp)
        test_models(programs, tmp)
        test_peer(tmp)
        test_whole(programs, tmp)
        test_no_time(programs, tmp)
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
