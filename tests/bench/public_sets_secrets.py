"""Sets of test cases of scanners that look for secrets alone, for tests/bench/public_sets.py: semgrep-rules, Trivy, Checkov, ripsecrets,
Talisman and LeakTK's patterns."""
import ast
import glob
import hashlib
import json
import os
import re

GO_STRING = r'"(?:[^"\\\n]|\\.)*"|`[^`]*`'


def read(path):
    """The text of a file, or None when it is none."""
    try:
        with open(path, encoding="utf-8", newline="") as f:
            return f.read()
    except (OSError, UnicodeDecodeError):
        return None


def annotated(text):
    """What stands under each annotation of a test of semgrep, up to a blank line or the next: (ruleid or ok, rule, block)."""
    mark = re.compile(r"[^\n\w]*\b(ruleid|ok): *([a-z0-9-]+)[^\n]*\n")
    lines = text.splitlines(keepends=True)
    for i, line in enumerate(lines):
        m = mark.fullmatch(line if line.endswith("\n") else line + "\n")
        if not m:
            continue
        block = []
        for following in lines[i + 1:i + 60]:
            if mark.fullmatch(following) or not following.strip():
                break
            block.append(following)
        if block:
            yield m[1], m[2], "".join(block)


def values_of(tree, key):
    """The values of a key wherever it stands."""
    for k, v in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        if k == key:
            yield v
        yield from values_of(v, key)


def semgrep(folder):
    """Its rules of generic secrets, which are regular expressions: where one matches in the line under its annotation, its first group is
    what must be found if it is long enough to be a secret, otherwise anything."""
    import yaml  # only this and LeakTK need it
    for path in sorted(glob.glob(folder + "/generic/secrets/*/*.yaml")):
        patterns = {}
        for rule in yaml.safe_load(read(path) or "")["rules"]:
            patterns[rule["id"]] = list(values_of(rule, "pattern-regex"))
        for test in sorted(glob.glob(path[:-4] + "*")):
            if test == path:
                continue
            for kind, rule, block in annotated(read(test) or ""):
                if kind == "ok":
                    yield {"text": block, "expect": [], "not_expect": [rule]}
                    continue
                expect = {"type": rule}
                for pattern in patterns.get(rule, ()):
                    try:
                        m = re.search(pattern.replace("(?i)", ""), block, re.I if "(?i)" in pattern else 0)
                    except re.error:
                        continue
                    if m and m.lastindex and "\n" not in block[:m.start()] and 9 <= len(m[1] or "") < 400:
                        expect.update(start=m.start(1), end=m.end(1))
                        break
                yield {"text": block, "expect": [expect]}


def semgrep_code(folder):
    """Its rules of credentials in programs of any language: something must be found in the lines under the annotation that hold a literal."""
    wanted = re.compile(r"(?=.*(hard-?coded?|static|storage-in-source|in-build-arg|check-secrets|session-secret))"
                        r".*(secret|password|credential|token|jwt|passport|config|key|passphrase|auth|hashids)")
    for path in sorted(glob.glob(folder + "/**/*.*", recursive=True)):
        if "/generic/secrets/" in path or path.endswith((".yaml", ".yml")) or ".fixed." in path or os.path.isdir(path):
            continue
        seen = set()
        for kind, rule, block in annotated(read(path) or ""):
            if not wanted.match(rule) or (kind, block) in seen or kind == "ruleid" and not re.search(r"[\"'`=]\S", block):
                continue
            seen.add((kind, block))
            yield {"text": block, "expect": [{"type": rule}]} if kind == "ruleid" else {"text": block, "expect": [], "not_expect": [rule]}


def trivy(folder):
    """The files that its scanner's test reads with the built-in rules: where findings begin, and as many bytes as it hides of them."""
    here = folder + "/pkg/fanal/secret/"
    source = read(here + "scanner_test.go") or ""

    source = re.sub(r'strings\.Repeat\("\*", (\d+)\)', lambda m: "*" * int(m[1]), source)
    finding = r"RuleID:\s*\"(.+?)\".*?Match:\s*([^\n]*),\n(?:.*?\n)??\s*Offset:\s*(\d+)"
    named = {name: (rule, '"' + "*" * int(size) + '"', "0")
             for name, rule, size in re.findall(r'(\w+) := openAIFinding\("(.+?)",.*, (\d+)\)', source)}
    for m in re.finditer(r"^\t(\w+) := types\.SecretFinding\{$(.*?)^\t\}$", source, re.S | re.M):
        found = re.search(finding, m[2], re.S)
        if found:
            named[m[1]] = found.groups()
    cases = {}
    test = r'inputFilePath:\s*(?:filepath\.Join\("testdata", "([^"]+)"\)|"testdata/([^"]+)"),\n(.*?)(?=\n\t\t\{\n|\n\t\}\n)'
    for m in re.finditer(test, source, re.S):
        before = source[:m.start()].rsplit("configPath:", 1)[1]
        if "skip-test.yaml" not in before and '"config.yaml"' not in before:
            continue
        found = [named[x] for x in re.findall(r"\bwant\w+", m[3]) if x in named] + re.findall(finding, m[3], re.S)
        cases.setdefault(m[1] or m[2], []).append((found, "skip-test.yaml" in before))
    for name, runs in sorted(cases.items()):
        text = read(here + "testdata/" + name)
        found = {x for f, _ in runs for x in f if x[0] not in ("rule1", "multi-line")}
        if text is None:
            continue
        size = lambda shown: max(map(len, re.findall(r"\*+", shown)), default=0)
        expect = [{"type": rule, "start": int(at), "end": int(at) + size(shown)} for rule, shown, at in sorted(found) if size(shown)]
        if expect:
            yield {"text": text, "expect": expect}
        elif all(builtin and not f for f, builtin in runs) and not re.search(name + r".*\n.*want: types", source):
            yield {"text": text, "expect": [], "not_expect": [name]}


def checkov(folder):
    """Lines of its plugins' tests, and what of its files has a digest that the tests ask for; files in which nothing is to be found."""
    here = folder + "/tests/secrets/"
    digests = set()
    for path in glob.glob(here + "*.py"):
        digests.update(re.findall(r"\b[0-9a-f]{40}\b", read(path) or ""))
    tree = ast.parse(read(here + "test_plugin.py") or "")
    for node in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        calls = [c for c in ast.walk(node) if isinstance(c, ast.Call)]
        lines = [c.args[1].value for c in calls if getattr(c.func, "attr", "") == "analyze_line" and isinstance(c.args[1], ast.Constant)
                 and not c.args[0].value.endswith(".py")]  # of programs it reads nothing
        count = [c.args[0].value for c in calls if getattr(c.func, "attr", "") == "assertEqual" and isinstance(c.args[0], ast.Constant)]
        for line in lines:
            yield {"text": line, "expect": [{"type": "plugin"}]} if count[0] else {"text": line, "expect": [], "not_expect": [node.name]}
    for path in sorted(p for p in glob.glob(here + "**/*", recursive=True) if os.path.isfile(p) and not p.endswith("test_.py")):
        text = read(path)
        if text is None or "/git_history/" in path or re.search(r"/test_\w+\.py$", path):
            continue
        spans = {}
        for pattern in (r'"([^"\n]+)"', r"'([^'\n]+)'", r"([^\s\"'=:,]+)", r"([^\s\"']+)", r"[=:]\s*(\S+)"):
            for m in re.finditer(pattern, text):
                if hashlib.sha1(m[1].encode()).hexdigest() in digests:
                    spans.setdefault(m.span(1), os.path.basename(os.path.dirname(path)))
        if "/sanity/secrets/" in path or path.endswith(("/terraform_failed/main.tf", "/cfn/secret.yml")):
            named = r'(?m)^\s*"?\w*(?:pass|secret|key|password)\w*"?\s*[:=]\s*"([^"\n]+)"'
            spans.update({m.span(1): "sanity" for m in re.finditer(named, text, re.I)})
        if "_fp/" in path or "/non_secrets/" in path or "no-false-positive" in path or "/k8s/" in path:
            yield {"text": text, "expect": [], "not_expect": [os.path.basename(path)]}
        elif spans:
            yield {"text": text, "expect": [{"type": kind, "start": a, "end": b} for (a, b), kind in sorted(spans.items())]}


def ripsecrets(folder):
    """Files with a secret in each line, or one in all; and lines with none, but for those with a comment that lets one pass."""
    for path in sorted(glob.glob(folder + "/test/one_per_line/*")):
        for line in filter(str.strip, (read(path) or "").splitlines()):
            yield {"text": line, "expect": [{"type": os.path.basename(path)}]}
    for path in sorted(glob.glob(folder + "/test/one_per_file/*")):
        yield {"text": read(path) or "", "expect": [{"type": os.path.basename(path)}]}
    for line in filter(str.strip, (read(folder + "/test/none") or "").splitlines()):
        if "allowlist" not in line and "secretsignore" not in line:
            yield {"text": line, "expect": [], "not_expect": ["none"]}


def talisman(folder):
    """The lines of its pattern detector's test, each with the names that it puts in."""
    source = read(folder + "/detector/pattern/pattern_detector_test.go") or ""
    names = json.loads("[" + re.search(r"\[\d+\]string\{(.*?)\}", source)[1] + "]")
    for m in re.finditer(r"should(Pass|Fail)DetectionOfSecretPattern\(filename,\s*\[\]byte\((.*?)\),\s*t\)", source, re.S):
        for name in names if "values[i]" in m[2] else [""]:
            form = re.sub(r"strings\.To(?:Upper|Title)\(values\[i\]\)", lambda _: json.dumps(name.upper()), m[2])
            parts = re.findall(GO_STRING, form.replace("values[i]", json.dumps(name)))
            text = "".join(p[1:-1] if p[0] == "`" else json.loads(p) for p in parts)
            yield {"text": text, "expect": [{"type": "pattern"}]} if m[1] == "Pass" else {"text": text, "expect": [], "not_expect": ["pattern"]}


def leaktk(folder):
    """Its fake leaks (testdata/fake-leaks, a repository of its own) with what is to be found in them; files called invalid hold nothing."""
    import yaml
    found = {}
    for row in yaml.safe_load(read(folder + "/testdata/leaktk-scanner-results.yaml") or "[]"):
        found.setdefault(row["location.path"], []).append(row)
    leaks = folder + "/testdata/fake-leaks/"
    for path in sorted(p for p in glob.glob(leaks + "**/*", recursive=True) if os.path.isfile(p)):
        name, text = path[len(leaks):], read(path)
        if text is None or len(text) > 200000:
            continue
        expect, last = [], {}
        for row in found.get(name, ()):
            at = text.find(row["match"], last.get(row["match"], 0))
            if at < 0:
                continue
            last[row["match"]] = at + 1
            start = at + row["match"].find(row["secret"])
            expect.append({"type": row["rule.description"], "start": start, "end": start + len(row["secret"])})
        if expect:
            yield {"text": text, "expect": expect}
        elif name not in found and "/invalid/" in name:
            yield {"text": text, "expect": [], "not_expect": [name]}


SETS = {
    "semgrep_secrets": ("semgrep-rules", semgrep),
    "semgrep_code": ("semgrep-rules", semgrep_code),
    "trivy": ("trivy", trivy),
    "checkov": ("checkov", checkov),
    "ripsecrets": ("ripsecrets", ripsecrets),
    "talisman": ("talisman", talisman),
    "leaktk": ("patterns", leaktk),
}
