"""What an auditor does with the ledger of a run: queries, tables and reports, each computed a second time from the records."""
import collections
import csv
import fnmatch
import hashlib
import io
import json
import os
import subprocess

from suites import made, make_venv
from world import BUILD, MODEL, check

# For each option where its value stands in a record.
WHERE = {
    "record": lambda r: {"ai.request.decided": "decided", "ai.request.completed": "completed", "ai.dlp.finding": "finding",
                         "ai.shadow.seen": "shadow"}.get(r["metadata"]["event_code"], "lifecycle"),
    "user": lambda r: r.get("actor", {}).get("user", {}).get("uid"),
    "request": lambda r: r["metadata"].get("correlation_uid"),
    "class": lambda r: own(r).get("class"), "rule": lambda r: own(r).get("rule"), "action": lambda r: own(r).get("action"),
    "zone": lambda r: own(r).get("zone"), "end": lambda r: own(r).get("end"), "target": lambda r: own(r).get("target"),
}
CASES = ({}, {"record": "decided"}, {"record": "finding", "class": "secret"}, {"rule": "aws-*"}, {"zone": "process"}, {"end": "refused"},
         {"user": "TESTER", "record": "completed"}, {"action": "redact"}, {"target": "open*", "record": "decided"}, {"class": "nothing"})


def own(record):
    return record.get("unmapped", {}).get("sluice", {})


def holds(record, option, pattern):
    value = WHERE[option](record)
    return value is not None and fnmatch.fnmatchcase(value.lower(), pattern.lower())


def asked(w, *args):
    return w.sluice("audit", *args, "--spool", w.path("spool"))


def options(case):
    return [x for k, v in case.items() for x in ("--" + k, v)]


def test_query(w, records):
    uid = lambda r: r["metadata"]["uid"]
    for case in CASES:
        want = [uid(r) for r in records if all(holds(r, k, v) for k, v in case.items())]
        got = [uid(json.loads(line)) for line in asked(w, "query", "--json", *options(case)).splitlines()]
        check(got == want, f"query {case}", (len(got), len(want)))
        held = collections.defaultdict(set)
        for r in records:
            held[WHERE["request"](r)] |= {k for k, v in case.items() if holds(r, k, v)}
        want = [uid(r) for r in records if WHERE["request"](r) and held[WHERE["request"](r)] == set(case)]
        got = [uid(json.loads(line)) for line in asked(w, "query", "--requests", "--json", *options(case)).splitlines()]
        check(got == want, f"query --requests {case}", (len(got), len(want)))


def test_export(w, records):
    rows = list(csv.DictReader(io.StringIO(asked(w, "export", "--format", "csv"))))
    check([r["uid"] for r in rows] == [r["metadata"]["uid"] for r in records], "the table has all records, in their order")
    check([r["end"] for r in rows] == [own(r).get("end", "") for r in records], "and how they ended")
    check([r["prompt_tokens"] for r in rows] == [str(r.get("message_context", {}).get("prompt_tokens", "")) for r in records], "and their tokens")
    check([json.loads(x) for x in asked(w, "export").splitlines()] == records, "JSON lines are the records")


def test_parquet(w, records):
    """The line of docs/audit.md."""
    table, parquet = w.path("audit.csv"), w.path("audit.parquet")
    with open(table, "w", newline="") as f:
        f.write(asked(w, "export", "--format", "csv"))
    script = (f"import duckdb; duckdb.sql(\"COPY (FROM read_csv('{table}', all_varchar = true)) TO '{parquet}'\"); "
              f"print(duckdb.sql(\"SELECT count(*) FROM '{parquet}'\").fetchall()[0][0])")
    r = subprocess.run([made("venv", "requirements.txt", make_venv) + "/bin/python", "-c", script], capture_output=True, text=True, timeout=120)
    check(r.returncode == 0 and int(r.stdout) == len(records), "DuckDB makes Parquet of it", r.stdout + r.stderr)


def test_report(w, records):
    report = json.loads(asked(w, "report", "--format", "json"))
    ends = [r for r in records if WHERE["record"](r) == "completed"]
    total = lambda name: sum(row[name] for row in report["rows"])
    check(total("requests") == len(ends) and report["records"] == len(records), "the report counts every request", (total("requests"), len(ends)))
    check(total("refused") == sum(own(r)["end"] == "refused" for r in ends), "and those refused")
    check(total("blocked") == sum(own(r)["end"] == "blocked" for r in ends), "and those blocked")
    check(total("prompt_tokens") == sum(r.get("message_context", {}).get("prompt_tokens", 0) for r in ends), "and tokens")
    in_request = [r for r in records if WHERE["record"](r) == "finding" and own(r).get("where") != "answer"]
    ended = {WHERE["request"](r) for r in ends}
    for name in ("secret", "pii"):
        want = {WHERE["request"](r) for r in in_request if own(r)["class"] == name} & ended
        check(sum(row["classes"].get(name, 0) for row in report["rows"]) == len(want), "and requests with class " + name)
    check(abs(total("cost") - sum(own(r).get("cost", 0) for r in ends)) < 1e-9, "and cost")
    page = asked(w, "report", "--format", "html")
    check(page.startswith("<!doctype html>") and "<svg" in page and "http" not in page, "a page that needs nothing from elsewhere")
    check("# AI gateway report" in asked(w, "report"), "Markdown")


def test_five_commands(w, records):
    """Those of docs/audit.md, as they stand there, in a shell; and the numbers of their statement, computed a second time."""
    page = open(os.path.join(os.path.dirname(__file__), "../../docs/audit.md"), encoding="utf-8").read()
    part = page.split("### From nothing to a statement, in five commands")[1].split("\n### ")[0]
    commands = [line[2:] for line in part.splitlines() if line.startswith("$ ")]
    check(len(commands) == 5, "the page has five commands", commands)
    os.makedirs(w.path("auditor"), exist_ok=True)
    env = dict(os.environ, SLUICE_SPOOL=w.path("spool"), PATH=BUILD + ":" + os.environ["PATH"])
    for command in commands:
        r = subprocess.run(command, shell=True, cwd=w.path("auditor"), env=env, capture_output=True, text=True, timeout=60)
        check(r.returncode == 0, command, r.stdout + r.stderr)
        if " verify " in command:
            known = [line for line in r.stdout.splitlines() if line.startswith("last known ")]
            check(len(known) >= 2 and all("are here, unchanged" in line for line in known), "both checkpoints hold", r.stdout)
    phi = {WHERE["request"](r) for r in records if own(r).get("class") == "phi"}
    decided = [r for r in records if WHERE["record"](r) == "decided" and WHERE["request"](r) in phi]
    inside = sum(own(r)["zone"] == "process" and not own(r)["blocked"] for r in decided)
    approved = sum(own(r)["zone"] == "approved" and not own(r)["blocked"] for r in decided)
    said = f"{len(decided)} decided requests: {inside} to the model inside, 0 private, {approved} approved,"
    check(said in r.stderr, "the last says how many requests of the class went where", (said, r.stderr))


def test_guards(records):
    """Each request tells what stood before it, also when it got no further than the first."""
    names = ["identity", "dlp_request", "policy", "limits", "dlp_answer", "restore"]
    decided = {WHERE["request"](r): r for r in records if WHERE["record"](r) == "decided"}
    wrong = collections.Counter()
    for r in (r for r in records if WHERE["record"](r) == "completed" and own(r)["end"] != "gateway_lost"):
        guards = own(r).get("guards", [])
        state = {g["name"]: g["state"] for g in guards}
        wrong["not all six"] += [g["name"] for g in guards] != names
        wrong["ran without a time"] += any(("us" in g) != (g["state"] in ("ran", "failed", "timed_out")) for g in guards)
        d = decided.get(WHERE["request"](r))
        if d is None:
            wrong["undecided, and yet judged"] += state["policy"] == "ran" and own(r)["end"] == "complete" and "target" in own(r)
            wrong["no key, and yet scanned"] += r.get("status_code") == "401" and state["policy"] != "not_reached"
            continue
        wrong["decided without policy"] += state["policy"] != "ran" or state["identity"] != "ran"
        wrong["findings without a scan"] += own(d).get("findings", 0) > 0 and state["dlp_request"] != "ran"
        wrong["restored by nobody"] += own(r).get("restored", 0) > 0 and state["restore"] != "ran"
    for what, n in wrong.items():
        check(n == 0, "guards: " + what, n)
    answers = {WHERE["request"](r) for r in records if own(r).get("where") == "answer"}
    ran = {WHERE["request"](r) for r in records for g in own(r).get("guards", []) if g["name"] == "dlp_answer" and g["state"] == "ran"}
    check(answers <= ran, "findings in answers come from a scan that is on record", len(answers - ran))


def test_digests(records):
    """What was in force for a request, and which model answered it when that is the one in the process."""
    with open(MODEL, "rb") as f:
        model = hashlib.sha256(f.read()).hexdigest()
    ends = [own(r) for r in records if WHERE["record"](r) == "completed" and own(r)["end"] != "gateway_lost"]
    check(all(len(o["config_digest"]) == 64 and len(o["rules_digest"]) >= 32 for o in ends), "every end names configuration and rules")
    inside = [o for o in ends if o.get("target") == "local"]
    check(inside and all(o.get("model_digest") == model for o in inside), "the model in the process is named by its digest",
          [o.get("model_digest") for o in inside][:2])
    check(not [o for o in ends if o.get("target") != "local" and "model_digest" in o], "and no other one is")


def main(w, with_duckdb):
    records = w.spool_records()
    check(len(records) > 100, "the run has left records to ask for", len(records))
    test_query(w, records)
    test_export(w, records)
    test_report(w, records)
    test_guards(records)
    test_digests(records)
    test_five_commands(w, records)
    if with_duckdb:
        test_parquet(w, records)
