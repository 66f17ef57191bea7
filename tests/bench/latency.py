#!/usr/bin/env python3
"""How long the event loop lets others wait while the engine has more to do than it can: GET /v1/models over one connection, 500
times a second, with the engine idle and while 16 streams decode on all CPUs; and how long a running stream waits for its next
piece when somebody else's long prompt comes.

usage: tests/bench/latency.py BUILD-DIR MODEL [SECONDS]
The gateway has one worker, the engine as many threads as there are CPUs. Beside the answers (`answer`) stand two timers under the same
load (tests/bench/loop_lag.c): `machine`, a thread with real-time priority, is what the virtual machine and the kernel take before
anybody runs; `ordinary`, a thread as an event loop is one, what it takes to get a CPU from the engine. The goal is a p99 of the answers
below 1 ms. `waits` is how long the loop's thread stood ready and had no CPU, of the time."""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from peers import Proxy, free_port

RATE, STREAMS, LONG_WORDS = 500, 16, 2500


def loop_thread(pid):
    """Time that the loop's thread ran and stood ready without a CPU, in seconds."""
    with open(f"/proc/{pid}/task/{LOOP}/schedstat", encoding="ascii") as f:
        ran, waited, _ = f.read().split()
    return int(ran) / 1e9, int(waited) / 1e9


def find_loop(pid, ask):
    """The thread that answers: it runs the longest while somebody asks and nothing else happens."""
    def ran():
        out = {}
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                out[task] = int(f.read().split()[0])
        return out
    before = ran()
    ask()
    after = ran()
    return max(after, key=lambda t: after[t] - before.get(t, 0))


def tokens(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as r:
        for line in r.read().decode().splitlines():
            if line.startswith("sluice_engine_completion_tokens_total"):
                return float(line.rsplit(" ", 1)[1])
    return 0.0


def lag(build, port, seconds):
    return json.loads(subprocess.run([build + "/tests/bench/loop_lag", str(seconds), str(RATE), str(port), "/v1/models"],
                                     check=True, capture_output=True).stdout)


def measure(what, build, pid, ports, seconds):
    t0, n0, (ran0, waited0) = time.time(), tokens(ports[1]), loop_thread(pid)
    got = lag(build, ports[0], seconds)
    took, n, (ran, waited) = time.time() - t0, tokens(ports[1]) - n0, loop_thread(pid)
    print(f"{what}: {n / took:.0f} tokens/s; the loop computes {(ran - ran0) / took * 100:.1f} %, waits {(waited - waited0) / took * 100:.2f} %"
          + ("" if got["realtime"] else "; no real-time priority: the prober's own delays are in the figures"))
    for kind in ("machine", "ordinary", "answer"):
        print(f"    {kind:9s}" + ", ".join(f"{k} {v / 1000:6.2f}" for k, v in got[kind].items()) + " ms", flush=True)


def ask(port, text, n, on_event):
    """One answer of n tokens at most, as a stream."""
    body = {"model": "here", "stream": True, "max_tokens": n, "temperature": 1, "messages": [{"role": "user", "content": text}]}
    req = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(req) as r:
        for line in r:
            if line.startswith(b"data:"):
                on_event()


def longest_gaps(port, with_prompt):
    """Times between a stream's events, the longest first, in ms; a long prompt comes when it has run for a while."""
    at = []
    other = threading.Thread(target=ask, args=(port, f"{time.time()} " + "the ship sails on " * (LONG_WORDS // 4), 1, lambda: None))

    def on_event():
        at.append(time.perf_counter())
        if with_prompt and len(at) == 30:
            other.start()
    ask(port, f"{time.time()}: tell me a long story about the sea.", 250, on_event)
    if other.ident:
        other.join()
    return sorted(((b - a) * 1000 for a, b in zip(at, at[1:])), reverse=True)


def main():
    global LOOP
    build, model, seconds = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 20
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/sluice.yaml", "w", encoding="utf-8") as f:
            f.write(f"""state_dir: {work}/state
listen: {{ gateway: 127.0.0.1:{ports[0]}, proxy: off, admin: 127.0.0.1:{ports[1]} }}
workers: 1
targets: {{ here: {{ kind: engine, model: '{model}', zone: process, max_seqs: {STREAMS} }} }}
routes: [{{ model: "*", to: here }}]
auth: {{ required: false }}
""")
        with open(f"{work}/body", "w", encoding="utf-8") as f:
            json.dump({"model": "here", "stream": True, "max_tokens": 400, "temperature": 1,
                       "messages": [{"role": "user", "content": "Tell me a long story about the sea."}]}, f)
        gateway = Proxy("sluice", ["taskset", "-c", f"0-{os.cpu_count() - 1}", build + "/sluice", "serve", "-c", f"{work}/sluice.yaml"], {"plain": ports[0]})
        LOOP = find_loop(gateway.p.pid, lambda: lag(build, ports[0], 1))
        measure("idle", build, gateway.p.pid, ports, seconds)
        load = subprocess.Popen([build + "/tests/bench/load", "--conns", str(STREAMS), "--until-eof", "--body", f"{work}/body", "127.0.0.1", str(ports[0]),
                                 "/v1/chat/completions"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(3)
        measure(f"{STREAMS} streams", build, gateway.p.pid, ports, seconds)
        load.kill()
        load.wait()
        time.sleep(1)
        for what, more in (("alone", False), (f"and a prompt of {LONG_WORDS} words", True)):
            gaps = longest_gaps(ports[0], more)
            print(f"one stream {what}: between its pieces p50 {gaps[len(gaps) // 2]:.1f}, longest " + ", ".join(f"{g:.1f}" for g in gaps[:3]) + " ms", flush=True)
        gateway.p.kill()
        gateway.p.wait()


main()
