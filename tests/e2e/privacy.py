#!/usr/bin/env python3
"""200 secrets go through every dialect and every way that a request can take or end. Then none of them is in a record, a file, a
log, a metric, an answer of the admin port, nor, when all requests have ended, in the memory of the process: not as it was, not in
base64, not backwards, not a part of twelve bytes. Then texts sealed for an auditor: opened, erased, and the ledger still verifies.

usage: tests/e2e/privacy.py BUILD-DIR CACHE-DIR MODEL"""
import base64
import collections
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from complaints_world import RAW
from faulty import sanitizer_findings
from upstream import EVENTS, Upstream, answer, stream
from wire import DIALECTS, ask, open_stream, post, read_until, send
from world import BUILD, MODEL, ROOT, World, check, free_port, skip, wait_for, whole_test

MANY, PART, BLOCK = 200, 12, 1 << 14
SANITIZED = "-address" in BUILD or "-thread" in BUILD
CARD = "4539 1488 " + "9216 3345"
_random = random.Random(20260417)
planted = []  # (secret, the way it went)


def new(way):
    """A fresh one, of a form that a built-in rule finds."""
    secret = "AKIA" + "".join(_random.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16))
    planted.append((secret, way))
    return secret


def forms(secret):
    """What to look for: every part of twelve bytes, the inside of base64 at each of its three offsets, backwards."""
    raw = secret.encode()
    parts = {raw[i:i + PART] for i in range(4, len(raw) - PART + 1)} | {raw[::-1][:PART], raw[::-1][4:]}
    for pad in range(3):
        inner = base64.b64encode(b"\0" * pad + raw)[4 if pad else 0:]
        parts.add(inner[:len(inner) // 4 * 4 - 4])
    return parts


# ---- the world ------------------------------------------------------------------------------------------

def write_config(w):
    local = f"  local: {{ kind: engine, model: {MODEL}, zone: process }}\n" if os.path.exists(MODEL) else ""
    raw = f"http://127.0.0.1:{w.up.port}"
    there = f"key: file:{w.path('provider.key')}, zone: approved, retries: 0, breaker: {{ failures: 0, error_rate: 0 }}"
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
core_dumps: true   # the test reads the memory
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: 127.0.0.1:{w.proxy}, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets:
{w.server_targets()}
{local}  raw_chat:   {{ kind: openai, base_url: {raw}/v1, {there}, models: ["raw-chat"], timeouts: {{ first_byte: 3s }} }}
  raw_claude: {{ kind: anthropic, base_url: {raw}, {there}, models: ["raw-claude"] }}
  raw_gemini: {{ kind: gemini, base_url: {raw}, {there}, models: ["raw-gemini"] }}
  away:       {{ kind: openai, base_url: http://127.0.0.1:{free_port()}/v1, {there}, models: ["gpt-away"] }}
routes:
  - {{ model: raw-chat, to: raw_chat }}
  - {{ model: raw-claude, to: raw_claude }}
  - {{ model: raw-gemini, to: raw_gemini }}
  - {{ model: gpt-away, to: away }}
  - {{ model: "claude-*", to: claude }}
  - {{ model: "gemini-*", to: gemini }}
  - {{ model: "anthropic.*", to: bedrock }}
  - {{ model: "vertex-*", to: vertex }}
  - {{ model: inside, to: {"local" if local else "openai"} }}
  - {{ model: "*", to: openai }}
policy:
  - {{ name: refused,  when: {{ class: secret, user: refused }}, then: block }}
  - {{ name: answers,  when: {{ class: secret, user: masked }}, then: mask, on: response }}
  - {{ name: tokens,   when: {{ class: secret, user: tokenized }}, then: tokenize }}
  - {{ name: hidden,   when: {{ class: secret, user: [plain, masked] }}, then: redact }}
intercept:
  upstream_ca: {w.path('up-ca.pem')}
  hosts: {{ splice: [other.test] }}
  resolve: {{ api.openai.com: "127.0.0.1:{w.mock_tls}", other.test: "127.0.0.1:{w.mock_tls}" }}
audit:
  spool: {w.path('spool')}
  auditor_key: {w.path('auditor.pub')}
  max_payload: 4KiB
  payload:
    - {{ when: {{ user: [sealed, erased] }}, level: sealed }}
    - {{ when: {{ user: masked }}, level: masked }}
    - {{ when: {{ user: nothing }}, level: none }}
    - {{ when: {{ model: "gpt-quiet*", target: "open*" }}, level: none }}
    - {{ when: {{ model: "gpt-quiet*", group: nobody }}, level: sealed }}
""")


def make_world():
    w = World(tempfile.mkdtemp(prefix="sluice-privacy-"))
    w.up = Upstream()
    w.start_mock()
    w.write_provider_keys()
    run = lambda *a: subprocess.run(a, cwd=w.dir, check=True, capture_output=True)
    run("openssl", "genpkey", "-algorithm", "x25519", "-out", "auditor.pem")
    run("openssl", "pkey", "-in", "auditor.pem", "-pubout", "-out", "auditor.pub")
    write_config(w)
    return w


# ---- the ways -------------------------------------------------------------------------------------------

def bodies(w):
    for dialect in DIALECTS:
        for streamed in (False, True):
            for user in ("plain", "refused", "tokenized", "masked", "nothing"):
                way = f"{dialect}, {'stream' if streamed else 'whole'}, {user}"
                text = f"use {new(way)} and {new(way + ', twice')}"
                ask(w.port, dialect, text, w.keys[user], streamed)
    for model in ("anthropic.claude-v1:0", "vertex-gemini", "inside"):
        ask(w.port, "chat", "use " + new(model), w.keys["tokenized"], True, model=model, timeout=60)
    ask(w.port, "chat", "use " + base64.b64encode(new("base64").encode()).decode(), w.keys["plain"])
    ask(w.port, "chat", "use " + "".join("&#%d;" % ord(c) for c in new("entities")), w.keys["plain"])
    ask(w.port, "chat", "word " * 40000 + new("a large body") + " word" * 40000, w.keys["plain"])
    post(w.port, "/v1/embeddings", {"Authorization": "Bearer " + w.keys["plain"]}, {"model": "text-embedding-3-small", "input": new("embeddings")})
    form = f'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n{new("multipart")}\r\n--b--\r\n'.encode()
    post(w.port, "/v1/files", {"Authorization": "Bearer " + w.keys["plain"], "Content-Type": "multipart/form-data; boundary=b"}, form)


def heads(w):
    key = w.keys["plain"]
    for name in ("Authorization", "x-api-key", "x-goog-api-key", "Cookie", "X-Custom", "User-Agent", "x-sluice-justification", "Referer"):
        secret = new("header " + name)
        post(w.port, "/v1/chat/completions", {"Authorization": "Bearer " + key, name: secret}, {"model": "gpt-4o", "messages": []})
    post(w.port, "/v1/chat/completions?key=" + new("query"), {"Authorization": "Bearer " + key}, {"model": "gpt-4o", "messages": []})
    post(w.port, "/v1/files/" + new("path"), {"Authorization": "Bearer " + key}, {})
    ask(w.port, "gemini", "hi", w.keys["plain"], model=new("model in a path"))
    ask(w.port, "chat", "hi", w.keys["plain"], model=new("model in a body"))


def refused(w):
    key = {"Authorization": "Bearer " + w.keys["plain"]}
    path = "/v1/chat/completions"
    post(w.port, path, {"Authorization": "Bearer slk_" + "0" * 43}, b'{"a":"' + new("wrong key").encode() + b'"}')
    post(w.port, path, key, b'{"messages":[{"content":"' + new("broken JSON").encode())
    post(w.port, path, {**key, "Content-Encoding": "br"}, new("unknown coding").encode())
    post(w.port, path, {**key, "Content-Encoding": "gzip"}, b"\x1f\x8b" + new("broken gzip").encode())
    for bad in (f"GET /{new('two spaces')}  HTTP/1.1\r\nHost: a\r\n\r\n", f"BAD{new('method')} / HTTP/1.1\r\n\r\n",
                f"POST {path} HTTP/1.1\r\nHost: a\r\nX: {new('NUL in a field')}\0\r\n\r\n",
                f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\nX: {new('two lengths')}\r\n\r\n",
                f"POST {path} HTTP/1.1\r\nHost: a\r\nX: {'x' * 70000}{new('a long head')}\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", w.port), 5) as s:
            s.sendall(bad.encode())
            read_until(s, b"\r\n\r\n", 15)
    big = b"x" * (33 << 20)
    with socket.create_connection(("127.0.0.1", w.port), 5) as s:
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {new('too large')}\r\nContent-Length: {len(big)}\r\n\r\n{new('too large, body')}"
        s.sendall(head.encode())
        read_until(s, b"\r\n\r\n", 15)


def answers(w):
    for dialect in DIALECTS:
        for user in ("plain", "masked"):
            secret = new(f"answer, {dialect}, {user}")
            w.up.play = stream(*EVENTS[dialect](["the key is ", secret[:7], secret[7:], " now"]))
            ask(w.port, dialect, "hi", w.keys[user], True, model=RAW[dialect])
    secret = new("a whole answer")
    w.up.play = [answer(200, {"id": "1", "object": "chat.completion", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "key " + secret}, "finish_reason": "stop"}]}, (f"X-Up: {new('upstream header')}",))]
    ask(w.port, "chat", "hi", w.keys["masked"], model="raw-chat")
    w.up.play = [answer(500, {"error": {"message": "bad key " + new("upstream error"), "type": "x"}})]
    ask(w.port, "chat", "use " + new("error, body"), w.keys["plain"], model="raw-chat")
    w.up.play = [b"HTTP/1.1 200 " + new("broken upstream").encode() + b"\0\r\n\r\n"]
    ask(w.port, "chat", "use " + new("broken, body"), w.keys["plain"], model="raw-chat")
    w.up.play = stream(*EVENTS["chat"](["the key is " + new("a cut stream")])[:2], end=False)
    ask(w.port, "chat", "use " + new("cut, body"), w.keys["plain"], True, model="raw-chat")
    w.up.play = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n" + new("half an answer").encode()]
    ask(w.port, "chat", "hi", w.keys["plain"], model="raw-chat")
    ask(w.port, "chat", "use " + new("nobody there"), w.keys["plain"], model="gpt-away")


def leavers(w):
    for way, wait in (("left before the answer", 0), ("left in the stream", 0.3)):
        s = open_stream(w.port, "chat", f"[[mock delay=200 say=fox]] use {new(way)}", w.keys["plain"])
        time.sleep(wait)
        s.close()
    with socket.create_connection(("127.0.0.1", w.port), 5) as s:
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {w.keys['plain']}\r\nContent-Length: 1000\r\n\r\n"
                  f"{{\"x\":\"{new('left in the body')}".encode())
        time.sleep(0.1)
    with socket.create_connection(("127.0.0.1", w.port), 5) as s:
        s.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nX: {new('left in the head')}".encode())
        time.sleep(0.1)
    for _ in range(2):  # two requests at once on a connection
        with socket.create_connection(("127.0.0.1", w.port), 5) as s:
            for i in range(2):
                send(s, "/v1/chat/completions", {"Authorization": "Bearer " + w.keys["plain"], "X-Note": new("pipelined, header")},
                     json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": new("pipelined")}]}).encode())
            read_until(s, b"nothing", 0.5)


def tunnels(w):
    with open(w.path("ca.pem"), "w") as f:
        f.write(w.sluice("ca", "export", "-c", w.path("sluice.yaml")))
    for host, ca in (("api.openai.com", "ca.pem"), ("other.test", "up-ca.pem")):
        with socket.create_connection(("127.0.0.1", w.proxy), 5) as s:
            s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\nX: {new('CONNECT')}\r\n\r\n".encode())
            read_until(s, b"\r\n\r\n", 15)
            with ssl.create_default_context(cafile=w.path(ca)).wrap_socket(s, server_hostname=host) as t:
                for _ in range(3):
                    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": new(f"{host}, body")}]})
                    t.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {new(host + ', credential')}\r\n"
                              f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
                    check(b"chat.completion" in read_until(t, b"chat.completion", 15), "an answer through the tunnel to " + host)
    with socket.create_connection(("127.0.0.1", w.proxy), 5) as s:
        s.sendall(f"CONNECT nowhere.test:443 HTTP/1.1\r\nProxy-Authorization: Basic {new('proxy credential')}\r\n\r\n".encode())
        read_until(s, b"\r\n\r\n", 15)
    with socket.create_connection(("127.0.0.1", w.proxy), 5) as s:
        s.sendall(f"GET http://{new('plain proxying')}.test/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        read_until(s, b"\r\n\r\n", 15)


def operate(w):
    """A reload in the middle, and what comes behind it; the admin port."""
    w.gateway.send_signal(signal.SIGHUP)
    wait_for("the reload is in force", lambda: "config_loaded" in open(w.path("gateway.log")).read() or "reload" in open(w.path("gateway.log")).read())
    ask(w.port, "chat", "use " + new("after the reload"), w.keys["plain"], True)
    post(w.admin, "/v1/keys?x=" + new("admin query"), {"Authorization": "Bearer " + new("admin credential")}, {"name": new("admin body")})


def the_rest(w):
    while len(planted) < MANY:
        way = "one of many"
        ask(w.port, DIALECTS[len(planted) % 5], f"use {new(way)} please", w.keys["plain" if len(planted) % 2 else "tokenized"], len(planted) % 3 == 0)


# ---- looking for them -----------------------------------------------------------------------------------

def found_in(data, wanted):
    """Whose parts are in these bytes: {way: how often}. grep looks for thousands of words at once."""
    r = subprocess.run(["grep", "-a", "-o", "-b", "-F", "-f", wanted["file"]], input=data, capture_output=True, env={"LC_ALL": "C"})
    hits = {}
    for line in r.stdout.split(b"\n"):
        at, _, part = line.partition(b":")
        if part in wanted["parts"]:
            hits.setdefault(wanted["parts"][part][1], []).append(int(at))
    return hits


def look_for(w, some):
    """What grep is to look for, and whose each part is."""
    parts = {part: (secret, way) for secret, way in some for part in forms(secret)}
    with open(w.path("patterns"), "wb") as f:
        f.write(b"\n".join(parts) + b"\n")
    return {"file": w.path("patterns"), "parts": parts}


def writable_memory(pid):
    """(name, address, bytes) of what the process can write to, without the pages that hold nothing."""
    nothing = bytes(BLOCK)
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
            at, last = int(m[1], 16), int(m[2], 16)
            if "w" not in m[3] or m[4].startswith("[v"):
                continue
            mem.seek(at)
            run = []
            while at < last:
                try:
                    piece = mem.read(min(BLOCK, last - at))
                except OSError:
                    break
                if piece == nothing[:len(piece)]:
                    if run:
                        yield m[4], at - sum(map(len, run)), b"".join(run)
                    run = []
                else:
                    run.append(piece)
                at += len(piece)
                if not piece:
                    break
            if run:
                yield m[4], at - sum(map(len, run)), b"".join(run)


def check_memory(w, wanted, what):
    if SANITIZED:
        return skip(f"memory after {what}: a sanitizer keeps what is freed, and nothing is wiped then (proxy/wipe_free.c)")
    runs = list(writable_memory(w.gateway.pid))
    size = sum(len(data) for _, _, data in runs)
    check(size > 1 << 20, "the memory of the process was read", size)
    whole = b"\n".join(data for _, _, data in runs)
    hits = found_in(whole, wanted)
    for way, places in sorted(hits.items()):
        start = 0
        for name, address, data in runs:
            if places[0] < start + len(data) + 1:
                break
            start += len(data) + 1
        around = whole[max(0, places[0] - 60):places[0] + 90]
        check(False, f"memory after {what}: {way}", f"{len(places)} places, the first in {name or 'a heap'} at {address + places[0] - start:x}: {around!r}")
    check(not hits, f"no planted value is in {size >> 20} MiB of memory once {what} have ended", len(hits))


def check_files(w, wanted):
    own = {"patterns", "mock.log", "ca.pem"}
    for folder, _, files in os.walk(w.dir):
        for name in files:
            if name not in own:
                with open(os.path.join(folder, name), "rb") as f:
                    hits = found_in(f.read(), wanted)
                check(not hits, f"no planted value is in {name}", sorted(hits)[:5])
    texts = "\n".join(w.admin_get(p)[1] for p in ("/metrics", "/healthz", "/readyz", "/v1/targets", "/v1/config", "/version"))
    out = w.sluice("audit", "tail", "--spool", w.path("spool"), "--json", "-n", "0")
    for what, text in (("the admin port's answers", texts), ("records", out), ("the report", w.sluice(
            "audit", "report", "--spool", w.path("spool"), "--format", "html"))):
        check(len(text) > 100 and not found_in(text.encode(), wanted), f"no planted value is in {what}", sorted(found_in(text.encode(), wanted))[:5])


# ---- records --------------------------------------------------------------------------------------------

def check_records(w):
    """Whatever became of them, all requests are on record, once, in records that are what OCSF says."""
    records = w.spool_records()
    of = lambda code: [r for r in records if r["metadata"]["event_code"] == code]
    ended, decided = of("ai.request.completed"), of("ai.request.decided")
    count = collections.Counter(r["metadata"]["correlation_uid"] for r in ended)
    check(len(ended) > 100 and max(count.values()) == 1, "each request has one end", count.most_common(2))
    check({r["metadata"]["correlation_uid"] for r in decided} <= set(count) and len(decided) == len({
        r["metadata"]["correlation_uid"] for r in decided}), "and so has each that was decided")
    check({own(r)["end"] for r in ended} >= {"complete", "refused", "blocked", "client_abort", "upstream_error"}, "ends of all kinds",
          collections.Counter(own(r)["end"] for r in ended))
    names = ["identity", "dlp_request", "policy", "limits", "dlp_answer", "restore"]
    for what, ok in (("all guards", lambda o: [g["name"] for g in o["guards"]] == names),
                     ("how long each took that ran", lambda o: all("us" in g for g in o["guards"] if g["state"] in ("ran", "failed", "timed_out"))),
                     ("the digests of configuration and rules", lambda o: len(o["config_digest"]) == 64 and len(o["rules_digest"]) >= 32)):
        check(all(ok(own(r)) for r in ended), "each end has " + what, [own(r) for r in ended if not ok(own(r))][:1])
    answered = [r for r in ended if own(r)["end"] == "complete" and r["api"]["operation"] == "chat.completions"]
    check(all("route_reason" in own(r) and "target" in own(r) and "reason" in own(r) for r in answered), "why it went where", answered[:1])
    schema = os.path.join(ROOT, "../shared/ocsf/ocsf-1.8.0-gateway-classes.json")
    if not os.path.exists(schema):
        return skip("../shared/ocsf is not there: the records are not checked against the OCSF schema")
    with open(w.path("records.jsonl"), "w") as f:
        f.writelines(json.dumps(r) + "\n" for r in records)
    r = subprocess.run([sys.executable, os.path.join(ROOT, "tests/unit/audit/ocsf_check.py"), schema, w.path("records.jsonl")], capture_output=True, text=True)
    kinds = {r["metadata"]["event_code"] for r in records}
    check(r.returncode == 0 and kinds >= {"ai.request.decided", "ai.request.completed", "ai.dlp.finding", "ai.shadow.seen", "sluice.started",
                                          "sluice.changed"}, f"{len(records)} records of {len(kinds)} kinds are OCSF 1.8.0", r.stdout[-800:] + str(kinds))


# ---- sealed texts ---------------------------------------------------------------------------------------

def opened(w, *args):
    out = w.sluice("audit", "open", "-c", w.path("sluice.yaml"), "--key", w.path("auditor.pem"), *args)
    return [json.loads(line) for line in out.splitlines()]


def own(record):
    return record["unmapped"]["sluice"]


def test_levels(w):
    """What the users' levels leave in their records."""
    of = lambda user, code: [r for r in w.spool_records() if r.get("actor", {}).get("user", {}).get("uid") == user
                             and r["metadata"]["event_code"] == code]
    check(all("raw_data_hash" not in r and own(r)["payload_level"] == "none" for r in of("nothing", "ai.request.decided")) and
          not any("value_hmac" in own(r) for r in of("nothing", "ai.dlp.finding")), "none: no fingerprint")
    check(all("value_hmac" in own(r) and "pattern_match" not in r["data_security"] for r in of("plain", "ai.dlp.finding")), "hmac: fingerprints")
    ask(w.port, "chat", f"card {CARD}, use " + "AKIA" + "Q3RTLQ4MNXVB2KWE", w.keys["masked"])
    shown = [r["data_security"].get("pattern_match") for r in of("masked", "ai.dlp.finding")]
    for model, level in (("gpt-quiet-1", "none"), ("gpt-loud", None)):
        ask(w.port, "chat", "hi", w.keys["plain"], model=model)
        check(own(of("plain", "ai.request.decided")[-1]).get("payload_level") == level, "levels go by model and target")
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
    ask(w.port, "chat", "hi", w.keys["masked"], headers={"User-Agent": chrome})
    check(of("masked", "ai.request.decided")[-1]["http_request"]["user_agent"] == chrome, "a browser's version is no secret")
    check(any(r["http_request"].get("user_agent") == "(hidden)" for r in w.spool_records() if "http_request" in r), "a secret for a user agent is hidden")
    check(f"**** **** **** {CARD[-4:]}" in shown and not any(s and "AKIA" in s for s in shown), "masked: a card's last digits, nothing of a secret", shown[-3:])


def test_sealed(w):
    for user in ("sealed", "erased"):
        for dialect in DIALECTS:
            ask(w.port, dialect, f"{user} asks in {dialect} [[mock say=fox]]", w.keys[user], dialect == "chat")
    got = opened(w, "--user", "sealed")
    asked = [g["text"] for g in got if g["part"] == "request"]
    check(len(asked) == 5 and all(f"sealed asks in {d}" in "".join(asked) for d in DIALECTS), "requests are opened", asked)
    check(len([g for g in got if g["part"] == "answer" and "fox" in g["text"]]) == 5, "and answers", got[-1:])
    ask(w.port, "chat", "long " * 2000, w.keys["sealed"])
    long = [g for g in opened(w) if g["bytes"] > 10000 and g["part"] == "request"]
    check(len(long) == 1 and len(long[0]["text"]) == 4096 and long[0]["truncated"], "a long one is cut, and says so", long)


def test_erased(w):
    before = opened(w)
    check({g["state"] for g in before} == {"opened"}, "all texts are opened")
    said = w.sluice("audit", "erase", "--subject", "erased", "-c", w.path("sluice.yaml"))
    check("1 keys destroyed" in said, "erase says what it did", said)
    after = opened(w)
    check(all((g["state"] == "erased") == (g["user"] == "erased") for g in after) and len(after) == len(before), "erased, for that user only", after[:3])
    record = wait_for("the erasure is on record", lambda: [r for r in w.spool_records() if own(r).get("change") == "erase"], 5)
    check(record and own(record[0])["entity_name"] == "erased" and own(record[0])["after"]["keys_destroyed"] == 1, "with whose it was", record)
    ask(w.port, "chat", "again [[mock say=fox]]", w.keys["erased"])
    check(len([g for g in opened(w, "--user", "erased") if g["state"] == "opened"]) == 2, "what comes later is under a new key")
    check(w.stop() == 0, "the gateway stops")
    r = w.sluice("audit", "verify", "--spool", w.path("spool"))
    check("INTACT" in r, "and the ledger verifies", r)


# ---- the run --------------------------------------------------------------------------------------------

def settle(w):
    """All requests have ended."""
    wait_for("no request is open", lambda: re.search(r"^sluice_requests_active 0$", w.admin_get("/metrics")[1], re.M), 10)
    time.sleep(0.1)


def main():
    w = make_world()
    with whole_test(w, w.up.end):
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        w.keys = {name: w.new_key(name) for name in ("plain", "masked", "refused", "tokenized", "nothing", "sealed", "erased")}
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        for way in (bodies, heads, refused, answers, leavers, tunnels, operate, the_rest):
            before = len(planted)
            way(w)
            settle(w)
            check_memory(w, look_for(w, planted[before:]), way.__name__)  # now: later ones would write over what these left
        check(len(planted) >= MANY, "as many as promised", len(planted))
        wanted = look_for(w, planted)
        check_memory(w, wanted, "all")
        check_files(w, wanted)
        check_records(w)
        test_levels(w)
        test_sealed(w)
        test_erased(w)
        with open(w.path("gateway.log")) as f:
            sanitizer_findings(f.read())


if __name__ == "__main__":
    main()
