#!/usr/bin/env python3
"""The gateway beside nginx and HAProxy, in one run.

usage: tests/bench/gateway.py BUILD-DIR [--cache DIR] [--seconds S] [--rounds N] [--quick] [--markdown] [--json FILE] [--dir DIR]

Each proxy alone on core 0, mock provider and load on core 1 (peers.py). Rounds go through all rows of a case one after the
other, so that drift of the machine meets all of them; medians are printed. The cases, with TLS on both sides and without:

  1 KB, 10 KB, 100 KB   closed loop, 64 connections: CPU per request, requests/s; 1 KB with 8 connections too
  stream                closed loop, 32 connections, answers of 64 events 4 ms apart: CPU per event
  delay                 31 streams a second with the proxy on the same core as mock and load, where no wake-up of an idle core
                        hides its own time: what an event, and the first event since the request, takes longer than directly
  rate                  1,000 requests/s, open loop: what a request takes longer than directly (without TLS)

Rows of Sluice: `off` has no keys, no policy, one rule that never matches, no access log; a gateway without audit cannot be
configured, so two records a request are written (`process`). `on` has keys, all rules, policy, access log. `on+answers` scans
answers too, `on, disk` syncs each decision before the request leaves. `accounts` is `off` with keys, limits and prices; what they
add is too little for this table's method (tests/bench/accounts.py). PEERS=1 adds LiteLLM, without TLS, governance off.

`foreign` is what other processes used of both cores meanwhile: above a few percent the figures say little."""
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peers

BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
QUICK, MARKDOWN = "--quick" in sys.argv, "--markdown" in sys.argv
SECONDS, ROUNDS = float(arg("--seconds", "0.2" if QUICK else "0.6")), int(arg("--rounds", "1" if QUICK else "3"))
CACHE = os.path.abspath(arg("--cache", os.path.join(peers.ROOT, "build", "cache")))
LIMIT_S = 290  # no further round that would end later
MODEL = os.path.join(peers.ROOT, "models", "all-minilm-l6-v2")
CHAT, EVENTS = "/v1/chat/completions", 64
TEXT = ("Our team met on Tuesday to review the plan for the next quarter. Sales asked for a shorter onboarding, support wants "
        "better search, and engineering would rather pay down debt first. Please write a summary of about ten sentences that a "
        "busy manager can read in a minute, list the three open questions, and suggest who should answer each of them. ")
# Case: connections, requests a second (0: as fast as it goes), proxy on the load's core, transports, whether it is run directly too.
CASES = {"1k": (64, 0, False, "tls plain", True), "1k c8": (8, 0, False, "tls plain", True), "10k": (64, 0, False, "tls plain", False),
         "100k": (64, 0, False, "tls plain", False), "stream": (32, 0, False, "tls plain", False), "delay": (32, 31, True, "tls plain", True),
         "rate": (64, 1000, False, "plain", True)}
# What the issue asks for: name, row, figure of the row over nginx', bound, and whether more is better.
GOALS = [("CPU a 1 KB request, governance off", "sluice off", ("1k", "cpu_us"), 2.1, False),
         ("CPU a 1 KB request, everything on", "sluice on", ("1k", "cpu_us"), 5.0, False),
         ("requests/s, 64 connections, off", "sluice off", ("1k", "rps"), 0.45, True),
         ("requests/s, 8 connections, off", "sluice off", ("1k c8", "rps"), 0.45, True),
         ("added delay of an event p50, off", "sluice off", ("delay", "added_event_p50_us"), 1.3, False),
         ("added delay of an event p50, on", "sluice on", ("delay", "added_event_p50_us"), 1.3, False),
         ("added delay of the first token p50, off", "sluice off", ("delay", "added_first_p50_us"), 1.5, False),
         ("added delay of the first token p50, on", "sluice on", ("delay", "added_first_p50_us"), 1.5, False)]


def body(size, model="gpt-4o", directive="", stream=False):
    b = {"model": model, "messages": [{"role": "user", "content": ""}]}
    text = directive + TEXT * (size // len(TEXT) + 1)
    b["messages"][0]["content"] = text[:size - len(json.dumps(b))]
    # The mock looks for this member as every SDK writes it.
    return json.dumps(b)[:-1] + (',"stream":true}' if stream else "}")


def all_cpu():
    f = open("/proc/stat").readline().split()[1:]
    return (sum(map(int, f)) - int(f[3]) - int(f[4])) / os.sysconf("SC_CLK_TCK")


def children_cpu():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


class Bench:
    def __init__(self, work):
        self.work, self.results, self.foreign = work, {}, []
        peers.certificates(work)
        self.mock, self.full = peers.Mock(BUILD, work, True), peers.Mock(BUILD, work, False)
        self.rows = {}  # name -> transport -> Proxy
        self.vectors = None  # a gateway with an embedding model
        for name, text in (("1k", body(1024)), ("10k", body(10240)), ("100k", body(102400)),
                           ("stream", body(1024, directive=f"[[mock words={EVENTS - 2} interval=4]] ", stream=True)),
                           ("across", body(1024, "claude-sonnet-4-5", "[[mock say=fox words=16]] ")),
                           ("vectors", json.dumps({"model": "all-minilm-l6-v2", "input": TEXT[:200]}))):
            with open(f"{work}/{name}.json", "w") as f:
                f.write(text)

    def start(self):
        for make in (peers.nginx, peers.haproxy):
            p = make(self.work, self.mock)
            self.rows[p.name] = {"tls": p, "plain": p}
        for name, on, durability, answers in (("sluice off", False, "process", False), ("sluice accounts", False, "process", False),
                                              ("sluice on", True, "process", False),
                                              ("sluice on+answers", True, "process", True), ("sluice on, disk", True, "disk", False)):
            self.rows[name] = {t: peers.sluice(BUILD, self.work, name.replace(" ", "-").replace(",", ""), self.mock, t, on, durability, answers,
                                               claude=self.full, accounts=name == "sluice accounts") for t in ("tls", "plain")}
        if os.path.isdir(MODEL):
            self.vectors = peers.sluice(BUILD, self.work, "vectors", self.mock, "plain", False, model=MODEL)
        if os.environ.get("PEERS", "0") == "1":
            self.rows["litellm"] = {"plain": peers.litellm(self.work, self.mock, CACHE)}

    def stop(self):
        started = {id(p): p for row in self.rows.values() for p in row.values()}
        for p in list(started.values()) + ([self.vectors] if self.vectors else []):
            p.stop()
        self.mock.stop()
        self.full.stop()

    def load(self, port, transport, file, headers, conns, rate, path, seconds, before, after):
        argv = ["taskset", "-c", str(peers.LOAD_CORE), BUILD + "/tests/bench/load", "--wait", "--conns", str(conns), "--seconds", str(seconds),
                "--body", f"{self.work}/{file}.json"]
        argv += (["--tls"] if transport == "tls" else []) + (["--rate", str(rate)] if rate else [])
        for h in headers:
            argv += ["--header", h]
        p = subprocess.Popen(argv + ["127.0.0.1", str(port), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if p.stdout.readline() == "ready\n":
            before()
            p.stdin.write("go\n")
            p.stdin.flush()
        line = p.stdout.readline()
        after()
        _, errors = p.communicate()
        return json.loads(line) if p.returncode == 0 else errors.strip()

    def measure(self, row, transport, case, file, conns, rate, same_core, path=CHAT):
        """One case on one row: its figures go to results. row "direct": no proxy."""
        proxy = self.vectors if row == "vectors" else self.rows[row][transport] if row != "direct" else None
        at = {}

        def sample(name):
            at[name] = {"own": peers.cpu(proxy.pids()) if proxy else 0, "mocks": peers.cpu([self.mock.p.pid, self.full.p.pid]), "all": all_cpu(),
                        "load": children_cpu(), "time": time.time()}

        # A stream takes a quarter of a second; of LiteLLM's and of a model's answers fewer fit into a time.
        seconds = max(SECONDS, {"stream": 0.5, "vectors": 1}.get(file, 4 if row == "litellm" else 0))
        if same_core and proxy:
            proxy.move(peers.LOAD_CORE)
        sample("start")
        got = self.load(proxy.ports[transport] if proxy else self.mock.ports[transport], transport, file, proxy.headers if proxy else [], conns, rate,
                        path, seconds, lambda: sample("go"), lambda: sample("end"))
        sample("exit")
        if same_core and proxy:
            proxy.move(peers.GATEWAY_CORE)
        if isinstance(got, str) or got["errors"]:
            if row == "litellm":  # the other rows are worth printing without it
                print(f"{row}, {transport}, {case}: {got if isinstance(got, str) else str(got['errors']) + ' answers were not 200'}", file=sys.stderr)
                return
            sys.exit(f"{row}, {transport}, {case}: {got if isinstance(got, str) else str(got['errors']) + ' answers were not 200'}")
        took = lambda a, b, what: at[b][what] - at[a][what]
        ours = sum(took("start", "exit", w) for w in ("own", "mocks", "load"))
        self.foreign.append(max(0, took("start", "exit", "all") - ours) / took("start", "exit", "time"))
        if not got["requests"]:
            return  # too short a case for a machine under load: no figure
        used = took("go", "end", "own")
        got["cpu_us"] = used / got["requests"] * 1e6
        got["busy"] = used / took("go", "end", "time")
        if got["events"]:
            got["cpu_event_us"] = used / got["events"] * 1e6
        for name, value in got.items():
            self.results.setdefault((row, transport, case, name), []).append(value)

    def round(self):
        for case, (conns, rate, same_core, transports, direct) in CASES.items():
            for transport in transports.split():
                file = {"1k c8": "1k", "rate": "1k", "delay": "stream"}.get(case, case)
                for row in (["direct"] if direct else []) + list(self.rows):
                    if row == "direct" or (transport in self.rows[row] and not (row == "litellm" and case in ("rate", "delay"))):
                        self.measure(row, transport, case, file, conns, rate, same_core)
        for row in ("sluice off", "sluice on"):
            self.measure(row, "plain", "across", "across", 64, 0, False)
        if self.vectors:
            self.measure("vectors", "plain", "vectors", "vectors", 8, 0, False, "/v1/embeddings")

    def figure(self, row, transport, case, name):
        """A median, or what was added to the direct one in the same round; None when it was not measured."""
        if name.startswith("added_"):
            got, direct = (self.results.get((r, transport, case, name[6:])) for r in (row, "direct"))
            return statistics.median(a - b for a, b in zip(got, direct)) if got and direct else None
        got = self.results.get((row, transport, case, name))
        return statistics.median(got) if got else None

    def ratio(self, row, transport, case, name):
        ours, base = self.figure(row, transport, case, name), self.figure("nginx", transport, case, name)
        # A negative addition is noise, and no base for a ratio.
        return ours / base if ours is not None and base is not None and base > 0 else None


def table(head, lines):
    if MARKDOWN:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for line in lines:
            print("| " + " | ".join(line) + " |")
    else:
        widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
        for line in [head] + lines:
            print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))))
    print()


def show(value, digits=0, unit=""):
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def report(b):
    title = {"tls": "TLS on both sides", "plain": "without TLS"}
    for t in ("tls", "plain"):
        rows = [r for r in b.rows if t in b.rows[r]]
        print(f"{'### ' if MARKDOWN else ''}CPU, {title[t]}" + ("\n" if MARKDOWN else ""))
        cells = [("1k", "cpu_us"), ("10k", "cpu_us"), ("100k", "cpu_us"), ("stream", "cpu_event_us")]
        lines = []
        for r in rows:
            line = [r]
            for case, name in cells:
                base = b.figure("nginx", t, "1k", "cpu_us") if case != "stream" else b.figure("nginx", t, "stream", "cpu_event_us")
                value = b.figure(r, t, case, name)
                line += [show(value, 1), show(value / base if value is not None else None, 2, "x")]
            lines.append(line)
        table(["", "1 KB µs", "/nginx 1 KB", "10 KB µs", "/nginx 1 KB", "100 KB µs", "/nginx 1 KB", "event µs", "/nginx event"], lines)
        print(f"{'### ' if MARKDOWN else ''}Requests/s and delays, {title[t]}" + ("\n" if MARKDOWN else ""))
        lines = []
        for r in ["direct"] + rows:
            line = [r]
            for case in ("1k c8", "1k"):
                share = b.ratio(r, t, case, "rps")
                line += [show(b.figure(r, t, case, "rps")), show(share and 100 * share, 0, " %")]
            line.append(show((b.figure(r, t, "1k", "busy") or 0) * 100, 0, " %") if r != "direct" else "-")
            for name in ("event_p50_us", "event_p99_us", "first_p50_us"):
                line.append(show(b.figure(r, t, "delay", "added_" + name) if r != "direct" else b.figure(r, t, "delay", name)))
            if t == "plain":
                for name in ("p50_us", "p99_us"):
                    line.append(show(b.figure(r, t, "rate", "added_" + name) if r != "direct" else b.figure(r, t, "rate", name)))
            lines.append(line)
        table(["", "c=8", "/nginx", "c=64", "/nginx", "core", "event +p50 µs", "+p99", "first +p50"] + (["1,000/s +p50", "+p99"] if t == "plain" else []), lines)
    print("`direct` rows hold what a request or an event takes without a proxy, the others what they add. core: of core 0 at c=64; below 95 % the\n"
          "mock and the load were the limit, not the proxy.\n")
    lines = [[r, show(b.rows[r]["plain"].idle_mb, 1), show(b.rows[r]["plain"].cold_ms)] for r in b.rows]
    table(["", "idle MB", "start ms"], lines)
    lines = []
    for r in ("sluice off", "sluice on"):
        cpu = b.figure(r, "plain", "across", "cpu_us")
        lines.append([f"{r}: chat client, Anthropic target, 1 KB", show(cpu, 1), show(cpu and cpu / b.figure("nginx", "plain", "1k", "cpu_us"), 2, "x"),
                      show(b.figure(r, "plain", "across", "rps"))])
    if b.vectors:
        lines.append(["sluice off: /v1/embeddings, local model, 200 characters", show(b.figure("vectors", "plain", "vectors", "cpu_us")), "-",
                      show(b.figure("vectors", "plain", "vectors", "rps"))])
    table(["without TLS", "CPU µs", "/nginx 1 KB", "requests/s"], lines)
    goals(b)


def goals(b):
    lines = []
    for name, row, (case, what), bound, more in GOALS:
        line = [name, f"{'>=' if more else '<='} {100 * bound:.0f} %" if more else f"<= {bound}x"]
        for t in ("tls", "plain"):
            got = b.ratio(row, t, case, what)
            if got is None:
                line.append("nginx' own figure is noise")
            else:
                line.append((f"{100 * got:.0f} %" if more else f"{got:.2f}x") + (" met" if (got >= bound if more else got <= bound) else " NOT met"))
        lines.append(line)
    table(["goal, of nginx' in this run", "bound", "TLS", "without TLS"], lines)


def main():
    work = tempfile.mkdtemp(prefix="sluice-bench-", dir=arg("--dir", None))
    start = time.time()
    b = Bench(work)
    done = 0
    try:
        b.start()
        for done in range(1, ROUNDS + 1):
            began = time.time()
            b.round()
            took = time.time() - began
            print(f"round {done} of {ROUNDS}: {took:.0f} s", file=sys.stderr)
            if time.time() + took > start + LIMIT_S and "--rounds" not in sys.argv and "litellm" not in b.rows:
                break
        report(b)
        foreign = f"median {100 * statistics.median(b.foreign):.0f} %, max {100 * max(b.foreign):.0f} % of a core"
        print(f"{done} rounds of {SECONDS:g} s a case, {time.time() - start:.0f} s in all; foreign CPU: {foreign}")
        if "--json" in sys.argv:
            with open(arg("--json", ""), "w") as f:
                json.dump({"|".join(k): v for k, v in b.results.items()}, f, indent=1)
    finally:
        b.stop()
        shutil.rmtree(work, ignore_errors=True)


main()
