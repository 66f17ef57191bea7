#!/usr/bin/env python3
"""How long the event loop lets others wait while the engine has more to do than it can: GET /v1/models, 200 times a second over one
connection, idle and while 16 streams decode on all CPUs.

usage: tests/bench/latency.py BUILD-DIR MODEL [SECONDS]
The gateway has one worker, the engine as many threads as there are CPUs. The prober asks with a real-time priority where it may, so
that its own waiting for a CPU is not taken for the loop's. Prints p50, p99 and the largest in milliseconds; the goal is a p99
below 1."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from peers import Proxy, free_port

RATE, STREAMS = 200, 16


def probe(port, seconds):
    """Delays in ms of requests that are due at fixed times."""
    ask = f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    took = []
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = time.perf_counter()
        while len(took) < RATE * seconds:
            due += 1 / RATE
            time.sleep(max(0, due - time.perf_counter()))
            begin = time.perf_counter()
            s.sendall(ask)
            got = s.recv(65536)
            took.append((time.perf_counter() - begin) * 1000)
            if not got.startswith(b"HTTP/1.1 200"):
                sys.exit(got.decode(errors="replace"))
    took.sort()
    return took


def show(what, took):
    print(f"{what}: p50 {took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms, largest {took[-1]:.2f} ms, {len(took)} requests")


def main():
    build, model, seconds = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 10
    port = free_port()
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/sluice.yaml", "w", encoding="utf-8") as f:
            f.write(f"""state_dir: {work}/state
listen: {{ gateway: 127.0.0.1:{port}, proxy: off, admin: off }}
workers: 1
targets: {{ here: {{ kind: engine, model: '{model}', zone: process, max_seqs: {STREAMS} }} }}
routes: [{{ model: "*", to: here }}]
auth: {{ required: false }}
""")
        with open(f"{work}/body", "w", encoding="utf-8") as f:
            json.dump({"model": "here", "stream": True, "max_tokens": 400, "temperature": 1,
                       "messages": [{"role": "user", "content": "Tell me a long story about the sea."}]}, f)
        gateway = Proxy("sluice", ["taskset", "-c", f"0-{os.cpu_count() - 1}", build + "/sluice", "serve", "-c", f"{work}/sluice.yaml"], {"plain": port})
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except OSError:
            print("no real-time priority: the prober's own delays are in the figures")
        show("idle", probe(port, seconds))
        load = subprocess.Popen([build + "/tests/bench/load", "--conns", str(STREAMS), "--until-eof", "--body", f"{work}/body", "127.0.0.1", str(port),
                                 "/v1/chat/completions"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        time.sleep(3)
        show(f"{STREAMS} streams", probe(port, seconds))
        load.kill()
        load.wait()
        gateway.p.kill()
        gateway.p.wait()


main()
