#!/usr/bin/env python3
"""Clients that mean harm, and many of them: slow ones, floods, thousands of idle and streaming connections.

usage: tests/e2e/hostile.py BUILD-DIR CACHE-DIR MODEL [IDLE [STREAMS]]
Ends with the line "N passed, N failed, N skipped"."""
import os
import resource
import select
import socket
import sys
import tempfile
import time
import zlib

from faulty import FaultyWorld, completed_and_decided
from wire import request_of
from world import check, skip, wait_for, whole_test

IDLE = int(sys.argv[4]) if len(sys.argv) > 4 else 10000
STREAMS = int(sys.argv[5]) if len(sys.argv) > 5 else 1000
MEGABYTE = 1000 * 1000
PER_CLIENT = 700  # connections
CAPS = f"max_connections: {IDLE + STREAMS + 200}, max_connections_per_client: {PER_CLIENT}, max_memory: 256MiB, max_memory_per_client: 64MiB"


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


def exchange(s, data, seconds=60):
    """Sends and reads to the end; what came, however it ended."""
    got = b""
    s.settimeout(seconds)
    try:
        s.sendall(data)
        while True:
            part = s.recv(65536)
            if not part:
                return got
            got += part
    except OSError:
        return got


def connect(w, source="127.0.0.1"):
    s = socket.socket()
    s.bind((source, 0))
    s.connect(("127.0.0.1", w.port))
    return s


def post_head(w, length, more=""):
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {w.key}\r\nContent-Length: {length}\r\n{more}\r\n").encode()


def too_many_connections(w):
    held, told, begin = [connect(w, "127.0.2.1") for _ in range(PER_CLIENT + 20)], [], time.time()
    while len(told) < 20 and time.time() - begin < 60:
        for s in select.select(held[-60:], [], [], 0.1)[0]:  # two workers take them, in no certain order
            told.append(exchange(s, b""))
            held.remove(s)
    check(len(told) == 20 and all(t.startswith(b"HTTP/1.1 429") and b"Retry-After: 1" in t and t.endswith(b"}\n") for t in told),
          "beyond the cap of one address a connection gets a whole 429 at once", (len(told), told[:1]))
    status, _, raw = w.ask("chat", "hello", model="plain-1")
    check(status == 200, "other addresses are served meanwhile", (status, raw[:100]))
    for s in held:
        s.close()


def too_much_memory(w):
    held, statuses = [], []
    for address in range(1, 7):
        for _ in range(3):
            s, before = connect(w, f"127.0.3.{address}"), w.gauge("request_memory_bytes")
            s.sendall(post_head(w, 7 << 20) + b"{")
            held.append(s)
            waits = lambda s=s: bool(select.select([s], [], [], 0.02)[0])
            wait_for("it is refused or taken", lambda: waits() or w.gauge("request_memory_bytes") > before)
            statuses.append(int(s.recv(4096)[9:12]) if waits() else 100)  # 100: it waits for the rest
    check(statuses.count(100) == 9 and 429 in statuses and 503 in statuses and set(statuses) == {100, 429, 503},
          "bodies are refused before they are read: 429 for one address, 503 when all is taken", statuses)
    check(w.gauge("request_memory_bytes") > 200 << 20 and w.admin_get("/healthz")[0] == 200, "the admin port answers meanwhile")
    status, fields, _ = w.ask("chat", "hello", model="plain-1")
    check(status == 200 or (status == 503 and fields.get("retry-after")), "and small requests are served or told to come back", status)
    for s in held:
        s.close()
    wait_for("memory is given back", lambda: w.gauge("request_memory_bytes") == 0)


def slow_and_odd(w):
    """Clients that are slow or strange, many of each at once: each ends by itself."""
    slow_heads = [connect(w, "127.0.4.1") for _ in range(150)]
    slow_bodies = [connect(w, "127.0.4.2") for _ in range(50)]
    readers = [connect(w, "127.0.4.3") for _ in range(40)]
    before = w.rss_kb()
    for s in slow_heads:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHo")
    for s in slow_bodies:
        s.sendall(post_head(w, 1000) + b"{")
    for s in readers:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(request_bytes(w.key, "[[mock say=fox words=800000 piece=4000]]"))
    for _ in range(500):  # a flood of connections that say nothing, or nonsense, and go
        s = connect(w, "127.0.4.4")
        if _ % 3 == 0:
            s.send(os.urandom(50))
        s.close()
    got = exchange(connect(w), b"GET / HTTP/1.1\r\nHost: a\r\nX-Large: " + b"a" * 200_000 + b"\r\n\r\n")
    check(got[9:12] == b"431", "a huge header is 431", got[:40])
    got = exchange(connect(w), b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    check(got[9:12] == b"414", "a huge request line is 414", got[:40])
    one = b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + w.key.encode() + b"\r\n\r\n"
    got = exchange(connect(w), one * 99 + one.replace(b"Host", b"Connection: close\r\nHost"))
    check(got.count(b"HTTP/1.1 200 OK") == 100, "a hundred pipelined requests have a hundred answers", got.count(b"HTTP/1.1"))
    s = connect(w)
    s.sendall(request_bytes(w.key, "[[mock say=fox words=40 interval=50]]"))
    s.shutdown(socket.SHUT_WR)
    exchange(s, b"")
    bomb = zlib.compress(b"[" + b" " * 150_000_000)
    statuses = [exchange(connect(w), post_head(w, len(bomb), "Connection: close\r\nContent-Encoding: deflate\r\n") + bomb)[9:12] for _ in range(6)]
    check(set(statuses) == {b"413"}, "decompression bombs are 413", statuses)
    for s in readers:
        s.setblocking(False)
    check(w.rss_kb() - before < 90_000, "40 clients that do not read streams of 4 MB cost less than 90 MB", (before, w.rss_kb()))
    for what, many in (("heads", slow_heads), ("bodies", slow_bodies)):
        answers = [exchange(s, b"") for s in many]
        check(all(a.startswith(b"HTTP/1.1 408") for a in answers), f"slow {what} are 408", [a[:30] for a in answers if a[9:12] != b"408"][:3])
    for s in readers:
        s.close()
    w.quiet()


class Crowd:
    """Idle connections, half of which have had a request, and streams beside them."""

    def __init__(self, w, n_idle, n_streams):
        self.w, self.n_idle, self.n_streams, self.peak, self.whole = w, n_idle, n_streams, 0, 0
        self.idle = open_many(w.port, n_idle)
        for s in self.idle[::2]:
            s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + w.key.encode() + b"\r\n\r\n")
        wait_for("all connections are taken", lambda: w.gauge("connections") == n_idle, 30, 0.1)
        wait_for("all answers came", lambda: w.gauge("requests_active") == 0, 30, 0.1)
        self.with_idle = w.rss_kb()
        self.streams = open_many(w.port, n_streams)
        for s in self.streams:
            s.setblocking(True)
            s.sendall(request_bytes(w.key, "stream [[mock say=fox words=30 interval=50]]"))
            s.setblocking(False)

    def read(self):
        """Reads all streams to their end."""
        poll, by_fd, ended, end = select.epoll(), {s.fileno(): s for s in self.streams}, set(), time.time() + 300
        tails = dict.fromkeys(by_fd, b"")
        for fd in by_fd:
            poll.register(fd, select.EPOLLIN)
        while len(ended) < len(by_fd) and time.time() < end:
            for fd, _ in poll.poll(0.2):
                try:
                    part = by_fd[fd].recv(65536)
                except OSError:
                    part = b""
                tails[fd] = (tails[fd] + part)[-40:]
                if not part or tails[fd].endswith(b"0\r\n\r\n"):
                    ended.add(fd)
                    poll.unregister(fd)
            self.peak = max(self.peak, self.w.rss_kb())
        self.all_there = self.w.gauge("connections") == self.n_idle + self.n_streams
        self.whole = sum(b"[DONE]" in tail for tail in tails.values())

    def leave(self):
        for s in self.idle + self.streams:
            s.close()
        self.w.quiet(30)


def many_connections(w):
    """10,000 idle connections and 1,000 streams: below 100 MB together, and given back afterwards."""
    for i in range(20):  # code and tables that the first requests touch
        w.ask("chat", "hello", i % 2 == 0, "gpt-4o" if i % 4 < 2 else "plain-1")
        w.admin_get("/metrics")
    w.quiet()
    time.sleep(1.5)
    fresh = w.rss_kb()
    first = Crowd(w, IDLE, STREAMS // 2)  # what one crowd leaves must not add to the next one
    first.read()
    first.leave()
    crowd = Crowd(w, IDLE, STREAMS)
    crowd.read()
    check(crowd.all_there, "none of them was closed", w.gauge("connections"))
    check(crowd.whole == STREAMS, f"{STREAMS} streams end whole beside {IDLE} idle connections", crowd.whole)
    check(crowd.peak * 1024 < 100 * MEGABYTE, f"{IDLE} idle and {STREAMS} streaming connections take less than 100 MB", f"{crowd.peak} KiB")
    crowd.leave()
    after, end = w.rss_kb(), time.time() + 60  # memory goes back
    while after > fresh * 1.10 and time.time() < end:
        time.sleep(0.25)
        after = w.rss_kb()
    check(after <= fresh * 1.10, "memory is within 10 % of what it was before them", (fresh, after))
    print(f"RSS: {fresh} KiB idle, {crowd.with_idle} with {IDLE} connections, {crowd.peak} with {STREAMS} streams more, {after} afterwards")


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    w = FaultyWorld(tempfile.mkdtemp(prefix="sluice-hostile-"))
    with whole_test(w):
        w.start_mock()
        w.configure(limits=CAPS + ", header_timeout: 5s, body_timeout: 6s, idle_timeout: 5m", first_byte="5m")
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        for part in (too_many_connections, too_much_memory, slow_and_odd):
            begin = time.time()
            part(w)
            print(f"{part.__name__}: {time.time() - begin:.1f} s")
        w.stop()
        w.configure(limits=CAPS + ", idle_timeout: 10m", first_byte="5m")
        w.start()
        if hard < IDLE + 2 * STREAMS + 200:
            skip(f"{hard} descriptors are not enough for {IDLE} idle connections")
        else:
            many_connections(w)
        check(w.stop() == 0, "the gateway stops")
        decided, completed, ends = completed_and_decided(w)
        check(set(decided) <= set(completed) and set(completed.values()) == {1}, "one completed record each", len(completed))


main()
