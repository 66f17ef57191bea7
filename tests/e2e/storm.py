#!/usr/bin/env python3
"""The real gateway while its allocations, its sockets and its disk fail at random (tests/fault/inject.c): it must not crash, hang,
leak, or lose count of its requests, and must serve again when the storm is over.

usage: tests/e2e/storm.py BUILD-DIR CACHE-DIR MODEL [SECONDS [SEED]]
Wants BUILD-DIR/sluice-fault. The seed is printed. Ends with the line "N passed, N failed, N skipped"."""
import gzip
import http.client
import mmap
import random
import ssl
import struct
import sys
import tempfile
import threading
import time

from faulty import FaultyWorld, completed_and_decided, sanitizer_findings
from wire import request_of
from world import SECRET, check, wait_for, whole_test

DURATION = float(sys.argv[4]) if len(sys.argv) > 4 else 60
SEED = int(sys.argv[5]) if len(sys.argv) > 5 else random.randrange(1 << 30)
HANG = 25  # seconds: longer than every timeout of the gateway below, with a sanitizer's slowness
# One call in so many fails: allocations, sockets, files. Each lasts a second, then the next one.
PHASES = [(2000, 0, 0), (0, 300, 0), (200, 0, 0), (0, 40, 0), (0, 0, 300), (50, 0, 0), (500, 100, 2000), (0, 12, 0), (0, 0, 20)]
MODELS = {"chat": ("gpt-4o", "plain-1", "claude-test-1", "gemini-2.5-flash"), "anthropic": ("claude-test-1", "gpt-4o", "plain-1"),
          "responses": ("plain-1", "claude-test-1"), "gemini": ("gemini-2.5-flash", "gpt-4o"), "completions": ("plain-1",)}
MOCK = ["", "", "", "say=fox words=200 piece=3", "interval=3", "status=429", "status=500", "fault=reset at=3", "fault=stall at=3",
        "fault=garbage at=2", "chunk=1", "tool=1", "think=1", "cut=2", "say=leak"]


class Faults:
    """The file that the gateway has mapped."""

    def __init__(self, path):
        with open(path, "wb") as f:
            f.write(struct.pack("<IIIIQQQ", 0, 0, 0, SEED, 0, 0, 0))
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def set(self, alloc, net, file):
        self.map[0:12] = struct.pack("<III", alloc, net, file)

    def counts(self):
        return struct.unpack("<QQQ", self.map[16:40])


class Client(threading.Thread):
    def __init__(self, w, number):
        super().__init__()
        self.w, self.rng, self.stop, self.n, self.hangs, self.blamed, self.answered = \
            w, random.Random(SEED * 1000 + number), False, 0, [], [], {}
        self.ctx = ssl.create_default_context(cafile=w.path("ca.pem"))

    def connect(self, tunnel):
        if not tunnel:
            return http.client.HTTPConnection("127.0.0.1", self.w.port, timeout=HANG)
        c = http.client.HTTPSConnection("127.0.0.1", self.w.proxy, timeout=HANG, context=self.ctx)
        c.set_tunnel("api.openai.com", 443)
        return c

    def one(self, c, tunnel):
        dialect = "chat" if tunnel else self.rng.choice(list(MODELS))
        text = f"Key {SECRET} and {'words ' * self.rng.choice((1, 10, 3000))} [[mock {self.rng.choice(MOCK)}]]"
        path, headers, body = request_of(dialect, text, self.w.key, self.rng.random() < 0.5, model=self.rng.choice(MODELS[dialect]))
        if self.rng.random() < 0.2:
            body, headers = gzip.compress(body), {**headers, "Content-Encoding": "gzip"}
        c.request("POST", path, body, headers)
        r = c.getresponse()
        self.answered[r.status] = self.answered.get(r.status, 0) + 1
        if self.rng.random() < 0.1:
            r.read(self.rng.choice((1, 200)))
            c.close()  # a client that leaves
            return
        raw = r.read()
        if 400 <= r.status < 500 and r.status not in (408, 429):
            self.blamed.append((r.status, raw[:300]))  # nothing is wrong with the request

    def run(self):
        c, tunnel = None, False
        while not self.stop:
            begin = time.time()
            try:
                if c is None or self.rng.random() < 0.2:
                    if c is not None:
                        c.close()
                    tunnel = self.rng.random() < 0.3
                    c = self.connect(tunnel)
                self.n += 1
                self.one(c, tunnel)
            except (OSError, http.client.HTTPException):
                if c is not None:
                    c.close()
                c = None
            if time.time() - begin > HANG - 1:
                self.hangs.append((self.n, tunnel, time.time() - begin))
        if c is not None:
            c.close()


def storm(w, faults):
    clients = [Client(w, n) for n in range(12)]
    [c.start() for c in clients]
    end, phase = time.time() + DURATION, 0
    rng = random.Random(SEED)
    while time.time() < end and w.gateway.poll() is None:
        faults.set(*PHASES[phase % len(PHASES)] if phase < len(PHASES) else rng.choice(PHASES))
        phase += 1
        time.sleep(min(1, DURATION / len(PHASES)))
    faults.set(0, 0, 0)
    for c in clients:
        c.stop = True
    [c.join() for c in clients]
    answered = {}
    for c in clients:
        for status, n in c.answered.items():
            answered[status] = answered.get(status, 0) + n
    print(f"{sum(c.n for c in clients)} requests, answered {dict(sorted(answered.items()))}")
    print("faults: {} allocations, {} on sockets, {} on files".format(*faults.counts()), flush=True)
    check(not [h for c in clients for h in c.hangs], "no request hung", [c.hangs for c in clients])
    blamed = [b for c in clients for b in c.blamed]
    check(not blamed, "no client was blamed for the gateway's trouble", (len(blamed), blamed[:6]))
    return sum(c.n for c in clients)


def after(w, fds, n):
    """The storm is over: everything is given back, everything works."""
    check(w.gateway.poll() is None, "the gateway lives", w.gateway.poll())
    w.quiet(30)
    wait_for("the disk is trusted again", lambda: w.gauge("audit_writable") == 1, 10)
    bad = []
    for i in range(40):
        status, fields, raw = w.ask("chat", f"Key {SECRET}", i % 2 == 0, "gpt-4o" if i % 4 < 2 else "plain-1")
        if status != 200 or "cut" in fields or SECRET.encode() not in raw:
            bad.append((status, raw[:200]))
    check(not bad, "every request succeeds again", bad[:3])
    w.quiet()
    check(w.fds() <= fds + 34, "no descriptor is left", (fds, w.fds()))
    print(f"RSS {w.rss_kb()} KiB, descriptors {w.fds()} (before: {fds})")


def judge(w):
    decided, completed, ends = completed_and_decided(w)
    check(decided and max(decided.values()) == 1 and max(completed.values()) == 1, "at most one record of a kind for a request",
          [k for k, v in [*decided.items(), *completed.items()] if v > 1][:5])
    lost = [k for k in decided if k not in completed]
    print(f"{len(decided)} decided, {len(completed)} completed, {len(lost)} without an end yet")
    return decided, completed, ends, lost


def main():
    work = tempfile.mkdtemp(prefix="sluice-storm-")
    print("seed", SEED, flush=True)
    options = "detect_leaks=1:allocator_may_return_null=1:abort_on_error=0"
    faults = Faults(work + "/plan")
    w = FaultyWorld(work, "sluice-fault", {"SLUICE_FAULT": work + "/plan", "ASAN_OPTIONS": options, "UBSAN_OPTIONS": "print_stacktrace=1"})
    with whole_test(w):
        w.start_mock()
        w.configure(limits="header_timeout: 2s, body_timeout: 3s, idle_timeout: 10s, request_timeout: 8s", first_byte="1500ms", connect="1s")
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        with open(w.path("ca.pem"), "w") as f:
            f.write(w.sluice("ca", "export", "-c", w.path("sluice.yaml")))
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        w.ask("chat", "hello", model="gpt-4o")
        fds = w.fds()
        n = storm(w, faults)
        after(w, fds, n)
        check(w.stop() == 0, "the gateway stops", w.gateway.returncode)
        lost = judge(w)[3]
        check(len(lost) <= faults.counts()[2], "only a broken disk keeps an end from being written", (len(lost), faults.counts()))
        # What lost its end to a broken disk gets one at the next start.
        w.binary = "sluice"
        w.start()
        w.stop()
        decided, completed, ends, lost = judge(w)
        check(not lost, "every decided request has its completed record", lost[:5])
        sanitizer_findings(open(w.path("gateway.log")).read())


main()
