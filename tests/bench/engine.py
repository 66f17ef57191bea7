#!/usr/bin/env python3
"""The engine beside llama.cpp (weights repacked at load, and not) and ik_llama.cpp, on the same files and threads.

usage: tests/bench/engine.py BUILD-DIR [--cache DIR] [--threads N] [--rounds N] [--cases pp,tg,...] [--json FILE] MODEL...
Each is a process that stays loaded; they take turns at a case (A-B-C-D-A-B-C-D), alone while they do, and medians are printed with the
least and the most. Before each turn the placement of the virtual CPUs is measured, and the read bandwidth before each round: two
CPUs that are one core, or that have caches of their own, change every figure. The peers are there when their Python packages are in
CACHE/llama (PEERS=1 installs them there, which compiles for half an hour), or when IK_LLAMA_CPP_LIB_PATH names a library and the package is
on PYTHONPATH. Cases: tests/bench/bench_engine.c. The goals are of the issue's machine with two cores."""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = {"pp": "prefill 512, tokens/s", "tg": "decode, tokens/s", "d2k": "decode behind 2,048, tokens/s", "b16": "16 streams, tokens/s",
         "sh": "8 on a shared prefix, requests/s", "shc": "the same, prefix within the time"}
LLAMA_PACKAGE, IK_PACKAGE = "llama-cpp-python==0.3.36", "ik-llama-cpp-python==0.1.5"


class Runner:
    """A process that answers a word with a line of numbers."""

    def __init__(self, name, argv, env=None):
        self.name, self.dead = name, False
        self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)

    def ask(self, word):
        if self.dead:
            return None
        try:
            self.p.stdin.write(word + "\n")
            self.p.stdin.flush()
            line = self.p.stdout.readline()
            return [float(x) for x in line.split()] or self.fail()
        except (OSError, ValueError):
            return self.fail()

    def fail(self):
        print(f"{self.name} does not answer: left out", file=sys.stderr)
        self.dead = True

    def close(self):
        self.p.kill()
        self.p.wait()


def peers(cache, model, threads):
    python = os.path.join(cache, "llama", "bin", "python")
    if not os.path.exists(python):
        python = sys.executable
    out = []
    for kind, name, module in (("llama", "llama.cpp", "llama_cpp"), ("plain", "llama.cpp, not repacked", "llama_cpp"), ("ik", "ik_llama.cpp", "ik_llama_cpp")):
        if subprocess.run([python, "-c", "import " + module], capture_output=True, check=False).returncode == 0:
            out.append(Runner(name, [python, os.path.join(HERE, "peer_llama.py"), kind, model, str(threads)]))
    return out


def install(cache):
    venv = os.path.join(cache, "llama")
    if os.path.exists(os.path.join(venv, "bin", "python")):
        return
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    env = dict(os.environ, CMAKE_ARGS="-DGGML_NATIVE=ON")
    for package in (LLAMA_PACKAGE, IK_PACKAGE):
        subprocess.run([os.path.join(venv, "bin", "pip"), "install", "-q", package], env=env, check=False)


def measure(args, model):
    own = Runner("sluice", [os.path.join(args.build, "tests/bench/bench_engine"), model, str(args.threads)])
    runners = [own] + peers(args.cache, model, args.threads)
    weights, token = (int(x) for x in own.ask("bytes"))
    rows = {c: {r.name: [] for r in runners} for c in args.cases}
    reads, places = [], []
    for case in args.cases:
        for _ in range(args.rounds):
            reads.append(own.ask("read")[0])
            for r in runners:
                places.append(tuple(own.ask("place")))
                got = r.ask(case)
                print(f"{case} {r.name}: {got}", file=sys.stderr, flush=True)
                if got is not None:
                    rows[case][r.name].append(got[0])
    for r in runners:
        r.close()
    return {"model": os.path.basename(model), "weights": weights, "kv_token": token, "reads": reads, "places": places, "rows": rows}


def median(v):
    return statistics.median(v) if v else None


def report(m, rounds):
    names = list(next(iter(m["rows"].values())))
    print(f"\n{m['model']}: {m['weights'] / 1e6:.0f} MB of weights a token, {m['kv_token'] / 1e3:.1f} KB of cache a token; median of {rounds} (least to most)\n")
    print("| | " + " | ".join(names) + " | sluice / " + " | / ".join(n for n in names[1:]) + " |" if len(names) > 1 else "| | sluice |")
    print("|---" * (2 * len(names)) + "|")
    for case, row in m["rows"].items():
        own, cells = median(row["sluice"]), []
        for n in names:
            v = row[n]
            cells.append(f"{median(v):,.1f} ({min(v):,.1f} to {max(v):,.1f})" if v else "-")
        ratios = [f"{own / median(row[n]):.2f}x" if row[n] else "-" for n in names[1:]]
        print("| " + " | ".join([CASES[case]] + cells + ratios) + " |")
    read = median(m["reads"])
    for case, behind in (("tg", 64), ("d2k", 2064)):
        if case in m["rows"]:
            need = m["weights"] + behind * m["kv_token"]
            print(f"\n{CASES[case].split(',')[0]}: {100 * median(m['rows'][case]['sluice']) * need / read / 1e9:.0f} % of the {read:.1f} GB/s that were read ({min(m['reads']):.1f} to {max(m['reads']):.1f})")
    kinds = {"one core": 0, "one cache": 0, "two caches": 0}
    for delay, ratio in m["places"]:
        kinds["one core" if ratio < 1.4 else "one cache" if delay < 90 else "two caches"] += 1
    print("\nplacement of the two CPUs: " + ", ".join(f"{k} {v}" for k, v in kinds.items()) + " of " + str(len(m["places"])) + " turns; "
          + f"delay {min(p[0] for p in m['places']):.0f} to {max(p[0] for p in m['places']):.0f} ns")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("build")
    ap.add_argument("models", nargs="+")
    ap.add_argument("--cache", default="build/cache")
    ap.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--cases", type=lambda s: s.split(","), default=list(CASES))
    ap.add_argument("--json")
    args = ap.parse_args()
    if os.environ.get("PEERS") == "1":
        install(args.cache)
    done = []
    for model in args.models:
        done.append(measure(args, model))
        report(done[-1], args.rounds)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(done, f)


main()
