#!/usr/bin/env python3
"""End to end: the real binary, the real SDKs, a real model, a real Kafka broker, a mock provider over TLS.

usage: tests/e2e/run.py BUILD-DIR CACHE-DIR MODEL [--quick | --threads]
Ends with the line "N passed, N failed, N skipped". Everything runs on loopback, in a folder of its own, and is stopped by
pid. --quick leaves out the SDKs and Kafka (sanitizer builds); --threads also what no second thread takes part in (ThreadSanitizer).
parts.py has what makes worlds of its own."""
import collections
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import auditor
import local_formats
import local_tools
from suites import compare, run_across, run_all, run_sdk, set_up
from world import BUILD, MAIL, PATIENCE, PHI, ROOT, SECRET, World, check, skip, wait_for, whole_test

THREADS = "--threads" in sys.argv
QUICK = THREADS or "--quick" in sys.argv


# ---- the SDKs -----------------------------------------------------------------------------------

def test_sdks(w, key):
    tools = set_up()
    py, node, script = tools[0], tools[1], tools[2] + "/sdk_node.mjs"
    mock = f"http://127.0.0.1:{w.mock_http}"
    provider = run_all(tools, "direct", mock, "key-of-the-test")
    before = len(w.received())
    compare(provider, run_all(tools, "gateway", f"http://127.0.0.1:{w.port}", key))
    run_across(tools, f"http://127.0.0.1:{w.port}", key)
    run_sdk("the local model", [tools[0], os.path.join(ROOT, "tests/e2e/sdk_local.py")],
            {"E2E_URL": f"http://127.0.0.1:{w.port}", "E2E_KEY": key})
    seen = w.received()[before:]
    check(SECRET.encode() not in seen and MAIL.encode() not in seen, "no planted value of the suites reached the provider")
    check(key.encode() not in seen, "no client's key was forwarded by the suites")
    before, left = len(w.received()), w.received().count(b"#ABORT")
    direct = {"E2E_MODE": "direct", "OPENAI_BASE_URL": f"http://127.0.0.1:{w.port}/v1", "OPENAI_API_KEY": key}
    run_sdk("python direct", [py, os.path.join(ROOT, "tests/e2e/sdk_python.py")], direct)
    run_sdk("node direct", [node, script], direct)
    env = {}
    for line in w.sluice("ca", "env", "-c", w.path("sluice.yaml")).splitlines():
        m = re.match(r"export (\w+)='(.*)'", line)
        if m:
            env[m[1]] = m[2]
    check("HTTPS_PROXY" in env and "NODE_EXTRA_CA_CERTS" in env, "ca env prints what clients need", env)
    proxy = {**env, "E2E_MODE": "proxy", "OPENAI_API_KEY": "sk-" + "the-users-own-credential"}
    run_sdk("python proxy", [py, os.path.join(ROOT, "tests/e2e/sdk_python.py")], proxy)
    run_sdk("node proxy", [node, script], proxy)
    seen = w.received()[before:]
    check(SECRET.encode() not in seen and MAIL.encode() not in seen, "no planted value reached the provider")
    check(b"84736251" not in seen and b"hepatitis" not in seen, "no health prompt reached the provider")
    check(key.encode() not in seen, "the client's key was not forwarded")
    check(b"sk-provider-key-of-the-test" in seen, "the provider's key was added")
    check(b"sk-the-users-own-credential" in seen, "an intercepted request kept its own credential")
    check(b"DLP_AWS_ACCESS_KEY_" in seen, "placeholders reached the provider instead")
    wait_for("the provider saw the clients leave", lambda: w.received().count(b"#ABORT") >= left + 2, 10)


# ---- single behaviours --------------------------------------------------------------------------

def test_requests(w, key):
    status, headers, body = w.post(f"Key {SECRET}", key)
    check(status == 200 and SECRET.encode() in body, "tokenize and restore", body)
    escaped = "".join("\\u%04x" % ord(c) for c in SECRET)
    before = len(w.received())
    status, _, body = w.post(('{"model":"gpt-4o","extra":{"deep":["%s"]},"messages":[{"role":"user","content":"%s"}]}'
                              % (SECRET, escaped)).encode(), key)
    seen = w.received()[before:]
    check(status == 200 and SECRET.encode() not in seen and escaped.encode() not in seen,
          "escaped letters and unknown fields are scanned", seen[-300:])
    half = len(SECRET) // 2
    before = len(w.received())
    status, _, _ = w.post(json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": [
        {"type": "text", "text": "key: " + SECRET[:half]}, {"type": "text", "text": SECRET[half:] + " ok"}]}]}).encode(), key)
    check(SECRET[half:].encode() not in w.received()[before:] or status == 403, "a secret split over two parts is found")
    for text, what in ((b'{"model":"gpt-4o","model":"x","messages":[]}', "duplicate keys"), (b'{"model":', "cut JSON"),
                       (b'{"model":"gpt-4o","messages":"x"}', "messages of the wrong type"), (b"", "an empty body"),
                       (b'{"model":"gpt-4o","messages":[{"role":"user","content":"\\ud800"}]}', "a lone surrogate")):
        before = len(w.received())
        status, _, body = w.post(text, key)
        check(status == 400 and json.loads(body)["error"]["message"] and len(w.received()) == before,
              f"{what}: 400 and nothing sent", (status, body))
    status, headers, body = w.post(b"\x1f\x8b" + b"\0" * 20, key, headers={"Content-Encoding": "br"})
    check(status == 415, "an unknown content coding is 415", (status, body))
    import gzip
    before = len(w.received())
    status, _, _ = w.post(gzip.compress(json.dumps(
        {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]}).encode()), key, headers={"Content-Encoding": "gzip"})
    check(status == 200 and SECRET.encode() not in w.received()[before:], "a gzip body is read, scanned and sent plain", status)
    status, _, body = w.post(gzip.compress(b"[" + b" " * 200_000_000), key, headers={"Content-Encoding": "gzip"})
    check(status == 413, "a decompression bomb is 413", (status, body))
    status, headers, _ = w.post("x" * 10, "slk_" + "0" * 43)
    check(status == 401 and headers.get("x-request-id"), "an unknown key is 401 with a request id")
    connects = lambda: re.search(r"sluice_upstream_connects_total (\d+)", w.admin_get("/metrics")[1])[1]
    before, sent = connects(), len(w.received())
    status, headers, body = w.post(json.dumps({"model": "gpt-4o", "max_tokens": 24, "messages": [
        {"role": "user", "content": PHI}]}).encode(), key)
    check(status == 200 and headers["x-sluice-route"] == "local" and connects() == before and len(w.received()) == sent,
          "a sensitive prompt opens no upstream socket", (status, headers))
    status, headers, body = w.post("hello [[mock status=503]]", key)
    check(status == 503 and b"mock_503" in body, "a provider's error passes as it came", body)


def test_commands(w):
    """The commands a security team uses, on the same rules and policy."""
    out = subprocess.run([BUILD + "/sluice", "rules", "test", "--json"], text=True, capture_output=True,
                         input=json.dumps({"id": "a", "text": "é " + SECRET}) + "\n").stdout
    found = json.loads(out)["findings"][0]
    check(found["start"] == 2 and found["end"] == 2 + len(SECRET) and found["class"] == "secret" and found["confidence"] >= 80,
          "rules test --json counts characters", out)
    r = subprocess.run([BUILD + "/sluice", "policy", "test", "-c", w.path("sluice.yaml"), "--model", "gpt-4o", PHI],
                       text=True, capture_output=True)
    check(r.returncode == 0 and "local" in r.stdout and "health" in r.stdout and "84736251" not in r.stdout,
          "policy test says where and why, without the value", r.stdout + r.stderr)
    r = subprocess.run([BUILD + "/sluice", "serve", "-c", w.path("sluice.yaml"), "--check"], text=True, capture_output=True)
    check(r.returncode == 0, "serve --check accepts the configuration", r.stdout + r.stderr)
    r = subprocess.run([BUILD + "/sluice", "serve", "-c", w.path("sluice.yaml"), "--check", "--probe", "--json"], text=True, capture_output=True)
    rows = {p["what"]: p for p in json.loads(r.stdout)["probes"]}
    check("the key is accepted" in rows["targets.openai"]["found"] and "certificate for" in rows["targets.openai"]["found"],
          "serve --check --probe tries targets and keys", rows["targets.openai"])
    check("access token" in rows["targets.vertex, credentials"]["found"], "and a service account", rows["targets.vertex, credentials"])
    if w.brokers:
        check("topic ai.audit.v1 with" in rows["audit.kafka"]["found"], "and Kafka with its topic", rows["audit.kafka"])
    with open(w.path("bad.yaml"), "w") as f:
        f.write("targets:\n  a: { kind: openai, zone: aproved }\nlisten: { gatway: 1 }\n")
    r = subprocess.run([BUILD + "/sluice", "serve", "-c", w.path("bad.yaml"), "--check"], text=True, capture_output=True)
    check(r.returncode == 1 and "bad.yaml:2" in r.stderr and "zone" in r.stderr and "gateway" in r.stderr,
          "a bad configuration is told with file, line, key and a suggestion", r.stderr)
    listed = w.sluice("keys", "list", "-c", w.path("sluice.yaml"))
    check("tester" in listed and "slk_" not in listed, "keys list shows names, not keys", listed)


def test_revocation(w):
    key = w.new_key("leaver")
    wait_for("a new key works without a restart", lambda: w.post("hi [[mock say=fox]]", key)[0] == 200)
    w.sluice("keys", "revoke", "-c", w.path("sluice.yaml"), "leaver")
    wait_for("a revoked key is refused", lambda: w.post("hi [[mock say=fox]]", key)[0] == 401)


def connect(w, host, port=443):
    s = socket.create_connection(("127.0.0.1", w.proxy), 10 * PATIENCE)
    s.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return s, s.recv(4096)


def test_interception(w):
    with open(w.path("ca.pem"), "w") as f:
        f.write(w.sluice("ca", "export", "-c", w.path("sluice.yaml")))
    ctx = ssl.create_default_context(cafile=w.path("ca.pem"))
    s, answer = connect(w, "api.openai.com")
    t = ctx.wrap_socket(s, server_hostname="api.openai.com")
    san = t.getpeercert()["subjectAltName"]
    check(san == (("DNS", "api.openai.com"),), "the leaf is for exactly the SNI", san)
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]})
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n"
    t.settimeout(10 * PATIENCE)
    t.sendall((head % ("api.openai.com", len(body)) + body).encode())
    got = b""
    while SECRET.encode() not in got:
        got += t.recv(65536)
    check(got.startswith(b"HTTP/1.1 200") and SECRET.encode() in got, "intercepted HTTP/1.1 goes through the pipeline", got)
    while not got.endswith(b"}}") and not got.endswith(b"}\n"):
        got += t.recv(65536)
    t.sendall((head % ("elsewhere.test", len(body)) + body).encode())
    check(t.recv(65536).startswith(b"HTTP/1.1 421"), "another Host inside the tunnel is 421")
    t.close()
    s, answer = connect(w, "nowhere.test")
    check(answer.startswith(b"HTTP/1.1 403"), "an unknown host is denied", answer)
    s, answer = connect(w, "api.openai.com", 22)
    check(answer.startswith(b"HTTP/1.1 403"), "another port is denied", answer)
    s, answer = connect(w, "api.openai.com")
    other = ssl.create_default_context()
    other.check_hostname, other.verify_mode = False, ssl.CERT_NONE
    try:
        other.wrap_socket(s, server_hostname="chatgpt.com")
        check(False, "an SNI that is not the CONNECT host is denied")
    except (OSError, ssl.SSLError):
        check(True, "an SNI that is not the CONNECT host is denied")
    s, answer = connect(w, "api.openai.com")
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    check(s.recv(100) == b"", "what is not TLS is closed")
    up = ssl.create_default_context(cafile=w.path("up-ca.pem"))
    s, answer = connect(w, "other.test")
    t = up.wrap_socket(s, server_hostname="other.test")
    t.sendall(b"GET /v1/models HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
    check(b"200 OK" in t.recv(4096), "a spliced host shows its own certificate")
    t.close()
    shadow = lambda: [r for r in w.spool_records() if r["metadata"]["event_code"] == "ai.shadow.seen"]
    wait_for("denied and spliced tunnels are on record", lambda: len(shadow()) >= 4)


def raw_exchange(port, data, half_close=True):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.settimeout(3)  # some cases are never answered
        try:
            s.sendall(data)
            got = b""
            while True:
                part = s.recv(65536)
                if not part:
                    return got
                got += part
        except OSError:
            return got if "got" in dir() else b""


def test_malformed(w, key):
    """Every must-reject case of the public collections, aimed at the real path with a valid key: none may be forwarded."""
    shared = os.path.join(ROOT, "..", "shared", "http")
    if not os.path.isdir(shared):
        return skip("../shared/http is absent: public malformed requests not sent through the gateway")
    cases = []
    for manifest, fcol, vcol in (("http-garden/MANIFEST.tsv", 0, 1), ("llhttp/MANIFEST.tsv", 0, 6)):
        for line in open(os.path.join(shared, manifest), encoding="utf-8", errors="replace"):
            col = line.rstrip("\n").split("\t")
            if len(col) > vcol and col[vcol] == "reject" and "response-" not in col[0]:
                cases.append(open(os.path.join(shared, col[0]), "rb").read())
    before = w.received().count(b"#REQ")
    threads, work = [], list(cases)

    def worker():
        while work:
            data = work.pop()
            # The case as it is, and with its target and key made those of the real endpoint.
            raw_exchange(w.port, data)
            lines = data.split(b"\r\n", 1)
            if len(lines) == 2 and lines[0].count(b" ") == 2:
                version = lines[0].rsplit(b" ", 1)[1]
                raw_exchange(w.port, b"POST /v1/chat/completions " + version + b"\r\nAuthorization: Bearer " + key.encode() +
                             b"\r\n" + lines[1])
    for _ in range(16):
        threads.append(threading.Thread(target=worker))
        threads[-1].start()
    for t in threads:
        t.join()
    check(len(cases) > 150 and w.received().count(b"#REQ") == before,
          f"0 of {len(cases)} must-reject requests forwarded", w.received().count(b"#REQ") - before)
    bodies = [open(os.path.join(shared, "json/test_parsing", f), "rb").read()
              for f in sorted(os.listdir(os.path.join(shared, "json/test_parsing"))) if f.startswith("n_")]
    work, taken = [b'{"x":' + b + b',"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}' for b in bodies], []

    def post_all():
        while work:
            b = work.pop()
            status = w.post(b, key)[0]
            if status != 400 and not (status == 413 and b.count(b"[") > 64):
                taken.append((status, b[:80]))
    threads = [threading.Thread(target=post_all) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    check(len(bodies) > 150 and not taken and w.received().count(b"#REQ") == before,
          f"0 of {len(bodies)} malformed JSON documents forwarded", taken[:3])
    check(w.post("still there [[mock say=fox]]", key)[0] == 200, "and the gateway serves on")


def test_slow_and_large(w, key):
    status, _, body = 0, None, None
    with socket.create_connection(("127.0.0.1", w.port), 10) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key.encode() +
                  b"\r\nContent-Length: 40000000\r\n\r\n")
        try:
            for _ in range(640):
                s.sendall(b" " * 65536)
        except OSError:
            pass
        s.settimeout(10)
        got = s.recv(65536)
        check(b"413" in got[:20], "a body over the limit reads a whole 413", got[:80])
    text = "word " * 100_000
    status, _, body = w.post(text + SECRET, key)
    check(status == 200 and body.count(SECRET.encode()) == 1, "half a megabyte of prompt passes", status)
    out = []

    def slow():
        s = socket.create_connection(("127.0.0.1", w.port), 10)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        b = json.dumps({"model": "gpt-4o", "stream": True, "messages": [
            {"role": "user", "content": "[[mock piece=64]] " + "lorem ipsum " * 20000}]}).encode()
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer " + key.encode() +
                  b"\r\nContent-Length: " + str(len(b)).encode() + b"\r\n\r\n" + b)
        n = 0
        while True:
            part = s.recv(8192)
            if not part:
                break
            n += len(part)
            if n < 300_000:
                time.sleep(0.005)
        out.append(n)
    ts = [threading.Thread(target=slow) for _ in range(4)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    check(len(out) == 4 and len(set(out)) <= 2, "slow readers get whole streams", out)


def test_bad_upstream_certificate(w, key):
    mock = subprocess.Popen([BUILD + "/mock-provider", "--tls-port", "0", "--cert", w.path("bad.pem"), "--key", w.path("bad.key")],
                            stdout=subprocess.PIPE, text=True)
    port = int(re.findall(r"https=(\d+)", mock.stdout.readline())[0])
    text = open(w.path("sluice.yaml")).read()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(text.replace(f"https://localhost:{w.mock_tls}/v1", f"https://localhost:{port}/v1"))
    w.stop()
    w.start()
    status, _, body = w.post("hello", key)
    check(status == 502 and b"certificate" in body, "a certificate for another name is 502", (status, body))
    mock.kill()
    mock.wait()
    wait = w.post("hello", key)
    check(wait[0] == 502, "a provider that is away is 502", wait)
    w.stop()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(text)
    w.start()


def test_tls_listener(w, key):
    text = open(w.path("sluice.yaml")).read()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(text.replace(f"listen: {{ gateway: 127.0.0.1:{w.port},",
                             f"listen: {{ tls: {{ cert: {w.path('up.pem')}, key: {w.path('up.key')} }}, gateway: 127.0.0.1:{w.port},"))
    w.stop()
    w.start()
    ctx = ssl.create_default_context(cafile=w.path("up-ca.pem"))
    c = http.client.HTTPSConnection("localhost", w.port, timeout=20, context=ctx)
    body = json.dumps({"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "[[mock piece=2]] " + SECRET}]})
    for _ in range(2):
        c.request("POST", "/v1/chat/completions", body, {"Authorization": "Bearer " + key})
        r = c.getresponse()
        got = r.read()
        check(r.status == 200 and got.rstrip().endswith(b"[DONE]"), "the TLS listener serves streams, kept alive", (r.status, got[-200:]))
    c.close()
    w.stop()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(text)
    w.start()


def test_drain(w, key):
    result = []
    t = threading.Thread(target=lambda: result.append(w.post("[[mock say=fox words=40 interval=50]] slow", key, stream=True)))
    t.start()
    wait_for("the stream runs", lambda: re.search(r"^sluice_requests_active [1-9]", w.admin_get("/metrics")[1], re.M))
    code = w.stop()
    t.join()
    check(code == 0 and result[0][2].rstrip().endswith(b"[DONE]"), "SIGTERM lets a stream finish", (code, result[0][2][-80:]))
    w.start()


def judge_records(records, what):
    """Every request has exactly one decided (unless it was refused before) and one completed record."""
    seen, decided, completed, ends = set(), collections.Counter(), collections.Counter(), collections.Counter()
    for r in records:
        if r["metadata"]["uid"] in seen:
            continue
        seen.add(r["metadata"]["uid"])
        code, req = r["metadata"]["event_code"], r["metadata"].get("correlation_uid")
        if code == "ai.request.decided":
            decided[req] += 1
        elif code == "ai.request.completed":
            completed[req] += 1
            ends[r["unmapped"]["sluice"]["end"]] += 1
    check(max(decided.values(), default=0) == 1 and max(completed.values(), default=0) == 1, what + ": at most one of each",
          [k for k, v in (decided + completed).items() if v > 2])
    missing = [k for k in decided if completed[k] != 1]
    check(not missing, what + ": every decided request has its completed record", missing[:5])
    return decided, completed, ends


# ---- Kafka and kill -9 ----------------------------------------------------------------------------

def kafka(w, command):
    script = f'. {ROOT}/tests/e2e/kafka/kafka.sh; {command}'
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)


def test_kill_and_kafka(w, key):
    answered, lock, stop = [], threading.Lock(), threading.Event()

    def client(n):
        i = 0
        while not stop.is_set():
            i += 1
            try:
                status, headers, _ = w.post(f"client {n} request {i} [[mock say=fox words=8 interval=3]]", key, stream=i % 2 == 0, timeout=30)
                if status == 200:
                    with lock:
                        answered.append(headers["x-sluice-request-id"])
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
    threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
    [t.start() for t in threads]
    for round_ in range(3):
        time.sleep(1.5)
        w.gateway.kill()
        w.gateway.wait()
        if round_ == 1 and w.brokers:
            check(kafka(w, f"kafka_restart {w.path('kafka')}").returncode == 0, "the broker restarts")
        w.start()
    time.sleep(1)
    stop.set()
    [t.join() for t in threads]
    check(w.stop() == 0, "a clean stop after the kills")
    decided, completed, ends = judge_records(w.spool_records(), "spool after kill -9")
    check(all(decided[r] == 1 for r in answered), f"each of {len(answered)} answered requests is on record",
          [r for r in answered if decided[r] != 1][:5])
    check(ends["gateway_lost"] > 0, "what was in flight ended as gateway_lost", ends)
    if not w.brokers:
        return
    w.start()

    def topic():
        out = kafka(w, f"kafka_consume {w.path('kafka')} ai.audit.v1").stdout
        return [json.loads(line.split("\t", 2)[2]) for line in out.splitlines() if line.count("\t") >= 2]
    spool = {r["metadata"]["uid"] for r in w.spool_records()}
    wait_for("all records in the topic", lambda: spool <= {r["metadata"]["uid"] for r in topic()}, 60, 1)
    records = topic()
    decided, completed, ends = judge_records(records, "topic after kill -9 and a broker restart")
    check(all(decided[r] == 1 and completed[r] == 1 for r in answered), "each answered request has one of each in the topic")
    leaked = json.dumps(records)
    check(SECRET not in leaked and MAIL not in leaked and "84736251" not in leaked, "no planted value is in any record")
    check(key not in leaked, "no key is in any record")


def main():
    w = World(tempfile.mkdtemp(prefix="sluice-e2e-"))
    with whole_test(w, lambda: w.brokers and kafka(w, f"kafka_kill9 {w.path('kafka')}")):
        w.start_mock()
        if not QUICK:
            if kafka(w, "kafka_need").returncode == 0:
                r = kafka(w, f"kafka_start {w.path('kafka')} && kafka_topic {w.path('kafka')} ai.audit.v1 && kafka_topic {w.path('kafka')} ai.audit.checkpoints && echo BROKERS=$KAFKA_BROKERS")
                m = re.search(r"BROKERS=(\S+)", r.stdout)
                if check(m is not None, "a Kafka broker starts", r.stdout + r.stderr):
                    w.brokers = m[1]
            else:
                skip("no Java, Maven or kcat: the audit topic was not tested")
        w.write_config()
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        test_requests(w, key)
        test_commands(w)
        if not QUICK:
            test_sdks(w, key)
        test_revocation(w)
        test_interception(w)
        test_malformed(w, key)
        test_slow_and_large(w, key)
        test_bad_upstream_certificate(w, key)
        test_tls_listener(w, key)
        test_drain(w, key)
        if not QUICK:  # minutes of a model without optimisation; its code has unit tests there
            local_tools.test_local_tools(w, key)
            local_formats.test_local_formats(w, key)
        auditor.main(w, not QUICK)
        test_kill_and_kafka(w, key)
        log = open(w.path("gateway.log")).read()
        for what in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer"):
            check(what not in log, "no " + what, log[log.find(what):][:1500])
        check(SECRET not in log and key not in log and MAIL not in log, "no planted value and no key in the log")


main()
