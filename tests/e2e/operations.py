#!/usr/bin/env python3
"""What operators do with a gateway that runs: reload it under load, renew its certificate, change rules, let it drain.

usage: tests/e2e/operations.py BUILD-DIR CACHE-DIR MODEL [RELOADS]   (or from parts.py); `make test-long` gives more reloads"""
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from world import BUILD, MODEL, SECRET, check, count, finish, free_port, leave, skip, wait_for

CLIENTS, STREAMS, STREAM_WORDS = 8, 3, 40
# Sanitizers keep what was freed for a while, and the model is slow in them.
SANITIZED = any(word in os.path.basename(BUILD) for word in ("address", "thread"))


def read_link(path):
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""


class Gateway:
    """A gateway and two providers; the configuration says which of them is used, and all else differs too."""

    def __init__(self, work):
        self.dir, self.port, self.admin, self.proc = work, free_port(), free_port(), None
        self.mocks = []
        for name in ("a", "b"):
            proc = subprocess.Popen([BUILD + "/mock-provider", "--log", self.path(f"mock-{name}.log")], stdout=subprocess.PIPE, text=True)
            self.mocks.append((proc, int(re.search(r"=(\d+)", proc.stdout.readline())[1])))
        for name in ("one", "two"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3",
                            "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.path(name + ".key"),
                            "-out", self.path(name + ".pem")], check=True, capture_output=True)
        self.use_certificate("one")

    def path(self, name):
        return os.path.join(self.dir, name)

    def use_certificate(self, name):
        for kind in ("pem", "key"):
            shutil.copy(self.path(f"{name}.{kind}"), self.path("tls.new"))
            os.replace(self.path("tls.new"), self.path("tls." + kind))

    def config(self, which, extra="", tls=False):
        name, line, action = (("alpha", "line-a", "redact"), ("beta", "line-b", "mask"))[which]
        spare = "  spare: { kind: openai, base_url: http://127.0.0.1:9/v1, zone: private, models: [none] }\n" if which else ""
        cert = f", tls: {{ cert: {self.path('tls.pem')}, key: {self.path('tls.key')} }}" if tls else ""
        text = f"""state_dir: {self.path('state')}
core_dumps: true   # the test reads /proc/PID/fd
listen: {{ gateway: 127.0.0.1:{self.port}, proxy: off, admin: 127.0.0.1:{self.admin}{cert} }}
workers: 2
auth: {{ required: false }}
targets:
{spare}  {name}: {{ kind: openai, base_url: http://127.0.0.1:{self.mocks[which][1]}/v1, zone: private }}
  local: {{ kind: engine, model: {MODEL}, zone: process, max_context: 512 }}
routes: [{{ model: "local", to: local }}, {{ model: "*", to: {name} }}]
aliases: {{ asked: model-{name} }}
policy: [{{ name: {line}, when: {{ class: secret }}, then: {action} }}]
audit: {{ durability: process }}
log: {{ format: json }}
{extra}"""
        with open(self.path("new.yaml"), "w") as f:
            f.write(text)
        os.replace(self.path("new.yaml"), self.path("sluice.yaml"))

    def start(self):
        self.log = open(self.path("gateway.log"), "a")
        self.proc = subprocess.Popen([BUILD + "/sluice", "serve", "-c", self.path("sluice.yaml")], stdout=self.log, stderr=self.log)
        wait_for("ready", lambda: self.get("/readyz")[0] == 200 or self.proc.poll() is not None, 60)
        out = subprocess.run([BUILD + "/sluice", "keys", "create", "-c", self.path("sluice.yaml"), "--name", "op", "--role", "operator"],
                             capture_output=True, text=True)
        found = re.search(r"sla_[0-9A-Za-z]{43}", out.stdout)
        self.key = found[0] if check(found, "an operator's key is made", out.stdout + out.stderr) else ""

    def get(self, path, method="GET", headers=None):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30)
            c.request(method, path, headers=headers or {})
            r = c.getresponse()
            return r.status, r.read().decode(), r.getheader("Content-Type")
        except OSError as e:
            return 0, str(e), ""

    def reload(self):
        status, body, _ = self.get("/api/reload", "POST", {"Authorization": "Bearer " + self.key})
        return status, json.loads(body) if body.startswith("{") else {"problems": [body]}

    def reloads(self):
        return int(re.search(r'sluice_config_reloads_total\{result="ok"\} (\d+)', self.get("/metrics")[1])[1])

    def events(self, name):
        with open(self.path("gateway.log")) as f:
            return [e for e in (json.loads(line) for line in f if line.startswith("{")) if e["event"] == name]

    def records(self, code):
        out = subprocess.run([BUILD + "/sluice", "audit", "tail", "--spool", self.path("state/spool"), "--json", "-n", "0"],
                             capture_output=True, text=True).stdout
        return [r for r in (json.loads(line) for line in out.splitlines()) if r["metadata"]["event_code"] == code]

    def usage(self):
        """Resident bytes, and descriptors but for the spool's segments, which come with the records."""
        folder = f"/proc/{self.proc.pid}/fd/"
        with open(f"/proc/{self.proc.pid}/statm") as f:
            rss = int(f.read().split()[1]) * 4096
        return rss, len([n for n in os.listdir(folder) if "/spool/" not in read_link(folder + n)])

    def end(self):
        for p in [self.proc] + [m[0] for m in self.mocks]:
            if p is not None and p.poll() is None:
                p.kill()
                p.wait()


def body_of(stream, model="asked"):
    play = f"[[mock words={STREAM_WORDS} interval=10]]" if stream else "[[mock say=fox]]"
    return json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": f"my key is {SECRET} {play}"}]})


class Load:
    """Clients that keep their connections, and open streams, until they are told to stop."""

    def __init__(self, g):
        self.g, self.stop, self.lock = g, threading.Event(), threading.Lock()
        self.failed, self.mixed, self.seen, self.ids = [], [], {"alpha": 0, "beta": 0}, {}
        self.threads = [threading.Thread(target=self.client, args=(i >= CLIENTS,)) for i in range(CLIENTS + STREAMS)]
        [t.start() for t in self.threads]

    def client(self, stream):
        c = http.client.HTTPConnection("127.0.0.1", self.g.port, timeout=60)
        while not self.stop.is_set():
            try:
                c.request("POST", "/v1/chat/completions", body_of(stream), {"Content-Type": "application/json"})
                r = c.getresponse()
                self.judge(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read(), stream)
            except (OSError, http.client.HTTPException) as e:
                self.failed.append(repr(e))
                c.close()

    def judge(self, status, h, body, stream):
        route, action = h.get("x-sluice-route"), h.get("x-sluice-action")
        if status != 200 or (stream and b"data: [DONE]" not in body):
            self.failed.append((status, body[-200:]))
        elif (route, action) not in (("alpha", "redact"), ("beta", "mask")) or b"model-" + route.encode() not in body:
            self.mixed.append((h, body[:300]))
        else:
            with self.lock:
                self.seen[route] += 1
                self.ids[h["x-sluice-request-id"]] = route

    def end(self):
        self.stop.set()
        [t.join() for t in self.threads]


def test_reloads_under_load(g, n):
    g.config(0)
    g.start()
    digests, idle = {}, g.usage()
    load = Load(g)
    time.sleep(0.5)
    first = None
    for i in range(1, n + 1):
        g.config(i & 1)
        if i % 5 == 0:
            before = g.reloads()
            g.proc.send_signal(signal.SIGHUP)
            wait_for("SIGHUP reloads", lambda: g.reloads() > before, 20, 0.005)
        else:
            status, r = g.reload()
            if not check(status == 200 and r["result"] == "ok", f"reload {i}", r):
                break
            digests["beta" if i & 1 else "alpha"] = r["now"]["config"]
        if i == n // 4:
            first = g.usage()
    last = g.usage()
    load.end()
    g.config(0)
    g.reload()  # closes what waits for requests
    total = sum(load.seen.values())
    check(not load.failed, f"no request of {total} failed in {n} reloads", load.failed[:3])
    check(not load.mixed, "no answer is of two configurations", load.mixed[:2])
    check(min(load.seen.values()) > 10, "both configurations answered", load.seen)
    check(SANITIZED or last[0] < first[0] + (8 << 20), f"resident memory does not grow: {first[0] >> 10} to {last[0] >> 10} KiB")
    wait_for("no descriptor is left behind", lambda: g.usage()[1] <= idle[1], 5)
    check(len(g.events("model_loaded")) == 1, "the model was loaded once", len(g.events("model_loaded")))
    wrong = [r for r in g.records("ai.request.decided") if r["metadata"]["correlation_uid"] in load.ids and (
        r["unmapped"]["sluice"]["target"] != load.ids[r["metadata"]["correlation_uid"]] or
        r["unmapped"]["sluice"]["config_digest"] != digests[r["unmapped"]["sluice"]["target"]] or
        r["policy"]["name"] != {"alpha": "line-a", "beta": "line-b"}[r["unmapped"]["sluice"]["target"]])]
    check(not wrong, "each record is of the configuration that answered", wrong[:1])
    by = {r["unmapped"]["sluice"]["by"] for r in g.records("sluice.reloaded")}
    check("SIGHUP" in by and any(b.startswith("admin:op") for b in by), "records say who reloaded", by)
    print(f"  {n} reloads beside {total} answers, RSS {first[0] >> 20} -> {last[0] >> 20} MiB, descriptors {idle[1]} -> {g.usage()[1]}")


def test_rules_under_load(g):
    """Own rules beside the built-in ones change under load: in force with the reload, no request fails, a broken file is
    refused, and native matchers take over while requests run."""
    own, load = g.path("own.yaml"), Load(g)
    extra = f"dlp: {{ rules: [builtin, {own}] }}\n"
    native = shutil.which("re2c") and shutil.which("cc")

    def rule(word, tail=""):
        with open(own, "w") as f:
            f.write(f"- id: own-word\n  title: Own\n  class: secret\n  severity: high\n  pattern: '{word}-[0-9]{{4}}'\n"
                    f"  confidence: 90\n  match: ['see {word}-1234']\n{tail}")

    def found(word):
        c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=30)
        body = json.dumps({"model": "asked", "messages": [{"role": "user", "content": f"see {word}-1234 [[mock say=fox]]"}]})
        c.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        return r.getheader("x-sluice-findings") == "1"

    for word, gone in (("ZEBRA", "GIRAFFE"), ("GIRAFFE", "ZEBRA")):
        rule(word)
        g.config(0, extra=extra)
        status, r = g.reload()
        check(status == 200, "own rules are taken", r)
        check(found(word) and not found(gone), f"{word} is found at once, {gone} is not")
        if native:
            wait_for("native matchers take over", lambda: "sluice_rules_interpreted_patterns 0" in g.get("/metrics")[1], 30)
            check(found(word) and not found(gone), "and find the same")
    rule("ZEBRA", "  no_such_key: 1\n")
    status, r = g.reload()
    check(status == 422 and any("own.yaml:" in p for p in r["problems"]), "a broken rule file is refused with its place", r)
    rule("ZEBRA", "  no_match: ['ZEBRA-9999']\n")
    status, r = g.reload()
    check(status == 422 and any("no_match" in p for p in r["problems"]), "so is one whose example is wrong", r)
    check(found("GIRAFFE"), "the last good rules go on")
    load.end()
    check(not load.failed and load.seen["alpha"] > 10, f"no request of {load.seen['alpha']} failed beside it", load.failed[:3])
    g.config(0)
    check(g.reload()[0] == 200, "back to the built-in rules")


def test_refusals(g):
    g.config(0, extra="limits: { max_bdy: 1 }\n")
    status, r = g.reload()
    check(status == 422 and r["result"] == "refused" and any("sluice.yaml:" in p and "max_bdy" in p for p in r["problems"]),
          "a wrong key is refused with file and line", r)
    g.config(0, extra="workers: 3\n".replace("workers: 3\n", "instance: other\n"))
    status, r = g.reload()
    check(status == 422 and any("instance cannot change while the gateway runs" in p for p in r["problems"]),
          "what needs a restart is refused by name", r)
    status, body, _ = g.get("/api/reload", headers={"Authorization": "Bearer " + g.key})
    check(status == 200 and json.loads(body)["result"] == "refused", "the last result can be read", body)
    check(g.get("/api/reload", "POST")[0] == 401, "nobody reloads without a key")
    check("sluice_config_last_reload_ok 0" in g.get("/metrics")[1], "the metrics say so")
    kind = g.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    check(kind[2].startswith("application/openmetrics-text") and kind[1].endswith("# EOF\n"), "OpenMetrics is given when asked", kind[2])
    g.config(0)
    check(g.reload()[0] == 200, "and the right one is taken again")


def subject(g):
    ctx = ssl.create_default_context()
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", g.port), timeout=10) as s, ctx.wrap_socket(s, server_hostname="localhost") as t:
        pem = ssl.DER_cert_to_PEM_cert(t.getpeercert(True))
    out = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, text=True)
    return out.stdout.strip()


def test_certificate(g):
    g.config(0, tls=True)
    check(g.reload()[0] == 200 and subject(g).endswith("one"), "TLS on the gateway port begins with a reload")
    ctx = ssl.create_default_context(cafile=g.path("one.pem"))
    c = http.client.HTTPSConnection("localhost", g.port, timeout=20, context=ctx)
    ask = lambda: (c.request("POST", "/v1/chat/completions", body_of(False), {"Content-Type": "application/json"}), c.getresponse().read())
    ask()
    g.use_certificate("two")
    check(g.reload()[0] == 200 and subject(g).endswith("two"), "a renewed certificate is shown after a reload")
    check(b"model-alpha" in ask()[1], "a connection of before goes on")
    c.close()
    shutil.copy(g.path("one.key"), g.path("tls.key"))
    status, r = g.reload()
    check(status == 422 and subject(g).endswith("two"), "a key that does not belong to the certificate is refused", r)
    g.use_certificate("two")
    g.config(0)
    check(g.reload()[0] == 200, "TLS ends with a reload")


def test_model_goes_on(g):
    """A stream of the model in this process lives through reloads, also through one that takes its target away."""
    out = []

    def stream():
        c = http.client.HTTPConnection("127.0.0.1", g.port, timeout=120)
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "local", "stream": True, "max_tokens": 4 if SANITIZED else 48, "messages": [
            {"role": "user", "content": "Tell me a long story about a fox."}]}), {"Content-Type": "application/json"})
        r = c.getresponse()
        out.append((r.status, r.read()))
    t = threading.Thread(target=stream)
    t.start()
    wait_for("the model runs", lambda: re.search(r"sluice_requests_active [1-9]", g.get("/metrics")[1]), 20, 0.005)
    for i in range(4):
        g.config(i & 1)
        check(g.reload()[0] == 200, "a reload beside a stream of the model")
    t.join()
    check(out and out[0][0] == 200 and b"data: [DONE]" in out[0][1], "the model's stream came to its end", out)


class Server(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the status that its server has, and remembers the credentials."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args):
        pass


def serve(status, cert=None):
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    s.status, s.seen = status, []
    if cert:
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(cert + ".pem", cert + ".key")
        s.socket = ctx.wrap_socket(s.socket, server_side=True)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s


def test_probe(g):
    good, refusing, tls = serve(200), serve(401), serve(200, g.path("one"))
    port = lambda s: s.server_address[1]
    secret = "sk-" + "probe-key-of-the-test"
    with open(g.path("p.key"), "w") as f:
        f.write(secret + "\n")
    os.chmod(g.path("p.key"), 0o600)
    key, ca = f"key: file:{g.path('p.key')}", f"ca: {g.path('one.pem')}"
    with open(g.path("probe.yaml"), "w") as f:
        f.write(f"""state_dir: {g.path('probe-state')}
listen: {{ gateway: 127.0.0.1:0, proxy: off, admin: off, tls: {{ cert: {g.path('one.pem')}, key: {g.path('one.key')} }} }}
targets:
  good: {{ kind: openai, base_url: http://127.0.0.1:{port(good)}/v1, zone: private, {key} }}
  keyless: {{ kind: openai, base_url: http://127.0.0.1:{port(refusing)}/v1, zone: private }}
  refused: {{ kind: openai, base_url: http://127.0.0.1:{port(refusing)}/v1, zone: private, {key} }}
  tls: {{ kind: openai, base_url: "https://localhost:{port(tls)}/v1", zone: private, {ca} }}
  othername: {{ kind: openai, base_url: "https://127.0.0.1:{port(tls)}/v1", zone: private, {ca} }}
  untrusted: {{ kind: openai, base_url: "https://localhost:{port(tls)}/v1", zone: private }}
  notls: {{ kind: openai, base_url: "https://localhost:{port(good)}/v1", zone: private }}
  nobody: {{ kind: openai, base_url: http://127.0.0.1:9/v1, zone: private }}
  nowhere: {{ kind: openai, base_url: http://nowhere.invalid/v1, zone: private }}
""")
    run = lambda *a: subprocess.run([BUILD + "/sluice", "serve", "-c", g.path("probe.yaml"), "--check", "--probe", *a],
                                    capture_output=True, text=True)
    r = run("--json")
    rows = {p["what"]: p for p in json.loads(r.stdout)["probes"]} if r.stdout.startswith("{") else {}
    check(r.returncode == 1 and rows, "a probe that fails ends with 1", r.stdout + r.stderr)
    for what, state, words in (
            ("targets.good", "ok", "the key is accepted"), ("targets.keyless", "failed", "wants a key"),
            ("targets.refused", "failed", "the key is refused"), ("targets.tls", "warning", "ends soon"),
            ("targets.othername", "failed", "not for 127.0.0.1"), ("targets.untrusted", "failed", "targets.untrusted.ca"),
            ("targets.notls", "failed", "no TLS at that port"), ("targets.nobody", "failed", "nothing answers"),
            ("targets.nowhere", "failed", "no address"), ("listen.tls", "warning", ""), ("targets.tls.ca", "warning", "ends in"),
            ("state_dir", "ok", "free"), ("audit.spool", ("ok", "warning"), "sync"), ("auth.keys", "warning", "keys create")):
        row = rows.get(what, {})
        check(row.get("state") in (state if isinstance(state, tuple) else (state,)) and words in json.dumps(row),
              f"the probe of {what} says {state}", row)
    check(good.seen == [("/v1/models", "Bearer " + secret)], "one cheap call with the key", good.seen)
    check(secret not in r.stdout + r.stderr, "no key is printed")
    text = run()
    check(text.returncode == 1 and "-> the key is refused" in text.stdout and "\x1b" not in text.stdout, "the table has a remedy", text.stdout)
    [s.shutdown() for s in (good, refusing, tls)]


def test_drain(g):
    g.config(0, extra="drain_delay: 4s\ndrain: 60s\n")
    check(g.reload()[0] == 200, "drain_delay is reloaded")
    out, c = [], http.client.HTTPConnection("127.0.0.1", g.port, timeout=30)

    def stream():
        s = http.client.HTTPConnection("127.0.0.1", g.port, timeout=60)
        s.request("POST", "/v1/chat/completions", body_of(True).replace("interval=10", "interval=160"), {"Content-Type": "application/json"})
        r = s.getresponse()
        out.append((r.status, r.read()))

    def ask():
        c.request("POST", "/v1/chat/completions", body_of(False), {"Content-Type": "application/json"})
        r = c.getresponse()
        r.read()
        return r
    ask()
    t = threading.Thread(target=stream)
    t.start()
    wait_for("the stream runs", lambda: re.search(r"^sluice_requests_active [1-9]", g.get("/metrics")[1], re.M))
    g.proc.send_signal(signal.SIGTERM)
    began = time.time()
    wait_for("not ready at once", lambda: g.get("/readyz")[0] == 503)
    try:
        r = ask()
        check(r.status == 200 and r.getheader("Connection") == "close", "served before draining begins, and the connection ends",
              (r.status, r.getheader("Connection")))
    except (OSError, http.client.HTTPException) as e:
        if check(time.time() - began >= 3.5, "served before draining begins", repr(e)):
            skip("the machine stood still for all of drain_delay: nothing was asked before draining began")

    def refused():
        try:
            socket.create_connection(("127.0.0.1", g.port), timeout=30).close()
        except OSError:
            return True
    wait_for("no new connections while it drains", refused)
    check(time.time() - began >= 3.9, "and not before", time.time() - began)
    t.join()
    check(out and out[0][0] == 200 and b"data: [DONE]" in out[0][1], "a stream ends within the drain time", out)
    check(g.proc.wait(120) == 0, "then it exits with 0")


def main(reloads=100):
    work = tempfile.mkdtemp(prefix="sluice-ops-")
    g, began, failed = Gateway(work), time.time(), count["failed"]
    try:
        test_reloads_under_load(g, reloads)
        test_rules_under_load(g)
        test_refusals(g)
        test_certificate(g)
        test_model_goes_on(g)
        test_probe(g)
        test_drain(g)
        with open(g.path("gateway.log")) as f:
            log = f.read()
        check(SECRET not in log, "no planted value in the log")
        bad = [line for line in log.splitlines() if not line.startswith("{")]
        check(not bad, "each line of the log is JSON", bad[:3])
    finally:
        g.end()
        leave(work, failed)
    print(f"operations: {time.time() - began:.1f} s")


if __name__ == "__main__":
    main(int(sys.argv[4]) if len(sys.argv) > 4 else 100)
    finish()
