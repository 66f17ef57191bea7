#!/usr/bin/env python3
"""The ledger with a real gateway and a real Kafka broker, while both are killed, the disk is full, files are damaged, records are
too long and the clock goes back: every request that a client got an answer for has its records in the topic, in order, and
`sluice audit verify` says what was done to the files.

usage: tests/e2e/ledger.py BUILD-DIR CACHE-DIR MODEL [KILLS [PART...]]
KILLS (3): how often the broker, and how often the gateway, is killed under load. Ends with the line "N passed, N failed, N skipped"."""
import http.client
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "kafka"))
from check_topic import Topic, judge  # noqa: E402
from faulty import FaultyWorld, sanitizer_findings  # noqa: E402
from world import ROOT, check, count, free_port, leave, skip, wait_for, whole_test  # noqa: E402

KILLS = int(sys.argv[4]) if len(sys.argv) > 4 else 3


class Clients:
    """Asks until it is told to stop; keeps the ids of the requests whose answers came whole, and what the others got."""

    def __init__(self, w, n=4):
        self.w, self.answered, self.refused, self.broken, self.stop = w, [], [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.go, args=(i,)) for i in range(n)]
        [t.start() for t in self.threads]

    def go(self, n):
        i = 0
        while not self.stop.is_set():
            i += 1
            try:
                status, headers, body = self.w.post(f"client {n} request {i} [[mock say=fox words=8 interval=2]]", self.w.key, model="plain-1",
                                                    stream=i % 2 == 0, timeout=60)
                if status == 200:
                    self.answered.append(headers["x-sluice-request-id"])
                else:
                    self.refused.append((status, headers.get("x-sluice-request-id"), body))
                    time.sleep(0.02)
            except (OSError, http.client.HTTPException):
                self.broken += 1
                time.sleep(0.02)

    def end(self):
        self.stop.set()
        [t.join() for t in self.threads]


class LedgerWorld(FaultyWorld):
    """A gateway whose ledger goes to a topic of its own; spools and topics are named after a case."""

    def __init__(self, work):
        super().__init__(work)
        self.expected = set()  # answered requests

    def kafka(self, command):
        r = subprocess.run(["bash", "-c", f". {ROOT}/tests/e2e/kafka/kafka.sh; {command}"], capture_output=True, text=True, timeout=120)
        return r

    def broker(self, verb):
        r = self.kafka(f"kafka_{verb} {self.path('kafka')} && echo BROKERS=$KAFKA_BROKERS")
        if check(r.returncode == 0, f"the broker: {verb}", r.stderr) and verb == "start":
            self.brokers = re.search(r"BROKERS=(\S+)", r.stdout)[1]

    def case(self, name, durability="disk", spool=None, topic_settings="", more="", made=False):
        """A fresh topic, spool and configuration; the gateway is not started."""
        self.name, self.spool = name, spool or self.path("spool-" + name)
        r = self.kafka(f"kafka_topic {self.path('kafka')} {name} {topic_settings}") if not made else None
        check(made or r.returncode == 0, "a topic for " + name, r and r.stderr)
        self.configure(spool=self.spool, audit=f", durability: {durability}, segment: 1MiB, max_spool: 256MiB, checkpoints: 500ms, "
                       f"kafka: {{ brokers: '{self.brokers}', topic: {name}{more} }}")

    def up(self):
        return check(self.start() and self.gateway.poll() is None, f"{self.name}: the gateway starts", open(self.path("gateway.log")).read()[-800:])

    def down(self):
        check(self.stop() == 0, f"{self.name}: the gateway stops", self.gateway.returncode)

    def kill(self):
        self.gateway.kill()
        self.gateway.wait()

    def delivered(self, seconds=30):
        return wait_for(f"{self.name}: all records are acknowledged", lambda: self.gauge("audit_undelivered") == 0, seconds)

    def topic(self):
        r = self.kafka(f"kafka_consume {self.path('kafka')} {self.name}")
        return Topic(line for line in r.stdout.splitlines() if line.count("\t") >= 2)

    def judge(self, ids, want_jumps=False):
        """Every answered request is in the topic, in order; returns the topic."""
        t = self.topic()
        if want_jumps:
            jumps, t.jumps = t.jumps, []
        judge(t, ids, lambda ok, what, detail="": check(ok, f"{self.name}: {what}", detail))
        if want_jumps:
            t.jumps = jumps
        return t

    def verify(self, *more):
        """(exit status, what was said)."""
        r = subprocess.run([f"{os.path.abspath(sys.argv[1])}/sluice", "audit", "verify", "--spool", self.spool, *more], capture_output=True,
                           text=True, timeout=60)
        return r.returncode, r.stdout + r.stderr

    def check_verify(self, want, *words):
        got, said = self.verify()
        check(got == want, f"{self.name}: verify says {want}", (got, said[-700:]))
        check(all(w in said for w in words), f"{self.name}: and names {words}", said[-700:])

    def records(self):
        return [json.loads(x) for x in self.sluice("audit", "tail", "--spool", self.spool, "--json", "-n", "0").splitlines() if x.startswith("{")]

    def sealed(self):
        """How many records the newest checkpoints cover."""
        return sum(int(n) for n in re.findall(r"(?m)^[^\n]+\+\d+\n(\d+)\n", self.sluice("audit", "head", "--spool", self.spool)))

    def segments(self):
        return sorted(f for f in os.listdir(self.spool) if f.endswith(".seg"))

    def load(self, seconds):
        c, end = Clients(self), time.time() + 30
        time.sleep(seconds)
        while len(c.answered) < 20 and time.time() < end:
            time.sleep(0.05)
        c.end()
        check(len(c.answered) >= 20 and not c.refused, f"{self.name}: requests are answered", (len(c.answered), c.refused[:3]))
        return c.answered


# ---- killed -----------------------------------------------------------------------------------------

def test_kills(w, durability):
    """Broker and gateway die in turns, at moments that have nothing to do with each other."""
    w.case("kills-" + durability, durability)
    w.up()
    c = Clients(w)
    for i in range(KILLS):
        time.sleep(random.uniform(0.3, 0.8))
        w.broker("kill9")
        time.sleep(random.uniform(0, 0.4))
        w.kill()
        w.up()
        if i % 2 == 0:
            w.broker("start")
            time.sleep(random.uniform(0, 0.6))
        w.kill()  # while it catches up, or without a broker
        w.up()
        if i % 2 == 1:
            w.broker("start")
    wait_for(f"{w.name}: requests enough", lambda: len(c.answered) > 20 * KILLS)
    c.end()
    check(len(c.answered) > 20 * KILLS, f"{w.name}: requests are answered", len(c.answered))
    check(not c.refused, f"{w.name}: and none is refused for the ledger's sake", c.refused[:3])
    w.delivered()
    w.down()
    t = w.judge(c.answered)
    check(t.lost() > 0, f"{w.name}: what was in flight ended as gateway_lost", t.lost())
    w.check_verify(0, "INTACT")
    print(f"{w.name}: {len(c.answered)} answered, {c.broken} connections broke, {t.lines} records, {len(t.records)} different, "
          f"{t.lost()} gateway_lost", flush=True)


# ---- the disk ---------------------------------------------------------------------------------------

def test_full_disk(w, durability):
    """A file system of 24 MiB, taken by another file while requests come."""
    disk = w.path("disk-" + durability)
    os.mkdir(disk)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", disk], capture_output=True).returncode != 0:
        skip("no right to mount a small file system: the full disk is tested with failing calls only (test_limits.c)")
        return
    try:
        full_disk(w, durability, disk)
    finally:
        if w.gateway.poll() is None:
            w.kill()
        subprocess.run(["umount", "-l", disk], capture_output=True)


def full_disk(w, durability, disk):
    w.case("full-" + durability, durability, spool=disk + "/spool")
    w.up()
    c = Clients(w)
    time.sleep(random.uniform(0.2, 0.7))  # the end of the disk may come between any two calls
    with open(disk + "/ballast", "wb", buffering=0) as f:  # nothing is left to write when it is closed
        try:
            while f.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    wait_for("requests are refused", lambda: len(c.refused) > 20, 20)
    check(w.gauge("audit_writable") == 0 and w.admin_get("/healthz")[0] == 200, f"{w.name}: the admin port lives, and says so")
    try:
        os.unlink(disk + "/ballast")
    except FileNotFoundError:
        pass
    wait_for("the disk is trusted again", lambda: w.gauge("audit_writable") == 1, 20)
    n = len(c.answered)
    wait_for("requests are answered again", lambda: len(c.answered) > n + 20, 20)
    c.end()
    check(all(s == 503 and b"audit_unavailable" in body for s, _, body in c.refused), f"{w.name}: refused with 503 audit_unavailable",
          [r for r in c.refused if r[0] != 503 or b"audit_unavailable" not in r[2]][:3])
    w.delivered()
    w.down()
    w.up()  # an end that a failed sync took with it is written by the next start, as gateway_lost
    w.delivered()
    w.down()
    t = w.judge(c.answered, want_jumps=True)
    lost = sum(r["unmapped"]["sluice"].get("records", 0) for r in t.records.values() if r["metadata"]["event_code"] == "sluice.gap")
    jumped = sum(to - came - 1 for _, came, to in t.jumps)
    check(jumped == lost, f"{w.name}: the gap is counted exactly", (jumped, lost))
    check(t.count("sluice.degraded") >= 1 and t.count("sluice.recovered") >= 1, f"{w.name}: degraded and recovered are on record")
    w.check_verify(4 if lost else 0, "GAP" if lost else "INTACT")
    print(f"{w.name}: {len(c.answered)} answered, {len(c.refused)} refused, {lost} records lost and told", flush=True)


# ---- files ------------------------------------------------------------------------------------------

def test_cursor(w):
    """The cursor is taken away, emptied, garbled: all is sent again, nothing is missing."""
    w.case("cursor")
    w.up()
    ids = w.load(0.4)
    for damage in (os.unlink, lambda p: os.truncate(p, 0), lambda p: open(p, "wb").write(os.urandom(60))):
        w.delivered()
        w.down()
        damage(w.spool + "/cursor")
        w.up()
        ids += w.load(0.2)
    w.delivered()
    w.down()
    t = w.judge(ids)
    check(t.lines > len(t.records), "cursor: records came twice", (t.lines, len(t.records)))
    w.check_verify(0, "INTACT")


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 0x20]))


def test_flips(w):
    """A byte is flipped in what was signed and has not been delivered: verify names the segment, the start tells it and goes on."""
    there, w.brokers = w.brokers, f"127.0.0.1:{free_port()}"
    w.case("flips", "disk")
    w.up()
    ids = w.load(0.5)
    wait_for("flips: a checkpoint over all of it", lambda: w.sealed() == len(w.records()), 30)
    w.kill()
    w.check_verify(0, "INTACT")
    segment = w.segments()[0]
    flip(w.spool + "/" + segment, os.path.getsize(w.spool + "/" + segment) // 2)
    w.check_verify(2, "ALTERED", segment)
    w.brokers = there
    w.case("flips", "disk", made=True)
    w.up()
    ids += w.load(0.3)
    w.delivered()
    w.down()
    t = w.topic()
    gaps = [r["unmapped"]["sluice"] for r in t.records.values() if r["metadata"]["event_code"] == "sluice.gap"]
    check(len(gaps) == 1 and gaps[0]["segment"] == segment and gaps[0]["records"] == 1, "flips: one gap, with its place", gaps)
    missing = [i for i in ids if not t.decided[i]]
    check(len(missing) <= 1, "flips: one record at most is missing", missing)
    check([(a + 1, b - 1) for _, a, b in t.jumps] == [(g["from_sequence"], g["to_sequence"]) for g in gaps], "flips: the topic misses what the gap names",
          (t.jumps, gaps))
    check(os.listdir(w.spool + "/quarantine"), "flips: the damaged bytes are kept")
    w.check_verify(4, "GAP")


# ---- records that are too long ------------------------------------------------------------------------

def test_oversized(w):
    """A request of 2 MiB and one whose fields are longer than a record may hold, among others; the topic takes no long records."""
    w.case("oversized", topic_settings="max.message.bytes=3600", more=", properties: { compression.type: none, batch.num.messages: 1 }")
    w.up()
    ids = w.load(0.2)
    for text, model in (("word " * 400000, "plain-1"), ("long names", "plain-" + "m" * 200)):
        status, fields, body = w.post(text, w.key, model=model, headers={"User-Agent": "agent/" + "x" * 3000})
        check(status == 200, "oversized: a long request is answered", (status, body[:200]))
        ids.append(fields["x-sluice-request-id"])
    ids += w.load(0.2)
    w.delivered()
    w.down()
    letters = w.spool + "/dead-letter.jsonl"
    dead = [json.loads(line) for line in open(letters)] if os.path.exists(letters) else []
    check(dead and all(len(json.dumps(r)) > 3000 for r in dead), "oversized: what the topic refuses is kept aside", len(dead))
    t = w.topic()
    aside = {r["metadata"]["uid"] for r in dead}
    there = {r["metadata"]["uid"] for r in w.records()}
    check(there == aside | set(t.records) and not aside & set(t.records), "oversized: every record is in the topic or set aside",
          (len(there), len(aside), len(t.records)))
    by_id = {r["metadata"].get("correlation_uid") for r in dead}
    check(all(t.decided[i] or i in by_id for i in ids), "oversized: every answered request is in one of them")
    check(all(r["metadata"].get("is_truncated") for r in dead), "oversized: fields that were cut are said to be")
    w.check_verify(0, "INTACT")


# ---- the clock ----------------------------------------------------------------------------------------

def test_clock(w):
    """The wall clock jumps back an hour while requests come, then a day before a start: order is by sequence, nothing is lost."""
    shim, now = w.path("clock.so"), w.path("clock")
    r = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", shim, ROOT + "/tests/fault/clock.c"], capture_output=True, text=True)
    if not check(r.returncode == 0, "a clock that can be moved", r.stderr):
        return

    def move(seconds):
        with open(now, "r+b" if os.path.exists(now) else "wb") as f:
            f.write(struct.pack("<q", seconds))
    move(0)
    w.more_env = {"LD_PRELOAD": shim, "SLUICE_CLOCK": now, "ASAN_OPTIONS": "verify_asan_link_order=0"}
    w.case("clock")
    w.up()
    c = Clients(w)
    time.sleep(0.4)
    move(-3600)
    time.sleep(0.8)
    w.kill()
    move(-86400)
    w.up()
    time.sleep(0.4)
    c.end()
    w.delivered()
    check(w.gauge("audit_oldest_undelivered_seconds") == 0, "clock: nothing waits")
    w.down()
    w.more_env = {}
    t = w.judge(c.answered)
    times = [r["time"] for r in t.records.values()]
    check(max(times) - min(times) > 86000 * 1000, "clock: it did go back", max(times) - min(times))
    w.check_verify(0, "INTACT")


def main():
    w = LedgerWorld(tempfile.mkdtemp(prefix="sluice-ledger-"))
    r = w.kafka("kafka_need")
    if r.returncode != 0:
        skip("no real Kafka here: " + r.stderr.strip())
        leave(w.dir)
        print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
        return
    with whole_test(w, lambda: w.kafka(f"kafka_kill9 {w.path('kafka')}")):
        w.start_mock()
        w.broker("start")
        w.configure()
        w.key = w.new_key("tester")
        parts = [(test_kills, "disk"), (test_full_disk, "process"), (test_full_disk, "disk"), (test_cursor,), (test_flips,), (test_oversized,), (test_clock,)]
        if KILLS > 3:
            parts.append((test_kills, "process"))
        for part, *args in (p for p in parts if not sys.argv[5:] or p[0].__name__ in sys.argv[5:]):
            began = time.time()
            part(w, *args)
            print(f"{part.__name__}{args or ''} took {time.time() - began:.1f} s", flush=True)
        with open(w.path("gateway.log")) as f:
            sanitizer_findings(f.read())


main()
