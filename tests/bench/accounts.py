#!/usr/bin/env python3
"""What keys, limits and prices add to the CPU of a 1 KB request, microseconds.

usage: tests/bench/accounts.py BUILD-DIR [--times N] [--seconds S] [--markdown] [--dir DIR]

The difference is a few hundredths of what a request takes, and on a shared machine what a request takes drifts by more within a
second; what lies where in memory makes a difference of its own. So two gateways run at the same time on core 0 (mock provider and
load on core 1), each asked for the same number of requests a second, and both are started anew N times. Equal rates, because a wake-up
costs the more per request the fewer requests it brings; four fifths of the core, because a core that sleeps between requests is cold.
Governance is off in both but for keys, five limits (requests, tokens, cost, concurrency of user and target) and prices in `accounts`.
`off again` is a second `off` beside the first: what it adds is what this measurement takes for nothing. Printed are means over the
starts with their standard errors."""
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
TIMES, SECONDS, BUSY = int(arg("--times", "12")), float(arg("--seconds", "4")), 0.8
BOUND_US = 5
TEXT = "Our team met on Tuesday to review the plan for the next quarter. Sales asked for a shorter onboarding, support wants better search. "


def start(work, name, mock, transport):
    proxy = peers.sluice(BUILD, work, name.replace(" ", "-"), mock, transport, False, accounts=name.startswith("accounts"))
    return proxy


def start_load(work, transport, proxy, rate, seconds):
    """Its connections are open when this returns; it begins when it is told."""
    argv = ["taskset", "-c", str(peers.LOAD_CORE), BUILD + "/tests/bench/load", "--wait", "--conns", "32", "--rate", str(rate), "--seconds", str(seconds),
            "--body", f"{work}/body.json"] + (["--tls"] if transport == "tls" else [])
    for h in proxy.headers:
        argv += ["--header", h]
    p = subprocess.Popen(argv + ["127.0.0.1", str(proxy.ports[transport]), "/v1/chat/completions"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if p.stdout.readline() != "ready\n":
        sys.exit(f"{proxy.name}: the load did not start")
    return p


def together(work, transport, proxies, rate, seconds):
    """CPU of a request of each, microseconds, while all run."""
    loads = [start_load(work, transport, p, rate, seconds) for p in proxies]
    before = [peers.cpu(p.pids()) for p in proxies]
    for p in loads:
        p.stdin.write("go\n")
        p.stdin.flush()
    got = [json.loads(p.stdout.readline()) for p in loads]
    used = [peers.cpu(p.pids()) - b for p, b in zip(proxies, before)]
    for p in loads:
        p.communicate()
    for p, g in zip(proxies, got):
        if g["errors"] or not g["requests"]:
            sys.exit(f"{p.name}, {transport}: {g['errors']} of {g['requests']} answers were not 200")
    return [u / g["requests"] * 1e6 for u, g in zip(used, got)]


def added(work, mock, transport, other, times):
    """CPU of `off`, and what the other adds to it, once a start."""
    off, more = [], []
    for i in range(times):
        names = ("off", other) if i % 2 else (other, "off")
        proxies = []
        try:
            for name in names:
                proxies.append(start(work, f"{name} {transport} {other == 'accounts'} {i}", mock, transport))
            proxies.sort(key=lambda p: not p.name.startswith("off-" + transport))
            warm = together(work, transport, proxies, 0, 0.5)  # as fast as it goes
            rate = int(BUSY / sum(warm) * 1e6)
            a, b = together(work, transport, proxies, rate, SECONDS)
            off.append(a)
            more.append(b - a)
        finally:
            for p in proxies:
                p.stop()
    return off, more


def show(values):
    return f"{statistics.mean(values):+.1f} ± {statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0:.1f}"


def main():
    work = tempfile.mkdtemp(prefix="sluice-bench-", dir=arg("--dir", None))
    peers.certificates(work)
    mock = peers.Mock(BUILD, work, True)
    head = '{"model":"gpt-4o","messages":[{"role":"user","content":"'
    with open(f"{work}/body.json", "w") as f:
        f.write(head + (TEXT * 9)[:1024 - len(head) - 4] + '"}]}')
    began, lines = time.time(), []
    try:
        for transport in ("tls", "plain"):
            _, nothing = added(work, mock, transport, "off again", (TIMES + 1) // 2)
            off, more = added(work, mock, transport, "accounts", TIMES)
            lines.append(["TLS on both sides" if transport == "tls" else "without TLS", f"{statistics.median(off):.1f}", show(nothing), show(more),
                          "met" if statistics.mean(more) <= BOUND_US else "NOT met"])
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
    print(f"{TIMES} starts of {SECONDS:g} s, both gateways together on {100 * BUSY:.0f} % of a core; {time.time() - began:.0f} s in all")


main()
