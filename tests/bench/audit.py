#!/usr/bin/env python3
"""What the ledger costs, in one run: a decision, a record, an outage, catching up, verifying, asking.

usage: tests/bench/audit.py BUILD-DIR [--rounds N] [--records N] [--dir DIR] [--markdown] [--json FILE] [--decided]

  decided   1,000 requests/s, open loop: what a request waits for its decision to be on record. `disk` is beside fdatasync of the
            same file in the same run: the times of the calls that the ledger makes. There, as in a gateway, the record is announced
            when the request's scan begins, 14 us before (a chat of 900 characters); `unannounced` is the same without
  spool     records of 2 KB, as fast as one core makes, writes and seals them
  outage    that many records while no broker can be reached (an hour at 170 requests/s by default), and the memory meanwhile
  catch-up  the same records to a real Kafka broker (lz4) that runs on the same two cores; CPU is that of our process
  verify    the same records against their signatures
  query     the same records searched for something that is in none of them, by one core

--decided measures only the first, in a few seconds. Rounds go through all cases one after the other; medians are printed, the worst beside them. The folder must be on a disk; DIR is by
default the build's. Without Java, Maven and kcat the broker's part is left out. `foreign` is what other processes used of
both cores meanwhile: above a few percent the figures say little."""
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
ROUNDS, RECORDS, MARKDOWN = int(arg("--rounds", "3")), int(arg("--records", "1200000")), "--markdown" in sys.argv
ONLY_DECIDED = "--decided" in sys.argv
SCAN_US = 14
LIMIT_S = 170  # no further round that would end later
BENCH, KAFKA = BUILD + "/tests/bench/bench_audit", os.path.join(ROOT, "tests/e2e/kafka/kafka.sh")
NOWHERE = "127.0.0.1:9"
# What the design asks for: case, figure, bound, whether more is better, unit.
GOALS = [("decided, process", "p50_us", 15, False, "us p50"), ("decided, disk", "over_sync", 1.2, False, "x fdatasync p50"),
         ("spool, process", "records_per_s", 80000, True, "records/s"), ("spool, disk", "records_per_s", 80000, True, "records/s"),
         ("outage", "rss_most_mb", 128, False, "MB resident at most"), ("catch-up", "records_per_s", 50000, True, "records/s"),
         ("catch-up", "cpu_us", 15, False, "us CPU a record"), ("verify", "records_per_s", 500000, True, "records/s"),
         ("query", "gb_per_s", 1, True, "GB/s, one core")]


def busy():
    with open("/proc/stat") as f:
        n = [int(x) for x in f.readline().split()[1:]]
    return (sum(n) - n[3] - n[4]) / os.sysconf("SC_CLK_TCK")


def children():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime


class Bench:
    def __init__(self, work):
        self.work, self.got, self.brokers = work, {}, None
        self.spool, self.scratch = work + "/spool", work + "/scratch"  # the large one, and one for each short measurement

    def note(self, case, figures):
        self.got.setdefault(case, []).append(figures)

    def run(self, *argv, core=None):
        pin = ["taskset", "-c", str(core)] if core is not None else []
        r = subprocess.run([*pin, BENCH, *map(str, argv)], capture_output=True, text=True)
        if r.returncode != 0:
            sys.exit(f"bench_audit {' '.join(map(str, argv))}: {r.stderr.strip()}")
        return json.loads(r.stdout)

    def fresh(self):
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.sync()  # what the measurement before has left is not for this one to wait for
        return self.scratch

    def kafka(self, command):
        return subprocess.run(["bash", "-c", f". {KAFKA}; {command}"], capture_output=True, text=True)

    def start_kafka(self):
        r = self.kafka(f"kafka_need && kafka_start {self.work}/kafka && echo BROKERS=$KAFKA_BROKERS")
        m = re.search(r"BROKERS=(\S+)", r.stdout)
        if m is None:
            print("no broker, no catching up:", r.stderr.strip(), file=sys.stderr)
        self.brokers = m and m[1]

    def stop_kafka(self):
        self.kafka(f"kafka_kill9 {self.work}/kafka")

    def decided(self):
        for case, durability, *scan in (("process", "process"), ("disk", "disk", SCAN_US), ("unannounced", "disk")):
            got = self.run("decided", self.fresh(), durability, 2, 1000, *scan)
            if durability == "disk":
                got["over_sync"] = got["p50_us"] / got["sync_p50_us"]
            self.note("decided, " + case, got)

    def small(self):
        self.decided()
        for durability in ("process", "disk"):
            self.note("spool, " + durability, self.run("spool", self.fresh(), durability, 200000, core=1))

    def auditor(self, case, *command, core=None):
        """One command over the whole spool: its time by the wall, and what it read."""
        pin = ["taskset", "-c", str(core)] if core is not None else []
        began = time.monotonic()
        r = subprocess.run([*pin, BUILD + "/sluice", "audit", *command, "--spool", self.spool], capture_output=True, text=True)
        took = time.monotonic() - began
        if r.returncode != 0:
            sys.exit(f"audit {command[0]}: {r.stdout[-300:]}{r.stderr[-300:]}")
        size = sum(os.path.getsize(f.path) for f in os.scandir(self.spool) if f.name.endswith(".seg"))
        self.note(case, {"records_per_s": self.records / took, "gb_per_s": size / took / 1e9})

    def large(self, round_):
        if round_ == 0:
            got = self.run("spool", self.spool, "process", RECORDS, NOWHERE, "topic")
            self.records = got["records"]
            self.note("outage", {**got, "rss_first_mb": got["rss_first_kb"] / 1024, "rss_most_mb": got["rss_most_kb"] / 1024})
        self.auditor("verify", "verify")
        self.auditor("query", "query", "--user", "nobody-of-that-name", core=1)
        if self.brokers:
            topic = f"round-{round_}"
            self.kafka(f"kafka_topic {self.work}/kafka {topic}")
            if os.path.exists(self.spool + "/cursor"):
                os.unlink(self.spool + "/cursor")
            got = self.run("deliver", self.spool, "process", self.brokers, topic)
            if got["records"] < RECORDS:
                sys.exit(f"only {got['records']} of {RECORDS} records were delivered")
            self.note("catch-up", got)


def show(results, foreign):
    rows = []
    for case, figure, bound, more, unit in GOALS:
        values = [r[figure] for r in results.get(case, [])]
        if not values:
            continue
        value, worst = statistics.median(values), (min if more else max)(values)
        digits = 2 if bound < 10 else 1 if bound < 1000 else 0
        text = lambda x: f"{x:,.{digits}f}"
        rows.append((case, f"{text(value)} {unit}", text(worst), ("≥ " if more else "≤ ") + f"{bound:,}",
                     "yes" if (value >= bound) == more or value == bound else "NO"))
    if MARKDOWN:
        print("| | median | worst | asked for | met |\n| --- | --- | --- | --- | --- |")
        for r in rows:
            print("| " + " | ".join(r) + " |")
    else:
        for r in rows:
            print(f"{r[0]:18} {r[1]:28} worst {r[2]:>10}   {r[3]:>9}  {r[4]}")
    sync = [r["sync_p50_us"] for r in results["decided, disk"]]
    print(f"\nfdatasync p50 {statistics.median(sync):.0f} us; foreign {foreign:.0f} %")
    for case in ("disk", "unannounced"):
        mid = {k: statistics.median(r[k] for r in results["decided, " + case]) for k in ("p50_us", "over_sync", "to_write_us", "write_us", "sync_p50_us", "back_us")}
        print("{0}: {p50_us:.0f} us, {over_sync:.2f}x fdatasync: {to_write_us:.1f} until the write, {write_us:.1f} for it, {sync_p50_us:.0f} for the sync, "
              "{back_us:.1f} back".format("decided, " + case, **mid))
    for out in results.get("outage", []):
        print(f"outage: {out['records']:,} records, {out['rss_first_mb']:.1f} MB after the first of them, {out['rss_most_mb']:.1f} at most")


def main():
    work = tempfile.mkdtemp(prefix="bench-audit-", dir=arg("--dir", BUILD))
    b = Bench(work)
    began, busy0, own0 = time.time(), busy(), children()
    try:
        if not ONLY_DECIDED:
            b.start_kafka()
        for n in range(ROUNDS):
            round_began = time.time()
            if ONLY_DECIDED:
                b.decided()
                continue
            b.small()
            b.large(n)
            if time.time() + (time.time() - round_began) > began + LIMIT_S:
                break
    finally:
        if not ONLY_DECIDED:
            b.stop_kafka()
        shutil.rmtree(work, ignore_errors=True)
    wall = time.time() - began
    broker = 0 if not b.brokers else 1  # the broker is no child of ours: its time counts as foreign
    show(b.got, 100 * (busy() - busy0 - (children() - own0)) / wall / os.cpu_count())
    print(f"{len(b.got['decided, disk'])} rounds in {wall:.0f} s" + ("; foreign includes the broker" if broker else ""))
    if "--json" in sys.argv:
        with open(arg("--json", ""), "w") as f:
            json.dump(b.got, f, indent=1)


main()
