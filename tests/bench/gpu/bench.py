#!/usr/bin/env python3
"""Speed on a GPU, in the time there is: models of 8B in Q4_0 and Q4_K_M that are made here, beside llama.cpp where it can be had, and the products alone.

usage: tests/bench/gpu/bench.py PROGRAMS [options]         make gpu-bench GPUBENCHFLAGS="..."
PROGRAMS: the folder of gpu, engine and make_model. In order of importance: what the device copies and multiplies; each model: one request's decode,
a prompt, many streams, in turn with llama.cpp (A-B-A-B), the copies measured again in each round; the products of each type. A part that has no time
left is said to be left out. Prints Markdown. llama.cpp is there when Python can import llama_cpp built with CUDA (LLAMA_CPP_LIB_PATH names
another library's folder): its method is llama-bench's own, without sampling; ours is requests through the scheduler, tokens picked on the GPU."""
import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import report  # noqa: E402
from runner import Budget, Failed, Runner  # noqa: E402

PEER = "llama.cpp"
TYPES = "Q4_0,Q4_1,Q8_0,Q4_K,Q5_K,Q6_K,F16,BF16"
CASES = (("tg", 10), ("pp", 5), ("many", 30))  # and about how many seconds each takes


def options():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("programs")
    ap.add_argument("--parts", default="Q4_0,Q4_K_M,products", help="which, in this order")
    ap.add_argument("--budget", type=float, default=470, help="seconds of all, from --started on")
    ap.add_argument("--started", type=float, help="seconds since 1970; now")
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--stream-rounds", type=int, default=2)
    ap.add_argument("--device", default="cuda:0")
    ap.add_argument("--models", help="where models are made; in memory where there is much of it, else in build/cache/gpu")
    ap.add_argument("--shape", default="", help="options of make_model; Llama 3.1 8B without")
    ap.add_argument("--model-seconds", type=float, default=75, help="what a model needs to be made, loaded and asked once")
    ap.add_argument("--prompt", type=int, default=512)
    ap.add_argument("--decode", type=int, default=128)
    ap.add_argument("--streams", type=int, default=64)
    ap.add_argument("--behind", type=int, default=1000, help="tokens of context of each stream")
    ap.add_argument("--each", type=int, default=64, help="tokens that each stream writes")
    ap.add_argument("--kv", default="auto")
    ap.add_argument("--threads", type=int, default=0)
    ap.add_argument("--peer", default="auto", help="auto, none, or a command that answers as peer_llama.py does")
    ap.add_argument("--copy", type=int, default=1 << 30, help="bytes")
    ap.add_argument("--turns", type=int, default=2048, help="of the tensor cores on registers")
    ap.add_argument("--types", default=TYPES)
    ap.add_argument("--shapes", default="4096x4096,14336x4096")
    ap.add_argument("--tokens", default="1,2,8,32,128,512")
    ap.add_argument("--json", help="a file for all numbers")
    return ap.parse_args()


def health(gpu):
    try:
        sm, mem, celsius, watts, joules, throttle, driver = gpu.ask("health").split()
    except (Failed, ValueError):
        return None
    return {"sm": sm, "mem": mem, "celsius": celsius, "watts": float(watts), "joules": float(joules), "throttle": throttle, "driver": driver}


def folder(args):
    """Where models are made, and whether it is to be emptied."""
    if args.models:
        return args.models, False
    shm = "/dev/shm"
    if os.path.isdir(shm) and shutil.disk_usage(shm).free > 32 << 30 and os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 64 << 30:
        return os.path.join(shm, f"sluice-gpu-bench-{os.getpid()}"), True
    return os.path.join("build", "cache", "gpu"), False


def make(args, where, kind, budget):
    """A model of that type, made once."""
    os.makedirs(where, exist_ok=True)
    path = os.path.join(where, f"random-{kind}{''.join(args.shape.split()).replace('--', '-')}.gguf")
    if not os.path.exists(path):
        try:
            subprocess.run([os.path.join(args.programs, "make_model"), path, kind] + shlex.split(args.shape), check=True, timeout=max(1, budget.left()), capture_output=True, text=True)
        except subprocess.CalledProcessError as e:
            raise Failed(e.stderr.strip()) from e
        except subprocess.TimeoutExpired as e:
            raise Failed("the model was not made in time") from e
    return path


def peer_command(args, path):
    """What runs llama.cpp on the model, or why there is none."""
    sizes = [str(x) for x in (args.prompt, args.decode, args.streams, args.behind, args.each)]
    if args.peer not in ("auto", "none"):
        return shlex.split(args.peer) + ["gpu", path, "0"] + sizes, None
    if args.peer == "none":
        return None, "not asked for"
    why = "Python cannot import llama_cpp (the package llama-cpp-python, built with CUDA)"
    for python in (os.path.join("build", "cache", "llama", "bin", "python"), sys.executable):
        try:
            found = subprocess.run([python, "-c", "import llama_cpp; print(llama_cpp.llama_supports_gpu_offload())"], capture_output=True, text=True, check=False, timeout=60)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if found.returncode == 0 and "True" in found.stdout:
            break
        if found.returncode == 0:
            why = "the llama_cpp that is there was built without a GPU"
    else:
        return None, why
    return [python, os.path.join(HERE, "..", "peer_llama.py"), "gpu", path, str(args.threads or os.cpu_count() or 1)] + sizes, None


def one_round(args, gpu, runners, m, case, out):
    """A-B: each is asked once. One that fails is left out of what follows."""
    m.copies.append(gpu.numbers(f"copy {args.copy}")[0])
    for r in list(runners):
        before, seen = health(gpu), []
        try:
            got = r.numbers(case, 120, (lambda to=seen: to.append(health(gpu))) if before else None)
        except Failed as e:
            out.left_out(f"{m.name}, {report.CASES[case]}, {r.name}", str(e))
            if r.dead:
                runners.remove(r)
            continue
        m.add(case, r.name, got[0])
        m.asked.append([case, r.name])
        if r.name != "sluice":
            continue
        m.seen += [h for h in seen if h]
        if case == "tg":
            m.context = got[1]
        after = health(gpu)
        if case == "many" and before and after and after["joules"] > before["joules"]:
            m.joules.append((after["joules"] - before["joules"]) / (args.streams * (args.behind + args.each)))


def measure(args, gpu, kind, where, budget, out):
    """One model; None: there was no time, or it could not be had, and out says so."""
    name = ("8B " if not args.shape else "") + kind
    why = budget.lacks(args.model_seconds)
    if why:
        out.left_out(name, why)
        return None
    runners, m = [], report.Model(name)
    try:
        path = make(args, where, kind, budget)
        sizes = [f"--{k}={getattr(args, k)}" for k in ("prompt", "decode", "streams", "behind", "each", "kv")] + ([f"--threads={args.threads}"] if args.threads else [])
        own = Runner("sluice", [os.path.join(args.programs, "engine"), path, args.device] + sizes, budget)
        runners.append(own)
        m.weights, m.kv_token, m.multiplications = own.numbers("bytes", 180)
        m.where = own.ask("where")
    except Failed as e:
        out.left_out(name, str(e))
        for r in runners:
            r.close()
        return None
    command, why = peer_command(args, path)
    try:
        if command:
            runners.append(Runner(PEER, command, budget))
        else:
            out.left_out(f"{name}, {PEER}", why)
    except Failed as e:
        out.left_out(f"{name}, {PEER}", str(e))
    opened = list(runners)
    for case, seconds in CASES:
        for i in range(args.stream_rounds if case == "many" else args.rounds):
            why = budget.lacks(seconds * len(runners) if i else seconds)
            if why:
                out.left_out(f"{name}, {report.CASES[case]}, round {i + 1} and later", why)
                break
            one_round(args, gpu, runners, m, case, out)
    for r in opened:
        r.close()
    return m


def products(args, gpu, budget, out):
    rows = []
    for shape in args.shapes.split(","):
        n_rows, n_cols = (int(x) for x in shape.split("x"))
        for kind in args.types.split(","):
            why = budget.lacks(8)
            if why:
                out.left_out(f"products of {kind}, {shape}", why)
                continue
            try:
                got = gpu.numbers(f"product {kind} {n_rows} {n_cols} {args.tokens.replace(',', ' ')}")
            except Failed as e:
                out.left_out(f"products of {kind}, {shape}", str(e))
                continue
            rows.append((kind, n_rows, n_cols, got[0], list(zip((int(n) for n in args.tokens.split(",")), got[1:]))))
    return rows


def main():
    args = options()
    budget = Budget(args.budget, args.started)
    gpu = None
    try:
        gpu = Runner("gpu", [os.path.join(args.programs, "gpu"), "serve"], budget)
        said = gpu.ask("device", 120)
        if "|" not in said:
            raise Failed(said)
        name, major, minor, sms, n_bytes, emulated = said.split("|")
        out = report.Report(emulated == "1")
        out.say("# gpu-bench\n")
        out.say(f"{name}, compute capability {major}.{minor}, {sms} multiprocessors, {int(n_bytes) / 1e9:.0f} GB; keys and values: {args.kv} (llama.cpp: f16)\n\n`{' '.join(sys.argv)}`\n")
        out.health("before", health(gpu))
        copy, peaks = gpu.numbers(f"copy {args.copy}")[0], gpu.numbers(f"peak {args.turns}")
    except (Failed, ValueError) as e:
        print(f"FAIL  no figure: {e}")
        if gpu:
            gpu.close()
        return 1
    out.ceilings(copy, peaks)
    where, mine = folder(args)
    models, rows = [], []
    try:
        for part in args.parts.split(","):
            if part == "products":
                rows = products(args, gpu, budget, out)
                if rows:
                    out.products(rows, copy, peaks)
                continue
            m = measure(args, gpu, part, where, budget, out)
            if m:
                models.append(m)
                out.model(m, peaks[1], m.where)
                out.health(f"after {m.name}", health(gpu))
    except Failed as e:
        out.left_out("all that follows", str(e))
    finally:
        gpu.close()
        if mine:
            shutil.rmtree(where, ignore_errors=True)
    out.goals(models)
    out.say(f"\n{args.budget - budget.left():.0f} s of {args.budget:.0f} s")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"device": name, "emulated": emulated == "1", "copy": copy, "peaks": peaks, "models": [vars(m) for m in models], "products": rows}, f)
    return 0


if __name__ == "__main__":
    sys.exit(main())
