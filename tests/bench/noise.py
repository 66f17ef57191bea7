#!/usr/bin/env python3
"""How often the rules cry wolf: high-confidence findings per MB of ordinary text of this machine, by kind of text and by rule.

usage: tests/bench/noise.py BUILD-DIR [--mb N] [--class secret] [--show N] [--rules PATH] [--min CONFIDENCE] [--seed N]

Kinds: documentation, man pages, logs, JSON, CSV and tables, library source. A file counts once (by content), between 200 bytes
and 200 KB, at most N MB a kind (default 16), taken evenly over the sorted list, so that two runs on one machine see the same.
Findings of every class are counted; the columns tell secrets from the rest, because an e-mail address in a man page is one.
--show N prints N of the counted findings, evenly drawn, with the text around them, for a person to judge. It prints what is
found, unmasked: the text is the machine's own."""
import collections
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build/release"
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
BUDGET, SHOW, MIN = int(float(arg("--mb", "16")) * 1e6), int(arg("--show", "0")), int(arg("--min", "80"))
ONLY, SEED = arg("--class", ""), int(arg("--seed", "1"))
RULES = ["--rules", arg("--rules", "")] if "--rules" in sys.argv else []
SOURCE = (".py", ".h", ".hpp", ".c", ".cc", ".pm", ".pl", ".js", ".mjs", ".ts", ".rb", ".go", ".java", ".sh", ".el", ".lua", ".cmake")
ROOTS = ["/usr/share", "/usr/lib", "/usr/include", "/usr/local/lib", "/usr/local/share", "/etc", "/var/log", "/var/lib/dpkg",
         "/var/lib/apt", "/opt"]
# Text that does hold credentials on purpose is not ordinary: keys and test data of TLS libraries.
NOT_ORDINARY = ("/ssl/private", "/ssl/certs", "/ca-certificates", "/shadow", "/gshadow", "/.git/")


def kind_of(path):
    name = path.removesuffix(".gz").lower()
    end = os.path.splitext(name)[1]
    if "/man/man" in name or "/man/" in name and end[1:2].isdigit():
        return "man pages"
    if path.startswith("/var/log") or end == ".log":
        return "logs"
    if end in (".json", ".jsonl", ".map", ".webmanifest", ".geojson"):
        return "JSON"
    if end in (".csv", ".tsv", ".tab", ".list", ".md5sums", ".dat") or path.startswith(("/var/lib/dpkg", "/var/lib/apt")):
        return "CSV and tables"
    if end in SOURCE:
        return "library source"
    if "/doc/" in name or end in (".txt", ".md", ".rst", ".html", ".htm", ".pod", ".info", ".xml", ".yaml", ".yml", ".toml", ".ini", ".conf"):
        return "documentation"
    return None


def files():
    found = collections.defaultdict(list)
    for root in ROOTS:
        for folder, _, names in os.walk(root):
            for name in names:
                path = os.path.join(folder, name)
                kind = kind_of(path)
                if kind and not os.path.islink(path) and not any(p in path for p in NOT_ORDINARY):
                    found[kind].append(path)
    return {kind: sorted(paths) for kind, paths in found.items()}


def text_of(path):
    try:
        if not 100 <= os.path.getsize(path) <= 200_000:
            return None
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            raw = f.read(200_001)
    except OSError:
        return None
    if not 200 <= len(raw) <= 200_000 or b"\0" in raw:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def sample(paths, seen):
    """Every so many-th file until the budget is used, then the ones between, so that the sample is even."""
    step, total, out = 64, 0, []
    order = [p for first in range(step) for p in paths[(first * 37) % step::step]]
    for path in order:
        text = text_of(path)
        if text is None or total + len(text) > BUDGET:
            continue
        digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
        if digest not in seen:
            seen.add(digest)
            total += len(text.encode())
            out.append((path, text))
    return total, out


def pieces(text, size=4_000):
    """A text in parts that end with a line: a scan reports at most some thousand findings."""
    while len(text) > size:
        cut = text.rfind("\n", 0, size) + 1 or size
        yield text[:cut]
        text = text[cut:]
    yield text


def scan(texts):
    texts = [(path, piece) for path, text in texts for piece in pieces(text)]
    lines = "".join(json.dumps({"id": path, "text": text}) + "\n" for path, text in texts)
    run = subprocess.run([os.path.join(BUILD, "sluice"), "rules", "test", "--json", *RULES], input=lines, text=True,
                         stdout=subprocess.PIPE, check=True)
    for line, (path, text) in zip(run.stdout.splitlines(), texts):
        for f in json.loads(line)["findings"]:
            if f["confidence"] >= MIN and (not ONLY or f["class"] == ONLY):
                yield path, text, f


def main():
    seen, rules, shown = set(), collections.Counter(), []
    all_bytes, all_secret, all_other = 0, 0, 0
    print(f"findings of confidence {MIN} and above\n\n| kind | files | MB | secrets | per MB | other | per MB |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind, paths in sorted(files().items()):
        total, texts = sample(paths, seen)
        secret = other = 0
        for path, text, f in scan(texts):
            secret, other = secret + (f["class"] == "secret"), other + (f["class"] != "secret")
            rules[f["class"], f["rule"]] += 1
            shown.append((kind, path, text, f))
        mb = max(total, 1) / 1e6
        print(f"| {kind} | {len(texts)} | {mb:.1f} | {secret} | {secret / mb:.2f} | {other} | {other / mb:.2f} |")
        all_bytes, all_secret, all_other = all_bytes + total, all_secret + secret, all_other + other
    mb = max(all_bytes, 1) / 1e6
    print(f"| all | | {mb:.1f} | {all_secret} | {all_secret / mb:.2f} | {all_other} | {all_other / mb:.2f} |\n")
    for (class_, rule), n in rules.most_common():
        print(f"{n:6d}  {class_:12} {rule}")
    random.Random(SEED).shuffle(shown)
    for kind, path, text, f in shown[:SHOW]:
        start, end = f["start"], f["end"]
        print(f"\n{f['rule']} {f['confidence']}  {path}\n    {text[max(0, start - 80):start]!r}\n    >>> {text[start:end][:200]!r}\n    {text[end:end + 40]!r}")


main()
