#!/usr/bin/env python3
"""The public collections of malformed requests (../shared/http), on the gateway port and inside an intercepted tunnel: what must be
refused is refused by the reader itself, nothing of it is forwarded, and what must be accepted is.

usage: tests/e2e/smuggle.py BUILD-DIR CACHE-DIR MODEL [all]
Without `all` every tenth disguise of the largest collection. Ends with the line "N passed, N failed, N skipped"."""
import base64
import concurrent.futures
import os
import re
import socket
import ssl
import sys
import tempfile

from faulty import FaultyWorld
from world import ROOT, check, finish, skip, whole_test

SHARED = os.path.join(ROOT, "..", "shared", "http")
HOST = b"api.openai.com"
EVERY = 1 if "all" in sys.argv[4:] else 10


def rows(manifest):
    with open(os.path.join(SHARED, manifest), encoding="utf-8", errors="replace") as f:
        return [line.rstrip("\n").split("\t") for line in f][1:]


def load(name):
    with open(os.path.join(SHARED, name), "rb") as f:
        return f.read()


def cases():
    """(name, verdict, raw request)"""
    for row in rows("http-garden/MANIFEST.tsv"):
        if row[1] in ("reject", "accept"):
            yield row[0], row[1], load(row[0])
    for row in rows("llhttp/MANIFEST.tsv"):
        if row[6] in ("reject", "accept") and "response-" not in row[0]:
            yield row[0], row[6], load(row[0])
    for i, row in enumerate(rows("smuggler/CASES.tsv")):
        if row[2] == "reject" and i % EVERY == 0:
            yield f"{row[0]} {row[1]}", "reject", base64.b64decode(row[4])


# Where we differ from the collection, as tests/unit/proxy/test_http1.c says: the target * is for OPTIONS alone (RFC 9112 3.2.4);
# what follows the last request of an HTTP/1.0 connection is not read, so that the first one is answered.
OURS = {"llhttp/request-method-055.raw", "llhttp/request-connection-003.raw"}


def aimed(raw, verdict):
    """The case, for the host of the tunnel and, where it stands in a well-formed line, the path and method that are forwarded: so
    that nothing but the reader stands in its way."""
    raw = re.sub(rb"(?im)^(host: ?)[a-z0-9.:-]+(?=\r$)", rb"\g<1>" + HOST, raw, count=1)
    if verdict == "reject":
        raw = re.sub(rb"\A(GET|POST|PUT|PATCH) /[!-\"$-~]* HTTP/1.1\r\n", b"POST /v1/chat/completions HTTP/1.1\r\n", raw)
    return raw


def answered(got):
    """A whole answer, after which the connection closes."""
    head, _, body = got.partition(b"\r\n\r\n")
    m = re.search(rb"(?i)content-length: (\d+)", head)
    return b"onnection: close" in head and m is not None and len(body) >= int(m[1])


def exchange(s, data):
    got = b""
    try:
        s.sendall(data)
        while len(got) < 100_000 and not answered(got):
            part = s.recv(65536)
            if not part:
                break
            got += part
    except (OSError, ssl.SSLError):
        pass
    finally:
        s.close()
    return got


def direct(w, _):
    return socket.create_connection(("127.0.0.1", w.port), 60)


def tunnel(w, ctx):
    s = socket.create_connection(("127.0.0.1", w.proxy), 60)
    s.sendall(b"CONNECT %b:443 HTTP/1.1\r\nHost: %b:443\r\n\r\n" % (HOST, HOST))
    s.recv(4096)
    return ctx.wrap_socket(s, server_hostname=HOST.decode())


def run(w, what, connect):
    ctx = ssl.create_default_context(cafile=w.path("ca.pem"))
    before = w.received().count(b"#REQ")

    def one(case):
        name, verdict, raw = case
        try:
            s = connect(w, ctx)
            s.settimeout(1)
            return name, verdict, exchange(s, aimed(raw, verdict))
        except (OSError, ssl.SSLError) as e:
            return name, verdict, repr(e).encode()

    def again(case):  # what had no answer in a second, on a machine that stands still now and then
        s = connect(w, ctx)
        s.settimeout(60)
        return case[0], case[1], exchange(s, aimed(case[2], case[1]))

    def all_of(wanted):
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            return list(pool.map(one, [c for c in cases() if c[1] == wanted and c[0] not in OURS]))
    rejects = all_of("reject")
    # The reader's own refusal, or a close without an answer: not "your JSON is bad", which would mean that it was taken.
    taken = [(n, got[:300]) for n, _, got in rejects if got and b"malformed_request" not in got]
    check(len(rejects) > 300 and not taken, f"{what}: all {len(rejects)} must-reject requests are refused", (len(taken), taken[:5]))
    check(w.received().count(b"#REQ") == before, f"{what}: nothing was forwarded", w.received().count(b"#REQ") - before)
    accepts = all_of("accept")
    by_name = {c[0]: c for c in cases() if c[1] == "accept"}
    accepts = [a if a[2].startswith(b"HTTP/1.1 ") else again(by_name[a[0]]) for a in accepts]
    refused = [(n, got[:300]) for n, _, got in accepts if b"malformed_request" in got[:600] or not got.startswith(b"HTTP/1.1 ")]
    check(len(accepts) > 10 and not refused, f"{what}: all {len(accepts)} must-accept requests are taken", (len(refused), refused[:5]))
    print(f"{what}: {len(rejects)} refused, {len(accepts)} taken", flush=True)


def main():
    if not os.path.isdir(SHARED):
        skip("../shared/http is absent: public malformed requests not sent")
        finish()
    w = FaultyWorld(tempfile.mkdtemp(prefix="sluice-smuggle-"))
    with whole_test(w):
        w.start_mock()
        w.configure(auth="false", limits="header_timeout: 1s, body_timeout: 1s, idle_timeout: 1s")
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        with open(w.path("ca.pem"), "w") as f:
            f.write(w.sluice("ca", "export", "-c", w.path("sluice.yaml")))
        if check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            run(w, "gateway port", direct)
            run(w, "through CONNECT", tunnel)
            check(w.stop() == 0, "the gateway stops")


main()
