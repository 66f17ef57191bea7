#!/usr/bin/env python3
"""Where audit records go besides Kafka: a file, Splunk, Elastic, a webhook and syslog over TLS, all from one gateway, while receivers and the
gateway are killed. Every record must be with every receiver, in the order of its chain.

usage: tests/e2e/sinks.py BUILD-DIR CACHE-DIR MODEL
Ends with the line "N passed, N failed, N skipped"."""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from faulty import FaultyWorld, sanitizer_findings
from world import check, free_port, wait_for, whole_test

TOKENS = {"splunk": "0f5c2a1e-" + "token-of-splunk", "elastic": "ZWxhc3RpYy0" + "token", "webhook": "hook-" + "token-of-the-test", "syslog": "-"}


class Receiver:
    def __init__(self, w, kind):
        self.w, self.kind, self.port, self.out, self.process = w, kind, free_port(), w.path(kind + ".out"), None
        self.start(False)

    def start(self, wait=True):
        here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "receivers.py")
        self.process = subprocess.Popen([sys.executable, here, self.kind, str(self.port), self.w.path("up.pem"), self.w.path("up.key"), self.out,
                                         TOKENS[self.kind]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if wait:
            self.ready()

    def ready(self):
        self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def mode(self, word):
        with open(self.out + ".mode", "w") as f:
            f.write(word)

    def lines(self):
        return [line.split() for line in self.text("").splitlines()]

    def text(self, suffix):
        try:
            with open(self.out + suffix) as f:
                return f.read()
        except OSError:
            return ""


class SinkWorld(FaultyWorld):
    def configure_sinks(self, receivers):
        port = {r.kind: r.port for r in receivers}
        for kind, token in TOKENS.items():
            self.write_secret(kind + ".token", token)
        batch = "batch: { every: 100ms, records: 250 }"
        there = f"ca: {self.path('up-ca.pem')}, timeout: 5s, {batch}"
        self.configure(audit=f""", sinks: [
  {{ name: lines, kind: file, path: {self.path('audit.jsonl')}, {batch} }},
  {{ name: splunk, kind: splunk, url: "https://localhost:{port['splunk']}", index: audit, token: file:{self.path('splunk.token')}, {there} }},
  {{ name: elastic, kind: elastic, url: "https://localhost:{port['elastic']}", index: audit-sluice, token: file:{self.path('elastic.token')}, {there} }},
  {{ name: hook, kind: webhook, url: "https://localhost:{port['webhook']}/in", token: file:{self.path('webhook.token')}, records: [decided, finding], {there} }},
  {{ name: siem, kind: syslog, address: "localhost:{port['syslog']}", {there} }}]""", extra="instance: gw-e2e")

    def figures(self):
        text = self.admin_get("/metrics")[1]
        got = collections.defaultdict(dict)
        for name, labels, value in re.findall(r"^sluice_audit_sink_(\w+)\{([^}]*)\} (\S+)$", text, re.M):
            sink = re.search('sink="([^"]*)"', labels)[1]
            reason = re.search('reason="([^"]*)"', labels)
            got[sink][name + (":" + reason[1] if reason else "")] = float(value)
        return got

    def caught_up(self):
        f = self.figures()
        return f and all(row["undelivered"] == 0 for row in f.values())


def load(w, key, stop, done):
    """Requests until told to stop; a gateway that is away is tried again."""
    while not stop.is_set():
        try:
            done.append(w.post("What is the capital of France?", key, model="gpt-4o", timeout=60)[0])
        except OSError:
            time.sleep(0.05)


def storm(w, receivers, key):
    """Receivers are killed and come back, one is busy, the file is rotated, and in the middle the gateway is killed."""
    stop, done = threading.Event(), []
    threads = [threading.Thread(target=load, args=(w, key, stop, done)) for _ in range(2)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    for r in receivers:
        r.kill()
        time.sleep(0.1)
        r.start()
    receivers[0].mode("busy")
    receivers[2].mode("slow")
    os.rename(w.path("audit.jsonl"), w.path("audit.jsonl.1"))
    w.gateway.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    w.stop(signal.SIGKILL)
    for r in receivers[1:]:
        r.kill()
    w.start()
    before = w.rss_kb()
    time.sleep(0.3)
    for r in receivers[1:]:
        r.start(False)
    receivers[0].mode("")
    time.sleep(0.3)
    check(w.rss_kb() - before < 64 * 1024, "memory does not grow while receivers are slow and away", (before, w.rss_kb()))
    receivers[2].mode("")
    wait_for("requests enough", lambda: len(done) > 50)
    stop.set()
    for t in threads:
        t.join()
    check(len(done) > 50 and set(done) == {200}, "requests were answered whatever the receivers did", collections.Counter(done))


def in_order(rows, chain_of, what):
    """The first time that each record comes, those before it in its chain have come."""
    last, seen = {}, set()
    wrong = 0
    for _, sequence, uid in rows:
        if uid in seen:
            continue
        seen.add(uid)
        chain = chain_of[uid]
        wrong += int(sequence) <= last.get(chain, 0)
        last[chain] = int(sequence)
    check(wrong == 0, what + ": in the order of each chain", wrong)


def judge(w, receivers):
    records = w.spool_records()
    chain_of = {r["metadata"]["uid"]: r["unmapped"].get("record_integrity", {}).get("chain_uid", "-") for r in records}
    code_of = {r["metadata"]["uid"]: r["metadata"]["event_code"] for r in records}
    starts = {u for u, c in code_of.items() if c == "sluice.started"}
    for r in receivers:
        rows = r.lines()
        got = {row[2] for row in rows}
        want = set(chain_of) - (starts if r.kind in ("splunk", "elastic") else set())
        if r.kind == "webhook":
            want = {u for u, c in code_of.items() if c in ("ai.request.decided", "ai.dlp.finding")}
        check(got == want, r.kind + ": every record at least once, and nothing else", (len(got), len(want), [code_of[u] for u in want - got][:5]))
        check(r.text(".faults") == "", r.kind + ": all as the protocol wants it", r.text(".faults"))
        if r.kind != "elastic":  # single items were told to come again
            in_order(rows, chain_of, r.kind)
        if r.kind == "elastic":
            check(len(rows) == len(got), "elastic: nothing is there twice", (len(rows), len(got)))
    lines = [json.loads(x) for name in ("audit.jsonl.1", "audit.jsonl") for x in open(w.path(name))]
    check({x["metadata"]["uid"] for x in lines} == set(chain_of), "file: every record, in whole lines, through a rotation")
    in_order([(0, x["metadata"]["sequence"], x["metadata"]["uid"]) for x in lines], chain_of, "file")
    check(os.path.getsize(w.path("audit.jsonl.1")) > 0 and os.path.getsize(w.path("audit.jsonl")) > 0, "file: the old one and the new one have lines")
    for name in ("splunk", "elastic"):
        letters = [json.loads(x)["metadata"]["uid"] for x in open(w.path("spool", f"dead-letter.{name}.jsonl"))]
        check(set(letters) == starts, name + ": what is refused for good is with the dead letters", letters)
    told = {(c, r["unmapped"]["sluice"].get("sink")) for r in records for c in [r["metadata"]["event_code"]] if c in ("sluice.degraded", "sluice.recovered")}
    check(all(sink for _, sink in told), "degraded and recovered name the sink", told)


def test_denied(w, receivers, key):
    """A token that is not good any more: the sink waits, says so, and the gateway serves on; the others go on."""
    splunk = receivers[0]
    splunk.kill()
    TOKENS["splunk"], old = "another-" + "token", TOKENS["splunk"]
    splunk.start()
    check(w.post("hello", key, model="gpt-4o")[0] == 200, "served while a receiver refuses the token")
    wait_for("denied", lambda: w.figures()["splunk"].get("failures_total:denied", 0) > 0, 10)
    f = w.figures()["splunk"]
    check(f["up"] == 0 and f["undelivered"] > 0, "the metrics say so", f)
    wait_for("the others", lambda: all(row["undelivered"] == 0 for n, row in w.figures().items() if n != "splunk"), 10)
    check(any(r["metadata"]["event_code"] == "sluice.degraded" and r["unmapped"]["sluice"].get("sink") == "splunk" for r in w.spool_records()),
          "and so does a record")
    splunk.kill()
    TOKENS["splunk"] = old
    splunk.start()
    status = w.stop()
    check(status == 0, "the gateway ends in time", status)
    w.start()


def main(w):
    receivers = [Receiver(w, kind) for kind in TOKENS]
    try:
        w.start_mock()
        w.configure_sinks(receivers)
        for r in receivers:
            r.ready()
        probe = w.sluice("serve", "-c", w.path("sluice.yaml"), "--check", "--probe", check_status=False)
        rows = [line for line in probe.splitlines() if "audit.sinks" in line]
        check(len(rows) == 5 and not any("FAIL" in r for r in rows), "--check --probe asks every receiver", probe)
        key = w.new_key("tester")
        w.start()
        storm(w, receivers, key)
        wait_for("all delivered", w.caught_up, 20)
        test_denied(w, receivers, key)
        wait_for("all delivered", w.caught_up, 20)
        check(w.stop() == 0, "the gateway ends")
        w.start()  # what the end itself has written
        wait_for("all delivered", w.caught_up, 20)
        w.stop(signal.SIGKILL)
        judge(w, receivers)
        log = open(w.path("gateway.log")).read()
        check(not any(t in log for t in TOKENS.values() if len(t) > 2), "no token in the log")
        sanitizer_findings(log)
    finally:
        for r in receivers:
            r.kill()


with whole_test(SinkWorld(tempfile.mkdtemp(prefix="sluice-sinks-"))) as w:
    main(w)
