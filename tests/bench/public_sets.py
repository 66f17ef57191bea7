#!/usr/bin/env python3
"""Makes the whole public sets of test cases out of clones of the tools that they belong to, for tests/bench/detection.py --cases.

usage: tests/bench/public_sets.py CLONES OUT

CLONES holds work trees of any of: gitleaks, betterleaks, noseyparker, titus, kingfisher, trufflehog, CredSweeper, osv-scalibr, secretlint,
detect-secrets, whispers, presidio, presidio-research, scrubadub, semgrep-rules, trivy, checkov, ripsecrets, talisman, patterns (LeakTK's, with its
submodule), phileas, redact-pii, CommonRegex, dd-sensitive-data-scanner, validator.js, faker, stdnum-js, idnumbers, datafaker, php-iban,
commons-validator, multicoin-address-validator, personnummer-meta (personnummer's meta), libphonenumber, sonar-text (SonarSource's),
secret-scanning-custom-patterns (advanced-security's), leaky-repo, cred-alert, bearer-rules, gosec, bandit, secrets-patterns-db,
security-utilities (Microsoft's); those that are absent are left out. Each becomes OUT/NAME.jsonl ({"id", "text", "expect", "not_expect"};
offsets count characters). gitleaks makes its secrets from patterns when its configuration is generated, so its generator is built (with go)
and run in a copy, once, and its secrets differ from run to run.
Nothing of the sets is kept in this repository: they are other people's work, and their strings are not what rules are built from."""
import ast
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import public_sets_ids
import public_sets_more
import public_sets_pii
import public_sets_secrets
from public_sets_secrets import GO_STRING


def write(out, name, cases):
    with open(os.path.join(out, name + ".jsonl"), "w", encoding="utf-8") as f:
        for i, case in enumerate(cases):
            f.write(json.dumps(dict(case, id=f"{name}/{i}")) + "\n")
    print(f"{name}: {sum(len(c['expect']) for c in cases)} expected, {sum(bool(c.get('not_expect')) for c in cases)} negative cases")


def yaml_rules(folder):
    """Nosey Parker, Titus and Kingfisher: examples and negative examples of each rule."""
    import yaml  # only these need it
    for path in sorted(glob.glob(folder + "/**/*.y*ml", recursive=True)):
        if "/rules/" not in path:
            continue
        with open(path, encoding="utf-8") as f:
            rules = (yaml.safe_load(f) or {}).get("rules", [])
        for rule in rules:
            yield from ({"text": text, "expect": [{"type": rule["id"]}]} for text in rule.get("examples") or [])
            yield from ({"text": text, "expect": [], "not_expect": [rule["id"]]} for text in rule.get("negative_examples") or [])


DUMP = """
func dumpCases(id string, tp, fp []string) {
	f, _ := os.OpenFile(os.Getenv("CASES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
	b, _ := json.Marshal(map[string]any{"rule": id, "tp": tp, "fp": fp})
	f.Write(append(b, 10))
	f.Close()
}
"""


def gitleaks(folder):
    """Its validator of rules is told to write down what it is given, and its generator is run."""
    with tempfile.TemporaryDirectory() as work:
        shutil.copytree(folder, work + "/g", ignore=shutil.ignore_patterns(".git"))
        path = work + "/g/cmd/generate/config/utils/validate.go"
        with open(path) as f:
            text = f.read()
        head = "func Validate(rule config.Rule, truePositives []string, falsePositives []string) *config.Rule {\n"
        text = text.replace("import (\n", 'import (\n\t"encoding/json"\n\t"os"\n', 1)
        text = text.replace(head, DUMP + head + "\tdumpCases(rule.RuleID, truePositives, falsePositives)\n", 1)
        with open(path, "w") as f:
            f.write(text)
        subprocess.run(["go", "run", "./cmd/generate/config", work + "/unused.toml"], cwd=work + "/g", check=False,
                       env=dict(os.environ, CASES=work + "/cases", GOFLAGS="-mod=mod"), stderr=subprocess.DEVNULL)
        with open(work + "/cases") as f:
            for rule in map(json.loads, f):
                yield from ({"text": t, "expect": [{"type": rule["rule"]}]} for t in dict.fromkeys(rule["tp"] or []))
                yield from ({"text": t, "expect": [], "not_expect": [rule["rule"]]} for t in rule["fp"] or [])


def credsweeper(folder):
    """The samples that are text, with what its own test expects to be found in them."""
    found = {}
    with open(folder + "/tests/data/output.json") as f:
        for item in json.load(f):
            for line in item["line_data_list"]:
                found.setdefault(os.path.basename(line["path"]), []).append((item["rule"], line))
    for name, items in sorted(found.items()):
        try:
            with open(os.path.join(folder, "tests/samples", name), encoding="utf-8", newline="") as f:
                text = f.read().replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError):
            continue
        starts, expect = [0] + [m.end() for m in re.finditer("\n", text)], []
        for rule, line in items:
            if not line["value"] or line["line_num"] > len(starts):
                continue
            at = text.find(line["value"], starts[line["line_num"] - 1])
            if at >= 0:
                expect.append({"type": rule, "start": at, "end": at + len(line["value"])})
        if expect:
            yield {"text": text, "expect": expect}


def presidio(folder):
    """The tables of its recognizers' tests: a text, how much is found in it, and where; not of those that are language models."""
    models = ("spacy", "stanza", "transformers", "gliner", "huggingface", "lm_", "medical_ner", "langextract", "ahds", "azure")
    for path in sorted(glob.glob(folder + "/presidio-analyzer/tests/test_*_recognizer.py")):
        if any(m in os.path.basename(path) for m in models):
            continue
        with open(path, encoding="utf-8") as f:
            source = f.read()
        entity = re.search(r'def entit(?:ies|y)\(.*?\):\s*(?:"""[^"]*""")?\s*return \[?"([A-Z_0-9]+)"', source)
        if entity is None:
            continue
        for node in ast.walk(ast.parse(source)):
            if not (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize" and len(node.args) == 2):
                continue
            for row in getattr(node.args[1], "elts", []):
                try:
                    row = ast.literal_eval(row)
                except ValueError:
                    continue
                if not (isinstance(row, tuple) and len(row) > 1 and isinstance(row[0], str) and type(row[1]) is int):
                    continue
                where = [x for x in row[2:] if isinstance(x, tuple)][:1]
                spans = [s for s in (where[0] if where and where[0] and isinstance(where[0][0], tuple) else where)
                         if len(s) == 2 and all(type(x) is int for x in s)]
                if row[1] == 0:
                    yield {"text": row[0], "expect": [], "not_expect": [entity[1]]}
                else:
                    yield {"text": row[0], "expect": [{"type": entity[1], "start": a, "end": b} for a, b in spans] or [{"type": entity[1]}]}


def go_split(text, by):
    """Splits a Go expression where `by` stands outside of strings and brackets."""
    parts, depth, i = [""], 0, 0
    while i < len(text):
        string = re.compile(GO_STRING).match(text, i)
        if string:
            parts[-1] += string[0]
            i = string.end()
            continue
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth < 0:
            break
        if text[i] == by and depth == 0:
            parts.append("")
        else:
            parts[-1] += text[i]
        i += 1
    return [p.strip() for p in parts if p.strip()]


def go_value(text, names):
    """A Go expression of strings; ValueError when it is something else."""
    parts = go_split(text, "+")
    if len(parts) > 1:
        return "".join(go_value(p, names) for p in parts)
    text = text.strip()
    if re.fullmatch(GO_STRING, text):
        return text[1:-1] if text[0] == "`" else json.loads(re.sub(r"\\x(..)", r"\\u00\1", text))
    call = re.fullmatch(r"fmt\.Sprintf\((.*)\)", text, re.S)
    if call:
        form, *values = go_split(call[1], ",")
        values = iter([go_value(v, names) for v in values])
        return re.sub("%[svq]", lambda m: json.dumps(next(values)) if m[0] == "%q" else next(values), go_value(form, names))
    part = re.fullmatch(r"(\w+)(?:\[(\d*):(\d*)\])?", text)
    if part is None or part[1] not in names:
        raise ValueError(text)
    return names[part[1]][int(part[2] or 0):int(part[3]) if part[3] else None]


def go_constants(source):
    """What is assigned to names, as far as it is made of strings; the first that a name has."""
    names = {}
    for m in re.finditer(r"(?m)^\s*(?:var |const )?(\w+)\s*(?:string)?\s*:?=\s*((?:" + GO_STRING + r"|[^\n]*\+[^\n]*))\s*$", source):
        try:
            names.setdefault(m[1], go_value(m[2], names))
        except (ValueError, StopIteration):
            pass
    return names


def trufflehog(folder):
    """The tables of its detectors' tests, as far as they are made of strings. Of a value that a detector joins the longest part counts."""
    for path in sorted(glob.glob(folder + "/pkg/detectors/**/*_test.go", recursive=True)):
        if "integration" in path:
            continue
        with open(path, encoding="utf-8") as f:
            source = f.read()
        names, detector = go_constants(source), path.split("/pkg/detectors/")[1].rsplit("/", 1)[0]
        for m in re.finditer(r"\{\s*name:\s*(?:" + GO_STRING + r"),\s*input:\s*", source):
            fields = go_split(source[m.end():m.end() + 8000], ",")
            want = next((x[5:].strip() for x in fields[1:] if x.startswith("want:")), None)
            try:
                text = go_value(fields[0], names)
                values = [] if want == "nil" else [go_value(v, names) for v in go_split(re.fullmatch(r"\[\]string\{(.*)\}", want, re.S)[1], ",")]
            except (ValueError, StopIteration, TypeError):
                continue
            parts = [p for v in values for p in [v] + re.split("[:;|]", v) if len(p) >= 6 and p in text]
            if not values:
                yield {"text": text, "expect": [], "not_expect": [detector]}
            elif parts:
                part = max(parts, key=len)
                yield {"text": text, "expect": [{"type": detector, "start": text.index(part), "end": text.index(part) + len(part)}]}


def secret_of(text, start, value):
    """Where the secret stands: of a URL with a password in it the password."""
    url = re.match(r".*?://[^:/@\s]*:([^\s/]+)@|.*?://([^:/@\s]+)(?::x-oauth-basic)?@", value)
    a, b = (url.span(1) if url[1] else url.span(2)) if url else (0, len(value))
    return {"start": start + a, "end": start + b}


def scalibr(folder):
    """The tables of the tests of its secret detectors (veles), as far as they are made of strings: what is wanted stands in the input."""
    for path in sorted(glob.glob(folder + "/veles/secrets/**/*_test.go", recursive=True)):
        with open(path, encoding="utf-8") as f:
            source = f.read()
        names, detector = go_constants(source), os.path.basename(os.path.dirname(path))
        for m in re.finditer(r"\{\s*name:\s*(?:" + GO_STRING + r"),\s*(?=input:|in:)", source):
            fields = dict(x.split(":", 1) for x in go_split(source[m.end():m.end() + 8000], ",") if re.match(r"\w+:", x))
            want = (fields.get("want") or fields.get("expected") or "nil").strip()
            try:
                text = go_value(fields.get("input", fields.get("in", "")), names)
            except (ValueError, StopIteration):
                continue
            if want == "nil" or re.fullmatch(r"[^{]*\{\s*\}", want):
                test = re.findall(r"(?m)^func (Test\w+)", source[:m.start()])[-1:]
                named = any(k in fields for k in ("want", "expected")) or "egative" in "".join(test)
                if named and text and detector != "gcpsak" and "checksum" not in m[0]:
                    yield {"text": text, "expect": [], "not_expect": [detector]}
                continue
            values = []
            secret = re.sub(r"\b(?:Public\w*|\w*Id|\w*ID):\s*(?:" + GO_STRING + r"|\w+)", "", want)  # unless nothing else is there
            for part in re.findall(GO_STRING + r"|\b\w+\b", secret) + re.findall(GO_STRING + r"|\b\w+\b", want):
                try:
                    values.append(go_value(part, names))
                except (ValueError, StopIteration):
                    pass
            value = next((v for v in values if len(v) >= 6 and v in text), None)
            if value is not None:
                yield {"text": text, "expect": [dict(secret_of(text, text.index(value), value), type=detector)]}


def secretlint(folder):
    """The snapshots of its rules: an input, and where messages point. Those with options of their own are left out."""
    seen = set()
    for path in sorted(glob.glob(folder + "/packages/@secretlint/*/test/snapshots/*/output.json")):
        rule, name = path.split("/@secretlint/")[1].split("/")[0].removeprefix("secretlint-rule-"), os.path.basename(os.path.dirname(path))
        if rule in ("pattern", "filter-comments", "example", "no-homedir", "no-dotenv", "internal-test-cjs", "internal-test-esm"):
            continue
        with open(path, encoding="utf-8") as f:
            output = json.load(f)
        text, messages = output.get("sourceContent", ""), output.get("messages", [])
        expect = []
        for m in messages:  # a range is not always where the secret stands, what a message quotes is
            quoted = [v for v in m.get("data", {}).values() if isinstance(v, str) and len(v) >= 6 and v in text]
            value = max(quoted, key=len, default=text[slice(*m["range"])])
            at = text.find(value, m["range"][0])
            if m["type"] == "message" and value:
                expect.append(dict(secret_of(text, at if at >= 0 else text.index(value), value), type=rule))
        configured = os.path.exists(os.path.join(os.path.dirname(path), ".secretlintrc.json")) and not expect
        if not text or text in seen or configured or len(text) > 100000 or name.startswith("options"):
            continue
        seen.add(text)
        if expect:
            yield {"text": text, "expect": expect}
        elif not messages:
            yield {"text": text, "expect": [], "not_expect": [rule]}


def py_value(node, names):
    """A Python expression of strings, numbers and collections; ValueError when it is something else."""
    see = lambda n: py_value(n, names)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, (ast.Tuple, ast.List)):
        items = []
        for n in node.elts:
            try:
                items.append(see(n))
            except ValueError:
                if isinstance(node, ast.Tuple):
                    raise
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.JoinedStr):
        return "".join(str(see(v.value if isinstance(v, ast.FormattedValue) else v)) for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
        left, right = see(node.left), see(node.right)
        return left + right if isinstance(node.op, ast.Add) else left * right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        return see(node.func.value).format(*map(see, node.args), **{k.arg: see(k.value) for k in node.keywords})
    raise ValueError(ast.dump(node))


def detect_secrets(folder):
    """The tables of its plugins' tests: a line, and whether (or which) secret is found in it; not of those that ask for entropy alone.
    A line that one kind of file flags and another does not is no negative."""
    cases = {}
    for path in sorted(glob.glob(folder + "/tests/plugins/*_test.py")):
        plugin = os.path.basename(path).removesuffix("_test.py")
        if plugin in ("base", "high_entropy_strings", "ip_public"):
            continue
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        names, tables = {}, []
        for node in ast.walk(tree):
            try:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    names[node.targets[0].id] = py_value(node.value, names)
                    if node.targets[0].id.endswith("_CASES"):
                        tables.append(names[node.targets[0].id])
            except (ValueError, TypeError):
                pass
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize" and len(node.args) == 2:
                try:
                    tables.append(py_value(node.args[1], names))
                except (ValueError, TypeError):
                    pass
        for row in (row for table in tables for row in table):
            text, found = row[:2] if isinstance(row, tuple) and len(row) > 1 else (row, True)
            if not isinstance(text, str) or not (found is None or isinstance(found, (bool, str, list))) or text in cases and not found:
                continue
            found = found[0] if isinstance(found, list) and found else found
            expect = {"type": plugin}
            if isinstance(found, str) and found in text:
                expect.update(start=text.index(found), end=text.index(found) + len(found))
            cases[text] = {"text": text, "expect": [expect]} if found else {"text": text, "expect": [], "not_expect": [plugin]}
    yield from cases.values()


def whispers(folder):
    """Its fixtures: every value that its tests find says that it is hardcoded, and in some files none is."""
    with open(folder + "/tests/unit/test_secrets.py", encoding="utf-8") as f:
        counts = dict(re.findall(r'\("([^"]+)", (\d+)\)', f.read()))
    for name, count in sorted(counts.items()):
        try:
            with open(os.path.join(folder, "tests/fixtures", name), encoding="utf-8") as f:
                text = f.read()
        except (OSError, UnicodeDecodeError):
            continue
        spans = [m.span() for m in re.finditer(r"[^\s\"'`<>=,;:()/\\]*hardcoded[^\s\"'`<>,;()@&\\]*", text, re.I)]
        if int(count) == 0:
            yield {"text": text, "expect": [], "not_expect": [name]}
        elif len(spans) == int(count):
            yield {"text": text, "expect": [{"type": name, "start": a, "end": b} for a, b in spans]}


def presidio_research(folder):
    """The sentences of both its generated sets, and of what they hold that which has a form: no names, places, titles and dates."""
    forms = ("CREDIT_CARD", "IBAN_CODE", "EMAIL_ADDRESS", "PHONE_NUMBER", "US_SSN", "IP_ADDRESS", "US_DRIVER_LICENSE")
    for path in ("data/synth_dataset_v2.json", "tests/data/generated_large.json"):
        with open(os.path.join(folder, path), encoding="utf-8") as f:
            rows = json.load(f)
        for row in rows:
            expect = [{"type": s["entity_type"], "start": s["start_position"], "end": s["end_position"]}
                      for s in row["spans"] if s["entity_type"] in forms]
            if expect:
                yield {"text": row["full_text"], "expect": expect}
            elif all(s["entity_type"] in ("GPE", "LOCATION", "ORGANIZATION", "NRP") for s in row["spans"]):
                yield {"text": row["full_text"], "expect": [], "not_expect": ["PII"]}


def scrubadub(folder):
    """The docstrings of its tests: a text before and after, where what is found is {{NAMED}}; of these what has a form, or is a password."""
    forms = ("CREDENTIAL", "USERNAME", "PASSWORD", "CREDIT_CARD", "EMAIL", "PHONE", "SOCIAL_SECURITY_NUMBER", "NATIONAL_INSURANCE_NUMBER",
             "TAX_REFERENCE_NUMBER", "DRIVERS_LICENCE")
    for path in sorted(glob.glob(folder + "/tests/test_detector_*.py")):
        with open(path, encoding="utf-8") as f:
            tree = ast.parse(f.read())
        for node in ast.walk(tree):
            doc = ast.get_docstring(node, clean=False) if isinstance(node, ast.FunctionDef) else None
            if not doc or "BEFORE:" not in doc or "AFTER:" not in doc:
                continue
            before, after = (x.strip() for x in doc.split("BEFORE:")[1].split("AFTER:"))
            parts = re.split(r"\{\{([A-Z_]+)(?:-\d+)?\}\}", after)
            got = re.fullmatch("(.+?)".join(map(re.escape, parts[::2])), before, re.S)
            if before == after:
                yield {"text": before, "expect": [], "not_expect": [os.path.basename(path)]}
            elif got:
                expect = [{"type": kind, "start": got.start(i + 1), "end": got.end(i + 1)}
                          for i, kind in enumerate(parts[1::2]) if kind in forms and kind != "USERNAME"]
                if expect:
                    yield {"text": before, "expect": expect}


# The name of a set: the folder that it is made of, and how.
SETS = {
    "gitleaks_rules": ("gitleaks", gitleaks),
    "betterleaks_rules": ("betterleaks", gitleaks),
    "noseyparker_rules": ("noseyparker", yaml_rules),
    "titus_rules": ("titus", yaml_rules),
    "kingfisher_rules": ("kingfisher", yaml_rules),
    "credsweeper_samples": ("CredSweeper", credsweeper),
    "presidio_recognizers": ("presidio", presidio),
    "presidio_research": ("presidio-research", presidio_research),
    "scrubadub": ("scrubadub", scrubadub),
    "trufflehog": ("trufflehog", trufflehog),
    "osv_scalibr": ("osv-scalibr", scalibr),
    "secretlint": ("secretlint", secretlint),
    "detect_secrets": ("detect-secrets", detect_secrets),
    "whispers": ("whispers", whispers),
    **public_sets_secrets.SETS,
    **public_sets_pii.SETS,
    **public_sets_ids.SETS,
    **public_sets_more.SETS,
}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    os.makedirs(sys.argv[2], exist_ok=True)
    for name, (folder, cases) in SETS.items():
        path = os.path.join(sys.argv[1], folder)
        if os.path.isdir(path):
            write(sys.argv[2], name, list(cases(path)))
        else:
            print(f"SKIP  {name}: {path} is absent")


main()
