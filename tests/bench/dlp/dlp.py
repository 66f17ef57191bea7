#!/usr/bin/env python3
"""The scanner beside Hyperscan (or Vectorscan), RE2 and PCRE2's JIT on the same rules, in one run.

usage: tests/bench/dlp/dlp.py BUILD-DIR [--seconds S] [--markdown] [--json FILE] [--no-peers] [--starts N] [--also NAME=RULES]...

One thread. The engines take turns on each text; of each the best pass counts, by the thread's own CPU time, so that other work on the
machine matters as far as it takes caches and memory. Bodies and the texts made to be slow are measured in N starts of the program (5), of which
the median counts: one start may be half as fast as the next. Messages of 10 KB; `chat, whole` are whole bodies, parsed and then scanned.
`100 rules`: 80 of credentials and 20 of personal data, spread over the built-in ones; `all`: the built-in ones. --also measures other
rules besides: a folder of ours, gitleaks' configuration (.toml), or lines of an id, a pattern and keywords apart by tabs (.tsv).
`clock` is an addition a byte: cycles a byte are its figure over another's."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
sys.path.insert(0, HERE)
import corpora  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
SECONDS, MARKDOWN, PEERS = arg("--seconds", "0.4"), "--markdown" in sys.argv, "--no-peers" not in sys.argv
STARTS = int(arg("--starts", "5"))
BENCH = BUILD + "/tests/bench/dlp/bench"
OURS = ["clock", "memchr", "filter", "Sluice", "Sluice, AVX2", "Sluice, scalar"]
OTHERS = ["Hyperscan", "RE2", "PCRE2 JIT"]


def rules_of(folder):
    """Texts of the rules of a folder of YAML files, by file name: a rule begins with "- id:" in the first column."""
    out = []
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.endswith(".yaml"):
                text = open(os.path.join(path, name), encoding="utf-8").read()
                out += re.findall(r"(?ms)^- id:.*?(?=^- id:|\Z)", text)
    return out


def spread(rules, n):
    return [rules[i * len(rules) // n] for i in range(n)] if len(rules) > n else rules


def subset(work):
    folder = work + "/s100"
    os.makedirs(folder)
    with open(folder + "/s100.yaml", "w", encoding="utf-8") as f:
        f.write("".join(spread(rules_of(ROOT + "/rules/secrets"), 80) + spread(rules_of(ROOT + "/rules/pii"), 20)))
    for name in os.listdir(ROOT + "/rules"):  # lists that rules refer to
        if name.endswith((".txt", ".list")):
            shutil.copy(f"{ROOT}/rules/{name}", folder)
    made = subprocess.run([BUILD + "/sluice", "rules", "build", "-o", work + "/s100.so", folder], capture_output=True, text=True)
    if made.returncode:
        sys.exit("the subset does not build: " + made.stderr + made.stdout)
    return work + "/s100.so", folder


def imported(work, name, path):
    """Rules of others as `sluice rules import` carries them over, built; (shared object, folder)."""
    folder = path
    if path.endswith(".tsv"):
        with open(path, encoding="utf-8") as f, open(f"{work}/{name}.toml", "w", encoding="utf-8") as out:
            for line in f:
                rule, pattern, keywords = line.rstrip("\n").split("\t")
                out.write(f"[[rules]]\nid = {json.dumps(rule)}\nregex = '''{pattern}'''\n")
                out.write(f"keywords = {json.dumps(keywords.split(','))}\n" if keywords else "")
        path = f"{work}/{name}.toml"
    if path.endswith(".toml"):
        folder = f"{work}/{name}"
        subprocess.run([BUILD + "/sluice", "rules", "import", "gitleaks", path, "-o", folder], check=True, stdout=subprocess.DEVNULL)
    made = subprocess.run([BUILD + "/sluice", "rules", "build", "-o", f"{work}/{name}.so", folder], capture_output=True, text=True)
    if made.returncode:
        sys.exit(f"{name} does not build: " + made.stderr + made.stdout)
    return f"{work}/{name}.so", folder


def bench(engines, rules, folder, files, seconds=SECONDS):
    out = subprocess.run([BENCH, "--seconds", seconds, "--engines", ";".join(engines), rules, folder] + files, capture_output=True, text=True)
    if out.returncode:
        sys.exit("bench: " + out.stderr)
    return [json.loads(line) for line in out.stdout.splitlines()]


def median(*how):
    """The same in several starts of the program: of each row the one of the median speed."""
    starts = [bench(*how) for _ in range(STARTS)]
    return [sorted(rows, key=lambda row: row["mb_s"])[STARTS // 2] for rows in zip(*starts)]


def table(head, lines):
    if MARKDOWN:
        print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
        for line in lines:
            print("| " + " | ".join(line) + " |")
    else:
        widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
        for line in [head] + lines:
            print("  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))))
    print()


def main():
    work = tempfile.mkdtemp(prefix="sluice-bench-dlp-")
    try:
        texts = corpora.make(work + "/texts")
        sets = {"100 rules": subset(work), "all rules": ("builtin", ROOT + "/rules")}
        for i, word in enumerate(sys.argv):
            if word == "--also":
                name, path = sys.argv[i + 1].split("=", 1)
                sets[name] = imported(work, name.replace(" ", "-"), path)
        files = [f"{name}:10240:{texts[name]}" for name in ("prose", "code", "chat", "table", "orders")]
        got, everything = {}, []
        for name, (rules, folder) in sets.items():
            rows = bench(OURS + (OTHERS if PEERS else []), rules, folder, files)
            everything += [dict(row, rules=name) for row in rows]
            for row in rows:
                got[name, row["engine"], row["text"]] = row
            whole = median(["clock", "parse", "Sluice, body"], rules, folder, [f"chat, whole:0:{texts['chat']}"])
            small = work + "/small.txt"
            with open(texts["chat"], encoding="utf-8") as f, open(small, "w", encoding="utf-8") as out:
                lines = [json.loads(line) for line in f.readlines()[:400]]
                for body in lines:
                    body["messages"] = [{"role": "user", "content": body["messages"][1]["content"][:900]}]
                    out.write(json.dumps(body, ensure_ascii=False) + "\n")
            for row in whole + median(["clock", "parse", "Sluice, body"], rules, folder, [f"chat, 1 KB:0:{small}"]):
                got[name, row["engine"], row["text"]] = row
                everything.append(dict(row, rules=name))
            lines = []
            for engine in OURS + (OTHERS if PEERS else []):
                line = [engine]
                for text in ("prose", "code", "chat", "table", "orders"):
                    row = got.get((name, engine, text))
                    line.append("-" if row is None else f"{row['mb_s']:,.1f}")
                row = got.get((name, engine, "prose"))
                clock = got[name, "clock", "prose"]["mb_s"]
                line += ["-" if row is None else f"{clock / row['mb_s']:,.2f}", "-" if row is None else str(row["refused"])]
                lines.append(line)
            print(f"{'### ' if MARKDOWN else ''}{name}, messages of 10 KB, MB/s" + ("\n" if MARKDOWN else ""))
            table(["", "prose", "code", "chat JSON", "PII table", "orders", "cycles a byte, prose", "patterns refused"], lines)
        hostile = [f"{name[8:]}:{min(1 << 20, os.path.getsize(path)) if name != 'hostile/leaves' else 0}:{path}" for name, path in texts.items() if name.startswith("hostile/")]
        rows = median(["Sluice"], "builtin", ROOT + "/rules", [h for h in hostile if not h.startswith("leaves")], "0.1")
        rows += median(["Sluice, body"], "builtin", ROOT + "/rules", [h for h in hostile if h.startswith("leaves")], "0.1")
        everything += [dict(row, rules="hostile") for row in rows]
        print(f"{'### ' if MARKDOWN else ''}Texts made to be slow, all rules, messages of 1 MB" + ("\n" if MARKDOWN else ""))
        table(["", "MB/s", ""], [[r["text"], f"{r['mb_s']:,.1f}", "given up" if r["found"] >= 1000000 else ""] for r in rows])
        goals(got, rows, [name for name in sets if name != "all rules"])
        print(f"{'### ' if MARKDOWN else ''}Answers that grow, all rules" + ("\n" if MARKDOWN else ""), flush=True)
        subprocess.run([BUILD + "/tests/bench/bench_guard"] + [texts[t] for t in ("prose", "code", "chat")], check=True)
        if "--json" in sys.argv:
            with open(arg("--json", ""), "w") as f:
                json.dump(everything, f, indent=1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def goals(got, hostile, against_peers):
    rate = lambda rules, engine, text: got[rules, engine, text]["mb_s"] if (rules, engine, text) in got else None
    lines = []
    for text in ("prose", "code", "chat"):
        lines.append((f"{text}, 100 rules", 1200, rate("100 rules", "Sluice", text)))
        for name in against_peers if PEERS else []:
            if rate(name, "Hyperscan", text):
                lines.append((f"{text}, {name}, over Hyperscan", 5, rate(name, "Sluice", text) / rate(name, "Hyperscan", text)))
        lines.append((f"{text}, all rules", 800, rate("all rules", "Sluice", text)))
        lines.append((f"{text}, 100 rules, AVX2", 600, rate("100 rules", "Sluice, AVX2", text)))
        lines.append((f"{text}, 100 rules, scalar", 250, rate("100 rules", "Sluice, scalar", text)))
    lines.append(("PII table, 100 rules", 200, rate("100 rules", "Sluice", "table")))
    lines.append(("slowest hostile text not given up", 20, min((r["mb_s"] for r in hostile if r["found"] < 1000000), default=None)))
    out = [[name, f">= {bound:,}", "-" if value is None else f"{value:,.1f} " + ("met" if value >= bound else "NOT met")] for name, bound, value in lines]
    for rules in ("100 rules", "all rules"):
        us = got[rules, "Sluice, body", "chat, 1 KB"]["us"]
        out.append([f"a 1 KB chat body, parsed and scanned, {rules}", "<= 8 µs", f"{us:.1f} " + ("met" if us <= 8 else "NOT met")])
    table(["goal (MB/s, or times)", "bound", "measured"], out)


main()
