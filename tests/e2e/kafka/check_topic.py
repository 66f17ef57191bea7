#!/usr/bin/env python3
"""Judges what a topic holds: check_topic.py CONSUMED IDS

CONSUMED is kafka_consume's output, IDS the request ids whose decided record was reported durable. Prints
one "ok" or "FAIL" line a check and exits with 1 when one failed. tests/e2e/ledger.py uses judge() too."""
import collections
import json
import sys


class Topic:
    """What was read: the first copy of each record, and what stands in them."""

    def __init__(self, lines):
        self.records, self.lines, self.headers_ok = {}, 0, True
        self.chains, self.jumps = {}, []  # last sequence of each chain; (chain, from, to) where records are missing or late
        self.decided, self.completed = collections.Counter(), collections.Counter()
        for line in lines:
            self.take(*line.rstrip("\n").split("\t", 2))

    def take(self, key, headers, value):
        record = json.loads(value)
        meta = record["metadata"]
        self.lines += 1
        h = dict(pair.split("=", 1) for pair in headers.split(","))
        self.headers_ok = self.headers_ok and h.get("ce_specversion") == "1.0" and h.get("ce_id") == meta["uid"] \
            and h.get("ce_type") == meta["event_code"] and h.get("ce_source", "").startswith("/sluice/") \
            and h.get("ce_partitionkey") == key and h.get("content-type") == "application/json" \
            and "ce_time" in h
        if meta["uid"] in self.records:
            return
        self.records[meta["uid"]] = record
        # The first copy of each record comes in order, without a hole: at least once, in order.
        if meta["sequence"] != self.chains.get(key, 0) + 1:
            self.jumps.append((key, self.chains.get(key, 0), meta["sequence"]))
        self.chains[key] = meta["sequence"]
        rid = meta.get("correlation_uid")
        self.decided[rid] += meta["event_code"] == "ai.request.decided"
        self.completed[rid] += meta["event_code"] == "ai.request.completed"

    def count(self, code):
        return sum(r["metadata"]["event_code"] == code for r in self.records.values())

    def lost(self):
        return sum(r["unmapped"]["sluice"].get("end") == "gateway_lost" for r in self.records.values())


def judge(topic, ids, check):
    """ids: of the requests that somebody was told are on record."""
    decided = [i for i, n in topic.decided.items() if n]
    check(topic.headers_ok, "every record has its CloudEvents headers")
    check(not topic.jumps, f"{len(topic.chains)} chains arrive in order and without a hole", topic.jumps[:5])
    missing = [i for i in ids if not topic.decided[i]]
    check(not missing, f"all of {len(ids)} durable decided records arrived (missing {len(missing)})", missing[:5])
    check(max(topic.decided.values(), default=0) <= 1, "each decided record is there once by its uid")
    check(all(topic.completed[i] == 1 for i in decided) and max(topic.completed.values(), default=0) <= 1,
          f"each of {len(decided)} decided has one completed", [i for i in decided if topic.completed[i] != 1][:5])


def main():
    failed = 0

    def check(ok, what, detail=""):
        nonlocal failed
        failed += not ok
        print("ok  " if ok else f"FAIL {detail}", what)
        return ok

    with open(sys.argv[1], encoding="utf-8") as f:
        topic = Topic(f)
    with open(sys.argv[2]) as f:
        judge(topic, [line.strip() for line in f], check)
    print(f"     {topic.lines} records, {len(topic.records)} different, {topic.lost()} ended as gateway_lost")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
