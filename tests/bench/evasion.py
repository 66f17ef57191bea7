#!/usr/bin/env python3
"""The evasion matrix over sets of cases that are not ours: tests/bench/evasion.py SLUICE [SET.jsonl...]

Each case of a set that is found as it stands is hidden in each way, whole and its value alone, and scanned again with
`sluice rules test --json`. Prints per set the share that is found again: something over the hidden text, in a view, or over all of it. (Of the
rules' own examples tests/unit/dlp/test_evasion.c does the same.) Without sets: gitleaks, titus and credsweeper of
../shared/dlp-dev; a set that is not there is named and left out.
"""

import base64
import gzip
import html
import json
import os
import subprocess
import sys
import urllib.parse

CYRILLIC = str.maketrans("ABEKMHOPCTXaeopcyx", "АВЕКМНОРСТХаеорсух")
DEFAULT = ["gitleaks_rules", "titus_rules", "credsweeper_samples"]
MOST = 400

WAYS = {
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64url": lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("="),
    "hex": lambda t: t.encode().hex(),
    "percent": lambda t: "".join("%%%02X" % b for b in t.encode()),
    "percent (quote)": lambda t: urllib.parse.quote(t),
    "html numbers": lambda t: "".join("&#%d;" % ord(c) for c in t),
    "html (escape)": html.escape,
    "\\u": lambda t: "".join("\\u%04x" % u for c in t for u in units(c)),
    "quoted-printable": lambda t: "".join("=%02X" % b for b in t.encode()),
    "gzip+base64": lambda t: base64.b64encode(gzip.compress(t.encode(), mtime=0)).decode(),
    "zero-width": lambda t: "\u200b".join(t),
    "full-width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "confusables": lambda t: t.translate(CYRILLIC),
}
# Some of what is above leaves a value as it stands when nothing in it can be replaced.
PLAIN_IS_FINE = {"percent (quote)", "html (escape)", "confusables"}


def units(c):
    raw = c.encode("utf-16-be")
    return [raw[i] << 8 | raw[i + 1] for i in range(0, len(raw), 2)]


def scan(sluice, texts):
    lines = "\n".join(json.dumps({"id": i, "text": t}) for i, t in enumerate(texts))
    done = subprocess.run([sluice, "rules", "test", "--json"], input=lines, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit("evasion.py: %s" % done.stderr.strip())
    return [json.loads(line)["findings"] for line in done.stdout.splitlines()]


def cases(sluice, path):
    texts = [c["text"] for c in map(json.loads, open(path, encoding="utf-8")) if 0 < len(c["text"]) < 4000]
    found = [(t, max(f, key=lambda x: x["confidence"])) for t, f in zip(texts, scan(sluice, texts)) if f]
    return found[::len(found) // MOST + 1]


def share(sluice, way, found, whole):
    hidden = []
    for text, f in found:
        start, end = (0, len(text)) if whole else (f["start"], f["end"])
        made = WAYS[way](text[start:end])
        hidden.append((text[:start] + made + text[end:], start, start + len(made)))
    again = 0
    for (text, start, end), fs in zip(hidden, scan(sluice, [h[0] for h in hidden])):
        # In a view; or as it stands, when the whole of it looks like a secret, too.
        again += any(f["start"] < end and f["end"] > start
                     and (f["view"] != "plain" or way in PLAIN_IS_FINE or f["end"] - f["start"] >= 0.9 * (end - start))
                     for f in fs)
    return 100.0 * again / len(found)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sluice, sets = sys.argv[1], sys.argv[2:]
    shared = os.path.join(os.path.dirname(__file__), "..", "..", "..", "shared", "dlp-dev")
    for path in sets or [os.path.join(shared, name + ".jsonl") for name in DEFAULT]:
        if not os.path.exists(path):
            print("SKIP  %s is not there" % path)
            continue
        found = cases(sluice, path)
        print("%s: %d cases that are found as they stand; found again, in %%: whole text, value alone"
              % (os.path.basename(path), len(found)))
        for way in WAYS:
            print("  %-18s %6.1f %6.1f" % (way, share(sluice, way, found, True), share(sluice, way, found, False)))


main()
