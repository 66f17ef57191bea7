#!/usr/bin/env python3
"""The way out through somebody else's HTTP proxy: targets, tokens, intercepted and spliced hosts; and what is said when it fails.

usage: tests/e2e/egress.py BUILD-DIR CACHE-DIR MODEL
Ends with the line "N passed, N failed, N skipped"."""
import base64
import json
import socket
import ssl
import tempfile
import threading

from faulty import FaultyWorld, sanitizer_findings
from world import SECRET, check, wait_for, whole_test

USER = "gate:pass:word"  # a password may hold colons


class Proxy(threading.Thread):
    """CONNECT with Basic credentials. mode: ok, 502, stall, garbage, close; names lead to 127.0.0.1."""

    def __init__(self, user=USER):
        super().__init__(daemon=True)
        self.user, self.mode, self.asked, self.https = user, "ok", [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        head = b""
        while b"\r\n\r\n" not in head:
            part = s.recv(4096)
            if not part:
                return s.close()
            head += part
        lines = head.split(b"\r\n")
        want = b"Proxy-Authorization: Basic " + base64.b64encode(self.user.encode())
        self.asked.append(lines[0].decode())
        if self.mode == "stall":
            while s.recv(4096):  # until the gateway has had enough
                pass
            return s.close()
        if self.mode != "ok" or (self.user and want not in lines):
            s.sendall({"502": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nno\n", "garbage": b"SSH-2.0-hello\r\n\r\n", "close": b""}.get(
                self.mode, b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"))
            return s.close()
        port = int(lines[0].split()[1].rsplit(b":", 1)[1])
        port = self.https if port == 443 else port
        up = socket.create_connection(("127.0.0.1", port))
        for b in b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n":  # one byte at a time
            s.sendall(bytes([b]))
        threading.Thread(target=self.copy, args=(up, s), daemon=True).start()
        self.copy(s, up)

    def copy(self, a, b):
        try:
            while part := a.recv(65536):
                b.sendall(part)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def targets(w, proxy):
    through = f"proxy: 'http://127.0.0.1:{proxy.port}', proxy_auth: file:{w.path('proxy.auth')}, retries: 0, breaker: {{ failures: 0, error_rate: 0 }}"
    there = f"key: file:{w.path('provider.key')}, ca: {w.path('up-ca.pem')}, zone: approved, {through}"
    return f"""  far: {{ kind: openai, base_url: 'https://localhost:{w.mock_tls}/v1', models: ['far-*'], {there} }}
  open: {{ kind: openai, base_url: 'http://localhost:{w.mock_http}/v1', models: ['open-*'], {there} }}
  wrong: {{ kind: openai, base_url: 'https://elsewhere.test:{w.mock_tls}/v1', models: ['wrong-*'], timeouts: {{ connect: 2m }}, {there} }}
  hasty: {{ kind: openai, base_url: 'https://elsewhere.test:{w.mock_tls}/v1', models: ['hasty-*'], timeouts: {{ connect: 1s }}, {there} }}
  vertex: {{ kind: vertex, base_url: 'https://localhost:{w.mock_tls}', credentials: file:{w.path('account.json')}, location: europe-west4,
            ca: {w.path('up-ca.pem')}, zone: approved, models: ["vertex-*"], {through} }}
"""


def test_targets(w, proxy):
    for model in ("far-1", "open-1"):
        for stream in (False, True):
            status, _, raw = w.ask("chat", f"Key {SECRET}", stream, model)
            check(status == 200 and SECRET.encode() in raw, f"{model} answers through the proxy", (status, raw[:300]))
    asked = [a for a in proxy.asked if str(w.mock_tls) in a and "localhost" in a]
    check(f"CONNECT localhost:{w.mock_tls} HTTP/1.1" in asked and len(asked) <= 4, "a tunnel is kept and used again", proxy.asked)
    check(b"Proxy-Authorization" not in w.received() and b"pass:word" not in w.received(), "its credentials end at the proxy")
    status, _, raw = w.ask("chat", "hello", False, "wrong-1")
    check(status == 502 and b"certificate" in raw, "TLS inside is verified against the target's name", (status, raw[:300]))
    wait_for("a token came through the proxy", lambda: w.ask("chat", "hello", False, "vertex-gemini")[0] == 200, 8, 0.2)


def test_failures(w, proxy):
    for mode, statuses, word in (("502", (502,), b"answered 502"), ("garbage", (502,), b"does not speak HTTP"), ("close", (502,), b"closed"),
                                 ("stall", (504,), b"within")):
        proxy.mode = mode
        status, _, raw = w.ask("chat", "hello", False, "hasty-1" if mode == "stall" else "wrong-1")
        check(status in statuses and word in raw, f"a proxy in mode {mode} is told as such", (status, raw[:300]))
    proxy.mode = "ok"
    proxy.user = "other:user"
    status, _, raw = w.ask("chat", "hello", False, "wrong-1")
    check(status == 502 and b"407" in raw and b"pass" not in raw, "wrong credentials are told, not shown", (status, raw[:300]))
    proxy.user = USER


def tunnel(w, host):
    s = socket.create_connection(("127.0.0.1", w.proxy), 10)
    s.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n".encode())
    return s, s.recv(4096)


def test_interception(w, proxy):
    ctx = ssl.create_default_context(cafile=w.path("ca.pem"))
    s, _ = tunnel(w, "api.openai.com")
    t = ctx.wrap_socket(s, server_hostname="api.openai.com")
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]}).encode()
    t.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.openai.com\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    got = b""
    while part := t.recv(65536):
        got += part
    check("CONNECT api.openai.com:443 HTTP/1.1" in proxy.asked and got.startswith(b"HTTP/1.1 200") and SECRET.encode() in got,
          "an intercepted host is reached through the proxy", (proxy.asked[-3:], got[:300]))
    s, _ = tunnel(w, "other.test")
    t = ssl.create_default_context(cafile=w.path("up-ca.pem")).wrap_socket(s, server_hostname="other.test")
    t.sendall(b"GET /v1/models HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n")
    check(b"200 OK" in t.recv(4096) and "CONNECT other.test:443 HTTP/1.1" in proxy.asked, "and so is a spliced one", proxy.asked[-2:])
    s, answer = tunnel(w, "169.254.169.254")
    check(answer.startswith(b"HTTP/1.1 403") or s.recv(100) == b"", "the proxy is not asked for addresses that may not be dialled")
    check(not [a for a in proxy.asked if "169.254" in a], "nor did it hear of one", proxy.asked[-3:])


def main():
    w, proxy = FaultyWorld(tempfile.mkdtemp(prefix="sluice-egress-")), Proxy()
    with whole_test(w):
        w.start_mock()
        proxy.https = w.mock_tls
        w.write_provider_keys()
        w.write_secret("proxy.auth", USER + "\n")
        w.configure(more_targets=targets(w, proxy))
        text = open(w.path("sluice.yaml")).read().replace(
            "intercept:\n", f"intercept:\n  proxy: http://127.0.0.1:{proxy.port}\n  proxy_auth: file:{w.path('proxy.auth')}\n  default: splice\n").replace(f'resolve: {{ api.openai.com: "127.0.0.1:{w.mock_tls}" }}', '')
        with open(w.path("sluice.yaml"), "w") as f:
            f.write(text)
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        with open(w.path("ca.pem"), "w") as f:
            f.write(w.sluice("ca", "export", "-c", w.path("sluice.yaml")))
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        test_targets(w, proxy)
        test_failures(w, proxy)
        test_interception(w, proxy)
        check(w.stop() == 0, "the gateway stops")
        log = open(w.path("gateway.log")).read()
        check("pass:word" not in log and base64.b64encode(USER.encode()).decode() not in log, "the log shows no credentials")
        sanitizer_findings(log)


main()
