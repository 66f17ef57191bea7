#!/usr/bin/env python3
"""Providers that fail in every way: each request ends in time with the right error and one completed record, and the gateway
holds nothing of it afterwards. Once alone, then once more under 200 requests a second of ordinary load.

usage: tests/e2e/faults.py BUILD-DIR CACHE-DIR MODEL
Wants BUILD-DIR/tests/bench/load. Ends with the line "N passed, N failed, N skipped"."""
import concurrent.futures
import http.client
import json
import subprocess
import tempfile
import threading
import time

from faulty import FaultyWorld, completed_and_decided, sanitizer_findings
from wire import ENDS, request_of
from world import BUILD, SECRET, check, skip, whole_test

LOAD, CLIENTS = 200, 6  # requests a second; connections for each quarter of them
# Those are asked of targets that are given up after 1.5 s; all others have a minute, which a machine that stands still does not use up.
SLOW = ("fault=stall", "drip=40")

# What the mock is told, the statuses that are right before anything was sent, and whether an answer may begin and break off.
BROKEN = [(f"fault={kind} at={at}", (504,) if kind == "stall" else (502,), at >= 2)
          for kind in ("reset", "close", "half", "stall", "garbage") for at in range(4)] + \
    [("length=9", (502,), True), ("drip=40", (504,), True)]
# What must arrive whole.
WHOLE = ["chunk=1", "drip=0 upto=60", "crlf=1", "interval=2"]
STATUS = [429, 500, 503, 529]
# Models whose target cannot be talked to, and a word of the reason.
DEAD = [("wrongname", b"certificate"), ("expired", b"certificate"), ("stranger", b"certificate"), ("unknown", b"resolve"),
        ("closed", b"refused"), ("nottls", b"TLS")]
# Client's dialect and model: same dialect over TLS and plain, translated both ways.
WAYS = [("chat", "gpt-4o"), ("chat", "plain-1"), ("anthropic", "gpt-4o"), ("chat", "claude-test-1"), ("responses", "plain-1"),
        ("gemini", "gemini-2.5-flash")]


def is_whole(dialect, stream, fields, raw):
    """A client takes the answer for a complete one."""
    if "cut" in fields:
        return False
    if stream:
        return ENDS[dialect] in raw and b'"error":{' not in raw and b"event: error" not in raw
    try:
        return "error" not in json.loads(raw) or json.loads(raw)["error"] is None
    except ValueError:
        return False


class Run:
    """One pass over all faults."""

    def __init__(self, w, label):
        self.w, self.label, self.n, self.lock, self.bad = w, label, 0, threading.Lock(), []

    def ask(self, dialect, text, stream, model):
        status, fields, raw = self.w.ask(dialect, text, stream, model)
        with self.lock:
            self.n += 1
        return status, fields, raw

    def fail(self, *what):
        with self.lock:
            self.bad.append(what)

    def broken(self, fault, statuses, may_begin, way, stream):
        dialect, model = way[0], ("hasty" if fault.startswith(SLOW) else "") + way[1]
        status, fields, raw = self.ask(dialect, f"Key {SECRET} and some words [[mock {fault}]]", stream, model)
        begun = may_begin and status == 200 and not is_whole(dialect, stream, fields, raw)
        if status not in statuses and not begun:
            self.fail(fault, dialect, model, stream, status, fields.get("cut"), raw[-200:])

    def whole(self, fault, way, stream):
        dialect, model = way
        status, fields, raw = self.ask(dialect, f"Key {SECRET} and some words [[mock {fault}]]", stream, model)
        if status != 200 or not is_whole(dialect, stream, fields, raw):
            self.fail(fault, dialect, model, stream, status, fields.get("cut"), raw[-200:])

    def status(self, wanted, way, stream):
        dialect, model = way
        status, _, raw = self.ask(dialect, f"hello [[mock status={wanted} after=1]]", stream, model)
        # 529 is Anthropic's own number for 503; who translates it may say either.
        if status != wanted and not (wanted == 529 and status in (503, 529)):
            self.fail("status", wanted, dialect, model, stream, status, raw[:200])

    def dead(self, name, word, dialect, stream):
        status, _, raw = self.ask(dialect, "hello", stream, name + "-1")
        if status not in (502, 504) or word not in raw:
            self.fail("dead", name, dialect, stream, status, raw[:300])

    def leave(self, way, after):
        """A client that goes away at a phase of the answer."""
        dialect, model = way
        path, headers, body = request_of(dialect, "words [[mock say=fox words=40 interval=20 ttft=100]]", self.w.key, True, model=model)
        c = http.client.HTTPConnection("127.0.0.1", self.w.port, timeout=60)
        try:
            c.request("POST", path, body, headers)
            with self.lock:
                self.n += 1
            if after > 0:
                c.getresponse().read(after)
            else:
                time.sleep(0.05)
        except (OSError, http.client.HTTPException) as e:
            self.fail("leave", way, after, repr(e))
        finally:
            c.close()

    def jobs(self):
        for way in WAYS:
            for stream in (False, True):
                for fault in BROKEN:
                    if stream and "length" in fault[0]:
                        continue  # a stream has none
                    yield self.broken, (*fault, way, stream)
                for fault in WHOLE:
                    yield self.whole, (fault, way, stream)
                for status in STATUS:
                    yield self.status, (status, way, stream)
            for after in (0, 1, 300):
                yield self.leave, (way, after)
        for name, word in DEAD:
            yield self.dead, (name, word, "chat", False)
            yield self.dead, (name, word, "anthropic", True)

    def go(self):
        with concurrent.futures.ThreadPoolExecutor(48) as pool:
            list(pool.map(lambda job: job[0](*job[1]), self.jobs()))
        check(not self.bad, f"{self.label}: every one of {self.n} requests ended in time with the right error",
              f"{len(self.bad)}: " + "\n".join(map(str, self.bad[:12])))


class Load:
    """Ordinary requests at a rate, over connections that are kept: whole answers and streams of two targets."""

    def __init__(self, w, rate):
        self.jobs = []
        for i, (stream, model) in enumerate((s, m) for s in (False, True) for m in ("gpt-4o", "plain-1")):
            path, headers, body = request_of("chat", "load [[mock say=fox words=8]]", w.key, stream, model=model)
            with open(w.path(f"load{i}"), "wb") as f:
                f.write(body)
            argv = [BUILD + "/tests/bench/load", "--conns", str(CLIENTS), "--rate", str(rate / 4), "--seconds", "3600", "--until-eof",
                    "--expect", "[DONE]" if stream else "fox", "--body", w.path(f"load{i}")]
            for k, v in headers.items():
                argv += ["--header", f"{k}: {v}"]
            self.jobs.append(subprocess.Popen([*argv, "127.0.0.1", str(w.port), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def end(self):
        """Sets n, the requests that were sent; bad, those that failed; and the requests a second that it reached."""
        for p in self.jobs:
            p.stdin.close()
        got = [json.loads(p.stdout.read() or '{"sent": 0, "errors": 1, "rps": 0}') for p in self.jobs]
        [p.wait() for p in self.jobs]
        self.n, self.bad, self.reached = (sum(g[k] for g in got) for k in ("sent", "errors", "rps"))


def big(w):
    """A hundred megabytes, as a stream and as one document: bounded memory either way."""
    before = w.rss_kb()
    peak, stop = [0], threading.Event()

    def watch():
        while not stop.wait(0.02):
            peak[0] = max(peak[0], w.rss_kb())
    t = threading.Thread(target=watch)
    t.start()
    status, fields, raw = w.ask("chat", "[[mock say=fox words=20000000 piece=60000]]", True, "large-1", timeout=60)
    check(status == 200 and "cut" not in fields and len(raw) > 100_000_000, "a stream of 100 MB arrives whole", (status, len(raw)))
    check(peak[0] - before < 30_000, "and takes less than 30 MB", (before, peak[0]))
    status, fields, raw = w.ask("chat", "[[mock say=fox words=20000000]]", False, "large-1", timeout=60)
    check(status in (200, 502), "a document of 100 MB passes or is refused", (status, raw[:200]))
    print(f"100 MB: peak RSS {peak[0]} KiB after {before}, document: {status}")
    stop.set()
    t.join()
    return 2


def main():
    w = FaultyWorld(tempfile.mkdtemp(prefix="sluice-faults-"))
    with whole_test(w):
        w.start_mock()
        w.add_bad_servers()
        w.configure(limits="request_timeout: 2m", more_targets=w.hasty_targets() + f"  large: {{ kind: openai, base_url: 'http://127.0.0.1:{w.mock_http}/v1', "
                    "zone: approved, models: ['large-*'] }\n")
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        w.ask("chat", "hello", model="gpt-4o")
        first = Run(w, "alone")
        first.go()
        w.quiet()
        fds, rss = w.fds(), w.rss_kb()
        load = Load(w, LOAD)
        second = Run(w, "under load")
        second.go()
        load.end()
        print(f"load: {load.reached:.0f} requests a second; RSS {rss} KiB, then {w.rss_kb()}; descriptors {fds}, then {w.fds()}")
        check(load.n > 100 and load.bad == 0, f"{load.n} ordinary requests beside it all succeeded", load.bad)
        if load.reached < LOAD * 0.95:
            skip(f"this machine was too busy for {LOAD} requests a second beside the faults: there were {load.reached:.0f}")
        w.quiet()
        # Up to 4 idle connections a worker and living target are kept.
        check(w.fds() <= fds + 32, "no descriptor is left", (fds, w.fds()))
        check(w.rss_kb() <= rss * 1.15 + 4096, "no memory is left", (rss, w.rss_kb()))
        n_big = big(w)
        w.quiet()
        check(w.stop() == 0, "the gateway stops")
        decided, completed, ends = completed_and_decided(w)
        asked = 1 + first.n + second.n + load.n + n_big
        check(len(completed) == asked and set(completed.values()) == {1}, "exactly one completed record each",
              (asked, len(completed), [k for k, v in completed.items() if v != 1][:5]))
        check(set(decided) <= set(completed) and set(decided.values()) == {1}, "and one decided record", len(decided))
        kinds = {end: list(ends.values()).count(end) for end in set(ends.values())}
        check(set(kinds) == {"complete", "upstream_error", "timeout", "client_abort"}, "every end is one of four", kinds)
        sanitizer_findings(open(w.path("gateway.log")).read())


main()
