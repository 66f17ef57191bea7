#!/usr/bin/env python3
"""What keys, limits and prices add to the CPU of a 1 KB request, microseconds.

usage: tests/bench/accounts.py BUILD-DIR [--times N] [--slices N] [--markdown] [--dir DIR]

The difference is a few hundredths of what a request takes, and on a shared machine what a request takes drifts by more within a
second; what lies where in memory makes a difference of its own. So the gateways take turns of an eighth of a second (closed loop, 32
connections, alone on core 0; mock provider and load on core 1), many times over, and all are started anew N times. `off` is there
twice: what the second adds to the first is what this measurement takes for nothing. Governance is off in all of them but for keys,
five limits (requests, tokens, cost, concurrency of user and target) and prices in `accounts`. Printed are means over the starts with
their standard errors."""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peers

BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
TIMES, SLICES, SLICE_S = int(arg("--times", "10")), int(arg("--slices", "20")), 0.12
BOUND_US, ROWS = 5, ("off", "off again", "accounts")
TEXT = "Our team met on Tuesday to review the plan for the next quarter. Sales asked for a shorter onboarding, support wants better search. "


def start_load(work, transport, proxy):
    """Its connections are open when this returns; it begins when it is told."""
    argv = ["taskset", "-c", str(peers.LOAD_CORE), BUILD + "/tests/bench/load", "--wait", "--conns", "32", "--seconds", str(SLICE_S),
            "--body", f"{work}/body.json"] + (["--tls"] if transport == "tls" else [])
    for h in proxy.headers:
        argv += ["--header", h]
    p = subprocess.Popen(argv + ["127.0.0.1", str(proxy.ports[transport]), "/v1/chat/completions"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "ready\n":
        sys.exit(f"{proxy.name}: the load did not start")
    return p


def turn(proxy, load):
    """One slice: CPU seconds and requests."""
    before = peers.cpu(proxy.pids())
    load.stdin.write("go\n")
    load.stdin.flush()
    got = json.loads(load.stdout.readline())
    if got["errors"] or not got["requests"]:
        sys.exit(f"{proxy.name}: {got['errors']} of {got['requests']} answers were not 200")
    return peers.cpu(proxy.pids()) - before, got["requests"]


def once(work, mock, transport, start):
    """CPU of a request by row, microseconds, of gateways that were just started."""
    rows, used, asked = {}, dict.fromkeys(ROWS, 0), dict.fromkeys(ROWS, 0)
    try:
        for row in ROWS[start % 3:] + ROWS[:start % 3]:
            rows[row] = peers.sluice(BUILD, work, f"{row.replace(' ', '-')}-{start}", mock, transport, False, accounts=row == "accounts")
        for i in range(SLICES + 1):
            loads = {row: start_load(work, transport, proxy) for row, proxy in rows.items()}
            for row in ROWS[i % 3:] + ROWS[:i % 3]:
                cpu, n = turn(rows[row], loads[row])
                if i != 0:  # the first warms up
                    used[row] += cpu
                    asked[row] += n
            for p in loads.values():
                p.communicate()
    finally:
        for proxy in rows.values():
            proxy.stop()
    return {row: used[row] / asked[row] * 1e6 for row in ROWS}


def main():
    work = tempfile.mkdtemp(prefix="sluice-bench-", dir=arg("--dir", None))
    peers.certificates(work)
    mock = peers.Mock(BUILD, work, True)
    head = '{"model":"gpt-4o","messages":[{"role":"user","content":"'
    with open(f"{work}/body.json", "w") as f:
        f.write(head + (TEXT * 9)[:1024 - len(head) - 4] + '"}]}')
    start, lines = time.time(), []
    try:
        for transport in ("tls", "plain"):
            got = [once(work, mock, transport, i) for i in range(TIMES)]
            line = ["TLS on both sides" if transport == "tls" else "without TLS", f"{statistics.median(g['off'] for g in got):.1f}"]
            for row in ROWS[1:]:
                added = [g[row] - g["off"] for g in got]
                line.append(f"{statistics.mean(added):+.1f} ± {statistics.stdev(added) / len(added) ** 0.5 if len(added) > 1 else 0:.1f}")
            lines.append(line + ["met" if statistics.mean(added) <= BOUND_US else "NOT met"])
    finally:
        mock.stop()
        shutil.rmtree(work, ignore_errors=True)
    head = ["CPU of a 1 KB request, µs", "off", "off again adds", "accounts add", f"<= {BOUND_US} µs"]
    if "--markdown" in sys.argv:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for line in lines:
            print("| " + " | ".join(line) + " |")
    else:
        for line in [head] + lines:
            print("  ".join(c.ljust(26) if i == 0 else c.rjust(15) for i, c in enumerate(line)))
    print(f"{TIMES} starts, {SLICES} slices of {SLICE_S:g} s each; {time.time() - start:.0f} s in all")


main()
