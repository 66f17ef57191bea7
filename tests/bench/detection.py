#!/usr/bin/env python3
"""What the built-in rules find on the public sets of test cases, beside what is asked and what the best other tools find.

usage: tests/bench/detection.py BUILD-DIR [--cases DIR] [--rules PATH] [--misses SET] [--wolf SET]

DIR (default ../shared/dlp-dev) holds one JSON Lines file a set ({"id", "text", "expect", "not_expect"}) and score.py, which
scores; without it nothing is measured and the script says so. Recall counts every reported finding (confidence 40 and above) that
covers half of what is expected, of whatever type; `cases flagged` is the share of the negative cases of a set that have a finding
of 80 and above, again of any type. --misses SET and --wolf SET print what was not found, and what was found in negative cases."""
import collections
import json
import os
import subprocess
import sys

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build/release"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
CASES = arg("--cases", os.path.join(ROOT, "..", "shared", "dlp-dev"))
RULES = ["--rules", arg("--rules", "")] if "--rules" in sys.argv else []
HIGH = 80
# Set: recall asked (micro, or macro by type), share of negatives allowed, the best other tool away from home: recall, share.
ASKED = {
    "gitleaks_rules": (0.96, "micro", 0.08, "CredSweeper without its model 84.1 (21.6)"),
    "noseyparker_rules": (0.88, "micro", 0.12, "CredSweeper without its model 68.8 (36.7)"),
    "titus_rules": (0.86, "micro", 0.10, "CredSweeper without its model 53.1 (22.8)"),
    "credsweeper_samples": (0.75, "macro", None, "gitleaks 76.3 micro (37.5)"),
    "presidio_recognizers": (None, "micro", 0.10, "Presidio, all countries, at home 92.1"),
    "presidio_research_synth_dataset_v2": (None, "micro", None, "Presidio at home 46.4"),
    "stdnum": (None, "micro", None, "Presidio 85.5"),
    "phones": (None, "micro", None, "Presidio 99.2"),
    "trufflehog": (None, "micro", None, "-"),
    "llm_guard_tests": (None, "micro", None, "-"),
    "betterleaks_rules": (None, "micro", None, "-"),
    "kingfisher_rules": (None, "micro", None, "-"),
    "osv_scalibr": (None, "micro", None, "-"),
    "secretlint": (None, "micro", None, "-"),
    "detect_secrets": (None, "micro", None, "-"),
    "whispers": (None, "micro", None, "-"),
    "presidio_research": (None, "micro", None, "-"),
    "scrubadub": (None, "micro", None, "-"),
    "semgrep_secrets": (None, "micro", None, "-"),
    "semgrep_code": (None, "micro", None, "-"),
    "trivy": (None, "micro", None, "-"),
    "checkov": (None, "micro", None, "-"),
    "ripsecrets": (None, "micro", None, "-"),
    "talisman": (None, "micro", None, "-"),
    "leaktk": (None, "micro", None, "-"),
    "phileas": (None, "micro", None, "-"),
    "redact_pii": (None, "micro", None, "-"),
    "commonregex": (None, "micro", None, "-"),
    "datadog_validators": (None, "micro", None, "-"),
    "validator_js": (None, "micro", None, "-"),
    "faker": (None, "micro", None, "-"),
    "stdnum_js": (None, "micro", None, "-"),
    "idnumbers": (None, "micro", None, "-"),
    "datafaker": (None, "micro", None, "-"),
    "multicoin": (None, "micro", None, "-"),
    "php_iban": (None, "micro", None, "-"),
    "commons_validator": (None, "micro", None, "-"),
    "personnummer": (None, "micro", None, "-"),
    "phone_matcher": (None, "micro", None, "-"),
    "sonar_text": (None, "micro", None, "-"),
    "custom_patterns": (None, "micro", None, "-"),
    "leaky_repo": (None, "micro", None, "-"),
    "cred_alert": (None, "micro", None, "-"),
    "bearer_rules": (None, "micro", None, "-"),
    "gosec": (None, "micro", None, "-"),
    "bandit": (None, "micro", None, "-"),
    "secrets_patterns_db": (None, "micro", None, "-"),
    "security_utilities": (None, "micro", None, "-"),
}


def found(path):
    with open(path, "rb") as cases:
        run = subprocess.run([os.path.join(BUILD, "sluice"), "rules", "test", "--json", *RULES], stdin=cases,
                             stdout=subprocess.PIPE, check=True)
    return {r["id"]: r["findings"] for r in map(json.loads, run.stdout.splitlines())}


def covers(f, e):
    return "start" not in e or min(f["end"], e["end"]) - max(f["start"], e["start"]) >= (e["end"] - e["start"]) / 2


def score(cases, got):
    """As score.py does it, but with the threshold of the negatives. by_type: type -> [hit, expected]."""
    by_type, negatives, flagged, misses, wolf = collections.defaultdict(lambda: [0, 0]), 0, 0, [], []
    for c in cases:
        findings = got.get(c["id"], [])
        for e in c.get("expect", []):
            hit = any(covers(f, e) for f in findings)
            by_type[e["type"]][0] += hit
            by_type[e["type"]][1] += 1
            if not hit:
                misses.append((c, e))
        high = [f for f in findings if f["confidence"] >= HIGH]
        for _ in c.get("not_expect", ()):
            negatives += 1
            flagged += bool(high)
        if c.get("not_expect") and high:
            wolf.append((c, high))
    return by_type, negatives, flagged, misses, wolf


def percent(x, asked, more):
    if asked is None:
        return f"{100 * x:.1f} %"
    return f"{100 * x:.1f} % (asked {'>=' if more else '<='} {100 * asked:.0f} %{'' if (x >= asked if more else x <= asked) else ', MISSED'})"


def main():
    if not os.path.isdir(CASES):
        print(f"SKIP  detection: {CASES} is absent, nothing is measured")
        return
    print("| set | expected | recall, micro | recall, macro | negatives | cases flagged | best other tool away from home |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (recall, kind, share, best) in ASKED.items():
        path = os.path.join(CASES, name + ".jsonl")
        if not os.path.exists(path):
            print(f"| {name} | SKIP: no such file | | | | | {best} |")
            continue
        cases = [json.loads(line) for line in open(path, encoding="utf-8")]
        by_type, negatives, flagged, misses, wolf = score(cases, found(path))
        expected = sum(n for _, n in by_type.values())
        micro = sum(h for h, _ in by_type.values()) / max(expected, 1)
        macro = sum(h / n for h, n in by_type.values()) / max(len(by_type), 1)
        print(f"| {name} | {expected} | {percent(micro, recall if kind == 'micro' else None, True)} "
              f"| {percent(macro, recall if kind == 'macro' else None, True)} | {negatives} "
              f"| {percent(flagged / negatives, share, False) if negatives else '-'} | {best} |")
        if arg("--misses", "") == name:
            for c, e in misses:
                print("MISS", c["id"], e["type"], repr(c["text"][e.get("start", 0):e.get("end", 200)]))
        if arg("--wolf", "") == name:
            for c, high in wolf:
                print("WOLF", c["id"], [(f["rule"], f["confidence"], c["text"][f["start"]:f["end"]][:80]) for f in high])


main()
