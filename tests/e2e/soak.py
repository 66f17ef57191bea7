#!/usr/bin/env python3
"""A million requests of all kinds, and the gateway holds no more at the end than after the first tenth.

usage: tests/e2e/soak.py BUILD-DIR CACHE-DIR MODEL [REQUESTS]
Wants BUILD-DIR/tests/bench/load. Ends with the line "N passed, N failed, N skipped"."""
import json
import subprocess
import sys
import tempfile
import time

from faulty import FaultyWorld, sanitizer_findings
from wire import request_of
from world import BUILD, SECRET, check, whole_test

REQUESTS = int(sys.argv[4]) if len(sys.argv) > 4 else 1_000_000
ROUNDS = 10
# Share of the requests, client's dialect, model, stream, text: bytes that pass, edits and restored values, translations, errors.
KINDS = [(0.35, "chat", "plain-1", False, "hello [[mock say=fox]]"), (0.25, "chat", "gpt-4o", True, "hello [[mock say=fox words=30]]"),
         (0.15, "chat", "plain-1", True, f"Key {SECRET} [[mock piece=3]]"), (0.10, "anthropic", "gpt-4o", True, f"Key {SECRET}"),
         (0.10, "responses", "claude-test-1", False, "x " * 2000), (0.05, "chat", "plain-1", False, "[[mock status=500]]")]


def run_round(w, n):
    """n requests, all kinds at once. Returns (requests, errors other than those asked for)."""
    jobs = []
    for i, (share, dialect, model, stream, text) in enumerate(KINDS):
        path, headers, body = request_of(dialect, text, w.key, stream, model=model)
        with open(w.path(f"body{i}"), "wb") as f:
            f.write(body)
        argv = [BUILD + "/tests/bench/load", "--conns", "8", "--count", str(max(1, round(n * share))), "--seconds", "3600", "--body",
                w.path(f"body{i}")]
        for k, v in headers.items():
            argv += ["--header", f"{k}: {v}"]
        jobs.append((subprocess.Popen([*argv, "127.0.0.1", str(w.port), path], stdout=subprocess.PIPE, text=True), "status=500" in text))
    total = errors = 0
    for p, fails in jobs:
        got = json.loads(p.communicate()[0])
        total += got["requests"]
        errors += 0 if fails else got["errors"]
    return total, errors


def main():
    w = FaultyWorld(tempfile.mkdtemp(prefix="sluice-soak-"))
    with whole_test(w):
        w.start_mock()
        w.configure(first_byte="20s", audit=", max_spool: 2GiB, segment: 16MiB, retain: 2s")
        w.key = w.new_key("tester")
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        total = errors = 0
        rss, fds, begin = [], [], time.time()
        for _ in range(ROUNDS):
            n, bad = run_round(w, REQUESTS // ROUNDS)
            total, errors = total + n, errors + bad
            w.quiet()
            time.sleep(2.5)
            rss.append(w.rss_kb())
            fds.append(w.fds())
        print(f"{total} requests in {time.time() - begin:.0f} s; RSS after each tenth, KiB: {rss}; descriptors: {fds}")
        check(total >= REQUESTS * 0.94 and errors == 0, "every request succeeded", (total, errors))
        check(rss[-1] <= rss[0] * 1.05 + 1024, "memory does not grow", rss)
        check(max(fds) <= fds[0] + 16, "descriptors do not grow", fds)
        check(w.stop() == 0, "the gateway stops")
        sanitizer_findings(open(w.path("gateway.log")).read())


main()
