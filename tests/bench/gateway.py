#!/usr/bin/env python3
"""The gateway beside nginx, in one run: tests/bench/gateway.py BUILD-DIR [--seconds S] [--rounds N] [--json FILE]

Each proxy runs alone on core 0 (one worker), the mock provider and the load on core 1. Rows: nginx forwarding; Sluice with
what can be off switched off (no keys, one rule, no access log; the audit record cannot be switched off and goes to the file,
`process`); Sluice with everything on, `process` and `disk`. Rounds alternate between the rows, medians are printed; `foreign`
is what other processes used of both cores meanwhile: above a few percent the figures say little."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
SECONDS, ROUNDS = float(arg("--seconds", "2")), int(arg("--rounds", "3"))
TICK = os.sysconf("SC_CLK_TCK")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
TEXT = ("Our team met on Tuesday to review the plan for the next quarter. Sales asked for a shorter onboarding, support wants "
        "better search, and engineering would rather pay down debt first. Please write a summary of about ten sentences that a "
        "busy manager can read in a minute, list the three open questions, and suggest who should answer each of them. ")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def body(size, stream=False):
    text = (TEXT * (size // len(TEXT) + 1))
    b = {"model": "gpt-4o", "stream": stream, "messages": [{"role": "user", "content": ""}]}
    b["messages"][0]["content"] = text[:size - len(json.dumps(b))]
    return json.dumps(b)


def tree(pid):
    out = [pid]
    for child in open(f"/proc/{pid}/task/{pid}/children").read().split():
        out += tree(int(child))
    return out


def cpu(pids):
    """User and system time of the processes, seconds."""
    total = 0
    for p in pids:
        f = open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()
        total += int(f[11]) + int(f[12])
    return total / TICK


def memory_kb(pids):
    return sum(int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{p}/smaps_rollup").read(), re.M)[1]) for p in pids)


def all_cpu():
    f = open("/proc/stat").readline().split()[1:]
    return (sum(map(int, f)) - int(f[3]) - int(f[4])) / TICK


class Proxy:
    def __init__(self, name, argv, port, headers=()):
        self.name, self.port, self.headers = name, port, headers
        start = time.time()
        self.p = subprocess.Popen(["taskset", "-c", "0", *argv], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if self.p.poll() is not None or time.time() - start > 20:
                    sys.exit(f"{name} did not start: {argv}")
                time.sleep(0.002)
        self.cold_ms = (time.time() - start) * 1000
        time.sleep(0.3)
        self.idle_kb = memory_kb(tree(self.p.pid))

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        self.p.wait(20)


def load(port, path, file, headers, conns, rate=0):
    argv = ["taskset", "-c", "1", BUILD + "/tests/bench/load", "--conns", str(conns), "--seconds", str(SECONDS), "--body", file]
    if rate:
        argv += ["--rate", str(rate)]
    for h in headers:
        argv += ["--header", h]
    r = subprocess.run(argv + ["127.0.0.1", str(port), path], capture_output=True, text=True)
    if r.returncode != 0:
        sys.exit("load: " + r.stderr)
    return json.loads(r.stdout)


def config(work, name, port, mock, on, durability):
    path = f"{work}/{name}.yaml"
    with open(f"{work}/key", "w") as f:
        f.write("sk-bench\n")
    os.chmod(f"{work}/key", 0o600)
    rules = "" if on else f"\ndlp: {{ rules: ['{work}/one.yaml'] }}"
    with open(f"{work}/one.yaml", "w") as f:
        f.write("- { id: none, title: Nothing, class: secret, severity: low, confidence: 50,\n    pattern: 'zqxjkvbzqxjkvb[0-9]+', match: ['zqxjkvbzqxjkvb1'], no_match: ['x'] }\n")
    with open(path, "w") as f:
        f.write(f"""state_dir: {work}/{name}
listen: {{ gateway: 127.0.0.1:{port}, proxy: off, admin: off }}
workers: 1
targets: {{ up: {{ kind: openai, base_url: http://127.0.0.1:{mock}/v1, key: file:{work}/key, zone: approved }} }}
routes: [{{ model: "*", to: up }}]
policy: {'[{ name: secrets, when: { class: secret }, then: redact }, { name: pii, when: { class: [pii, financial] }, then: tokenize }]' if on else '[]'}
auth: {{ required: {'true' if on else 'false'} }}
audit: {{ durability: {durability} }}
log: {{ access: {'true' if on else 'false'} }}{rules}
""")
    return path


def main():
    work = tempfile.mkdtemp(prefix="sluice-bench-", dir=arg("--dir", None))
    mock = subprocess.Popen(["taskset", "-c", "1", BUILD + "/mock-provider", "--bench"], stdout=subprocess.PIPE, text=True)
    mport = int(re.findall(r"http=(\d+)", mock.stdout.readline())[0])
    proxies = []
    try:
        nport = free_port()
        with open(f"{work}/nginx.conf", "w") as f:
            f.write(f"""daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_buffer_size 256k; client_body_temp_path {work}; proxy_temp_path {work};
  fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};
  upstream up {{ server 127.0.0.1:{mport}; keepalive 256; }}
  server {{ listen 127.0.0.1:{nport}; keepalive_requests 100000000; location / {{ proxy_pass http://up; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}""")
        proxies.append(Proxy("nginx", [NGINX, "-c", f"{work}/nginx.conf"], nport))
        for name, on, durability in (("sluice-off", False, "process"), ("sluice-on", True, "process"), ("sluice-on-disk", True, "disk")):
            port = free_port()
            path = config(work, name, port, mport, on, durability)
            headers = []
            if on:
                out = subprocess.run([BUILD + "/sluice", "keys", "create", "-c", path, "--name", "bench"], capture_output=True, text=True).stdout
                headers = ["Authorization: Bearer " + re.search(r"slk_\w+", out)[0]]
            proxies.append(Proxy(name, [BUILD + "/sluice", "serve", "-c", path], port, headers))
        for size, stream, name in ((1024, False, "1k"), (10240, False, "10k"), (102400, False, "100k"), (1024, True, "sse")):
            with open(f"{work}/{name}.json", "w") as f:
                f.write(body(size, stream))
        rows = {p.name: {"idle_mb": p.idle_kb / 1024, "cold_start_ms": p.cold_ms} for p in proxies}
        rows["direct"] = {}
        results = {}
        foreign = []
        path = "/v1/chat/completions"
        for _ in range(ROUNDS):
            for case in ("1k", "10k", "100k", "sse"):
                for p in proxies:
                    pids, c0, a0, t0 = tree(p.p.pid), cpu(tree(p.p.pid)), all_cpu(), time.time()
                    m0 = cpu([mock.pid])
                    u0 = resource.getrusage(resource.RUSAGE_CHILDREN)
                    r = load(p.port, path, f"{work}/{case}.json", p.headers, 32)
                    u1 = resource.getrusage(resource.RUSAGE_CHILDREN)
                    used = cpu(pids) - c0
                    ours = used + cpu([mock.pid]) - m0 + u1.ru_utime + u1.ru_stime - u0.ru_utime - u0.ru_stime
                    foreign.append(max(0, all_cpu() - a0 - ours) / (time.time() - t0))
                    if r["errors"]:
                        sys.exit(f"{p.name} {case}: {r['errors']} answers were not 200")
                    results.setdefault((p.name, case, "cpu_us"), []).append(used / r["requests"] * 1e6)
                    results.setdefault((p.name, case, "rps"), []).append(r["rps"])
            base = load(mport, path, f"{work}/1k.json", (), 32, 1000)
            for p in proxies:
                r = load(p.port, path, f"{work}/1k.json", p.headers, 32, 1000)
                results.setdefault((p.name, "1000/s", "added_p50_us"), []).append(r["p50_us"] - base["p50_us"])
                results.setdefault((p.name, "1000/s", "added_p99_us"), []).append(r["p99_us"] - base["p99_us"])
        med = {k: statistics.median(v) for k, v in results.items()}
        print(f"{'':16}{'cpu us/request':>40}   {'requests/s':>32}   {'added at 1000/s, us':>22}  {'idle':>7} {'start':>7}")
        print(f"{'':16}" + "".join(f"{c:>10}" for c in ("1k", "10k", "100k", "sse")) + "   " +
              "".join(f"{c:>8}" for c in ("1k", "10k", "100k", "sse")) + f"   {'p50':>11}{'p99':>11}  {'MB':>7} {'ms':>7}")
        for p in proxies:
            n = p.name
            print(f"{n:16}" + "".join(f"{med[(n, c, 'cpu_us')]:10.1f}" for c in ("1k", "10k", "100k", "sse")) + "   " +
                  "".join(f"{med[(n, c, 'rps')]:8.0f}" for c in ("1k", "10k", "100k", "sse")) +
                  f"   {med[(n, '1000/s', 'added_p50_us')]:11.0f}{med[(n, '1000/s', 'added_p99_us')]:11.0f}"
                  f"  {rows[n]['idle_mb']:7.1f} {rows[n]['cold_start_ms']:7.0f}")
        for p in proxies[1:]:
            n = p.name
            print(f"{n} / nginx: cpu 1k {med[(n, '1k', 'cpu_us')] / med[('nginx', '1k', 'cpu_us')]:.1f}x, "
                  f"10k {med[(n, '10k', 'cpu_us')] / med[('nginx', '10k', 'cpu_us')]:.1f}x, "
                  f"100k {med[(n, '100k', 'cpu_us')] / med[('nginx', '100k', 'cpu_us')]:.1f}x, "
                  f"sse {med[(n, 'sse', 'cpu_us')] / med[('nginx', 'sse', 'cpu_us')]:.1f}x, "
                  f"added p50 {med[(n, '1000/s', 'added_p50_us')] / max(1, med[('nginx', '1000/s', 'added_p50_us')]):.1f}x")
        print(f"{ROUNDS} rounds of {SECONDS:g} s; foreign cpu: median {100 * statistics.median(foreign):.0f} %, max {100 * max(foreign):.0f} % of a core")
        if "--json" in sys.argv:
            with open(arg("--json", ""), "w") as f:
                json.dump({"|".join(k): v for k, v in results.items()}, f, indent=1)
    finally:
        for p in proxies:
            p.stop()
        mock.kill()
        mock.wait()
        shutil.rmtree(work, ignore_errors=True)


main()
