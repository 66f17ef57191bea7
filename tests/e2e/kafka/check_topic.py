#!/usr/bin/env python3
"""Judges what a topic holds: check_topic.py CONSUMED IDS

CONSUMED is kafka_consume's output, IDS the request ids whose decided record was reported durable. Prints
one "ok" or "FAIL" line a check and exits with 1 when one failed."""
import json
import sys


def main():
    failed = 0

    def check(ok, what):
        nonlocal failed
        failed += not ok
        print("ok  " if ok else "FAIL", what)

    ids = [line.strip() for line in open(sys.argv[2])]
    seen, chains, decided, completed = {}, {}, {}, {}
    headers_ok = order_ok = True
    lines = 0
    for line in open(sys.argv[1], encoding="utf-8"):
        key, headers, value = line.rstrip("\n").split("\t", 2)
        record = json.loads(value)
        meta = record["metadata"]
        lines += 1
        h = dict(pair.split("=", 1) for pair in headers.split(","))
        headers_ok = headers_ok and h.get("ce_specversion") == "1.0" and h.get("ce_id") == meta["uid"] \
            and h.get("ce_type") == meta["event_code"] and h.get("ce_source", "").startswith("/sluice/") \
            and h.get("ce_partitionkey") == key and h.get("content-type") == "application/json" \
            and "ce_time" in h
        if meta["uid"] in seen:
            continue
        seen[meta["uid"]] = record
        # The first copy of each record comes in order, without a hole: at least once, in order.
        if meta["sequence"] != chains.get(key, 0) + 1:
            order_ok = False
        chains[key] = meta["sequence"]
        rid = meta.get("correlation_uid")
        if meta["event_code"] == "ai.request.decided":
            decided[rid] = decided.get(rid, 0) + 1
        if meta["event_code"] == "ai.request.completed":
            completed[rid] = completed.get(rid, 0) + 1
    check(headers_ok, "every record has its CloudEvents headers")
    check(order_ok, f"{len(chains)} chains arrive in order and without a hole")
    missing = [i for i in ids if i not in decided]
    check(not missing, f"all of {len(ids)} durable decided records arrived (missing {len(missing)})")
    check(all(n == 1 for n in decided.values()), "each decided record is there once by its uid")
    check(set(decided) == set(completed) and all(n == 1 for n in completed.values()),
          f"each of {len(decided)} decided has one completed")
    lost = sum(1 for r in seen.values() if r["unmapped"]["sluice"].get("end") == "gateway_lost")
    print(f"     {lines} records, {len(seen)} different, {lost} ended as gateway_lost")
    sys.exit(failed != 0)


main()
