#!/usr/bin/env python3
"""Clients that mean harm, and many of them: slow ones, floods, thousands of idle and streaming connections.

usage: tests/e2e/hostile.py BUILD-DIR CACHE-DIR MODEL [IDLE [STREAMS]]
Ends with the line "N passed, N failed, N skipped"."""
import os
import resource
import select
import shutil
import socket
import sys
import tempfile
import time
import traceback

from faulty import FaultyWorld, completed_and_decided
from wire import request_of
from world import check, count, skip, wait_for

IDLE = int(sys.argv[4]) if len(sys.argv) > 4 else 10000
STREAMS = int(sys.argv[5]) if len(sys.argv) > 5 else 1000
MEGABYTE = 1000 * 1000


def open_many(port, n, source=None):
    """n connections; from several loopback addresses, because one has not enough ports and is capped."""
    out = []
    for i in range(n):
        s = socket.socket()
        s.bind((source or f"127.0.{1 + i % 20}.1", 0))
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
        out.append(s)
    return out


def request_bytes(key, text, stream=True, model="plain-1"):
    path, headers, body = request_of("chat", text, key, stream, model=model)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    return head.encode() + b"\r\n" + body


def many_connections(w):
    """10,000 idle connections and 1,000 streams: below 100 MB together, and given back afterwards."""
    def rest():
        time.sleep(1.5)  # memory goes back at a quiet moment
        return w.rss_kb()
    # One round of everything first: what is there for good (code, caches, rules) is there afterwards.
    warm = open_many(w.port, 50)
    for s in warm:
        s.setblocking(True)
        s.sendall(request_bytes(w.key, "warm [[mock say=fox words=50]]"))
        while b"[DONE]" not in s.recv(65536):
            pass
        s.close()
    w.quiet()
    before = rest()
    idle = open_many(w.port, IDLE)
    for s in idle[::2]:  # half of them have had a request, as pools of SDKs have
        s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + w.key.encode() + b"\r\n\r\n")
    wait_for("all connections are taken", lambda: w.gauge("connections") == IDLE, 30, 0.1)
    wait_for("all answers came", lambda: w.gauge("requests_active") == 0, 30, 0.1)
    with_idle = w.rss_kb()
    streams = open_many(w.port, STREAMS)
    for s in streams:
        s.setblocking(True)
        s.sendall(request_bytes(w.key, "stream [[mock say=fox words=60 interval=50]]"))
        s.setblocking(False)
    poll = select.epoll()
    by_fd = {s.fileno(): s for s in streams}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    ended, got, peak, end = set(), {fd: b"" for fd in by_fd}, 0, time.time() + 60
    while len(ended) < len(streams) and time.time() < end:
        for fd, _ in poll.poll(0.2):
            try:
                part = by_fd[fd].recv(65536)
            except OSError:
                part = b""
            got[fd] = (got[fd] + part)[-40:]
            if not part or b"0\r\n\r\n" in got[fd]:
                ended.add(fd)
                poll.unregister(fd)
        peak = max(peak, w.rss_kb())
    whole = sum(b"[DONE]" in tail for tail in got.values())
    check(whole == STREAMS, f"{STREAMS} streams end whole beside {IDLE} idle connections", whole)
    check(peak * 1024 < 100 * MEGABYTE, f"{IDLE} idle and {STREAMS} streaming connections take less than 100 MB", f"{peak} KiB")
    for s in idle + streams:
        s.close()
    w.quiet(30)
    after = rest()
    check(after <= before * 1.10, "memory is within 10 % of idle afterwards", (before, after))
    print(f"RSS: {before} KiB idle, {with_idle} with {IDLE} connections, {peak} with {STREAMS} streams more, {after} afterwards")


def main():
    work = tempfile.mkdtemp(prefix="sluice-hostile-")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    w = FaultyWorld(work)
    try:
        w.start_mock()
        w.configure(limits=f"max_connections: {IDLE + STREAMS + 100}", first_byte="20s")
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        if hard < IDLE + 2 * STREAMS + 200:
            skip(f"{hard} descriptors are not enough for {IDLE} idle connections")
        else:
            many_connections(w)
        check(w.stop() == 0, "the gateway stops")
    except Exception:  # a test that breaks off is a failure, and the rest of the world is still stopped
        check(False, "the run reached its end", traceback.format_exc())
    finally:
        w.end()
        if count["failed"] == 0:
            shutil.rmtree(work, ignore_errors=True)
        else:
            print("left for inspection:", work)
        print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
        sys.exit(count["failed"] != 0)


main()
