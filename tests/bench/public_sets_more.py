"""More sets of secrets for tests/bench/public_sets.py: SonarSource's sonar-text, the patterns for GitHub's secret scanning that its users share,
leaky-repo, cred-alert, bearer-rules, gosec, bandit, and strings drawn from the patterns of secrets-patterns-db and of security-utilities."""
import csv
import glob
import json
import os
import random
import re

try:
    from re import _constants, _parser
except ImportError:  # before Python 3.11
    import sre_constants as _constants
    import sre_parse as _parser

from public_sets_secrets import read


def sonar(folder):
    """The examples of its rules: a text, whether it holds a secret, and mostly which. Only they are parsed, for theirs is a laxer reader."""
    import yaml
    for path in sorted(glob.glob(folder + "/sonar-text-plugin/src/main/resources/**/secrets/configuration/*.yaml", recursive=True)):
        source = read(path)
        for block in re.finditer(r"(?m)^( *)examples:[ \t]*\n((?:\1[ -].*\n|[ \t]*\n)*)", source + "\n"):
            rule = re.findall(r"(?m)^\s*(?:- )?id: *(\S+)", source[:block.start()])[-1]
            for example in yaml.safe_load(block[2]):
                text, match = str(example["text"]), str(example.get("match") or "").strip()
                if str(example.get("containsSecret")) != "True":
                    yield {"text": text, "expect": [], "not_expect": [rule]}
                elif match and match in text:
                    at = text.index(match)
                    yield {"text": text, "expect": [{"type": rule, "start": at, "end": at + len(match)}]}
                else:
                    yield {"text": text, "expect": [{"type": rule}]}


# What these patterns of the next set find is no secret, or not by itself.
NO_SECRETS = ("uuids", "github_actions_sha_checker", "common_passwords_shortlist", "hardcoded_internal_emails", "hardcoded_internal_urls",
              "any_ipv4_addresses", "ghcr_typos", "ssh_public_key", "arc")


def custom_patterns(folder):
    """The texts of its patterns, and the files beside them with all that their patterns find there. Offsets count bytes."""
    import yaml

    def expected(raw, kind, at, end):
        return {"type": kind, "start": len(raw[:at].decode(errors="ignore")), "end": len(raw[:end].decode(errors="ignore"))}

    for path in sorted(glob.glob(folder + "/**/patterns.yml", recursive=True)):
        files = {}
        for pattern in yaml.safe_load(read(path))["patterns"]:
            kind = pattern.get("type") or pattern["name"]
            if kind in NO_SECRETS:
                continue
            tests = pattern.get("test") or []
            for test in tests if isinstance(tests, list) else [tests]:
                raw = str(test.get("data") or "").encode()
                at, end = test.get("start_offset"), test.get("end_offset")
                if raw and type(at) is int and type(end) is int:
                    yield {"text": raw.decode(), "expect": [expected(raw, kind, max(at, 0), end if end > at else len(raw))]}
                elif raw and at is False:
                    yield {"text": raw.decode(), "expect": [], "not_expect": [kind]}
            for row in pattern.get("expected") or []:
                files.setdefault(row["name"], set()).add((row["start_offset"], row["end_offset"], kind))
        for name, found in sorted(files.items()):
            text = read(os.path.join(os.path.dirname(path), name))
            if text is None or len(text) > 200000:
                continue
            expect, last = [], 0
            for at, end, kind in sorted(found):
                if at >= last:  # of patterns that overlap the first counts
                    expect.append(expected(text.encode(), kind, at, end))
                    last = end
            yield {"text": text, "expect": expect}


NAMED = re.compile(r"""(?ix) (?: (?:\b|_|\b\w+) (?: pass(?:word|wd|phrase)? | secret | secret_?key(?:_base)? | (?:api|auth|app)_?key | _?auth | (?:auth_?)?token
                         | \w+_(?:key|salt) | pwd )
                    ["']? (?: [ \t]*[=:,][ \t]*["']? | [ \t]+["']? | \b[^<>\n]*> ) | ://[^\s:/]+: | (?m:^[\w.-]+:)(?=\$) )
                    (?P<v> [^\s"'<,;]{4,} )""")


def leaky_repo(folder):
    """Its files, of each the lines that are a risk; where our idea of them is not of the number that its table says, anything counts."""
    rows = csv.reader(line for line in read(folder + "/.leaky-meta/secrets.csv").splitlines() if not line.startswith("#"))
    for name, risks in ((row[0], int(row[1])) for row in rows if len(row) > 2):
        text = read(os.path.join(folder, name))
        if text is None or risks == 0:
            continue
        spans, lines = [], set()
        for m in NAMED.finditer(text):
            line = text.count("\n", 0, m.start())
            before = text[text.rfind("\n", 0, m.start()) + 1:m.start()].lstrip()
            if not before.startswith(("#", "//", "/*", "*")) and line not in lines and not m["v"].startswith(("$", "<", "/", "true")):
                lines.add(line)
                spans.append(m.span("v"))
        located = [{"type": name, "start": a, "end": b} for a, b in spans]
        yield {"text": text, "expect": located if len(located) == risks else [{"type": name}]}


def cred_alert(folder):
    """The lines of its fixture: what is marked must be found, what is not must not."""
    source = read(folder + "/sniff/fixtures/credentials.go").split("`")[1]
    for line in source.splitlines():
        text, mark, _ = line.partition("# should_match")
        if text.strip() and not text.lstrip().startswith("#"):
            yield {"text": text.rstrip(), "expect": [{"type": "line"}]} if mark else {"text": text, "expect": [], "not_expect": ["line"]}


def bearer(folder):
    """The programs that its rules of secrets in source are tried on: the statement under each annotation, and files without any."""
    mark = re.compile(r"[^\n]*bearer:expected +(\w+)[^\n]*\n")
    for path in sorted(glob.glob(folder + "/tests/**/testdata/**", recursive=True)):
        rule = path.split("/tests/", 1)[1].split("/testdata/")[0].replace("/", "_")
        text = read(path) if os.path.isfile(path) else None
        if text is None or not re.search(r"hardcoded|gosec_secrets|django_weak_secret|insecure_http_password", rule):
            continue
        if "bearer:expected" not in text:
            yield {"text": text, "expect": [], "not_expect": [rule]}
        for m in mark.finditer(text):
            block = re.split(r"\n[ \t]*\n|[^\n]*bearer:expected", text[m.end():], maxsplit=1)[0]
            if re.search(r"[\"'`][^\s\"'`]", block) and m[1] == rule:
                yield {"text": "\n".join(block.splitlines()[:6]) + "\n", "expect": [{"type": rule}]}


def gosec(folder):
    """Its programs with and without credentials."""
    source = read(folder + "/testutils/g101_samples.go")
    for text, count in re.findall(r"\[\]string\{`(.*?)`\}, (\d+), gosec", source, re.S):
        yield {"text": text, "expect": [{"type": "G101"}]} if int(count) else {"text": text, "expect": [], "not_expect": ["G101"]}


def bandit(folder):
    """The passwords that comments of its example name, each in the lines below the comment."""
    source = read(folder + "/examples/hardcoded-passwords.py")
    for block in re.split(r"(?m)^(?=\s*# Possible hardcoded password)", source)[1:]:
        said = re.match(r"\s*# Possible hardcoded password: '(.*)'\n", block)
        text = re.sub(r"(?m)^\s*#.*\n", "", block)
        if said and said[1] and said[1] in text:
            at = text.index(said[1])
            yield {"text": text, "expect": [{"type": "B105", "start": at, "end": at + len(said[1])}]}


LETTERS = "abcdefghijklmnopqrstuvwxyz"
PRINTED = LETTERS + LETTERS.upper() + "0123456789" + "_-+/=.!#%&*@~^"
WORD = LETTERS + LETTERS.upper() + "0123456789_"
CATEGORIES = {"CATEGORY_DIGIT": "0123456789", "CATEGORY_WORD": WORD, "CATEGORY_SPACE": " ", "CATEGORY_NOT_SPACE": PRINTED,
              "CATEGORY_NOT_DIGIT": LETTERS, "CATEGORY_NOT_WORD": " "}


def draw_set(items, random_):
    """One character of a class."""
    chars, negated = [], False
    for op, value in items:
        op = str(op)
        if op == "NEGATE":
            negated = True
        elif op == "LITERAL":
            chars.append(chr(value))
        elif op == "RANGE":
            chars += map(chr, range(value[0], min(value[1], value[0] + 95) + 1))
        elif op == "CATEGORY":
            chars += CATEGORIES[str(value)]
    chars = [c for c in PRINTED if c not in chars] if negated else [c for c in chars if c.isprintable()] or chars
    return random_.choice(chars)


def draw(tree, random_, inside=False, repeated=False):
    """A string that a parsed pattern may match; what stands between a name and its value, outside of groups, is kept short, and any one
    character is meant to be a point."""
    out = ""
    for op, value in tree:
        op = str(op)
        if op == "LITERAL":
            out += chr(value)
        elif op == "NOT_LITERAL":
            out += random_.choice([c for c in PRINTED if ord(c) != value])
        elif op == "ANY":
            out += "." if not repeated else random_.choice(WORD if inside else " =:")
        elif op == "IN":
            out += draw_set(value, random_)
        elif op == "BRANCH":
            out += draw(random_.choice(value[1]), random_, inside, repeated)
        elif op == "SUBPATTERN":
            out += draw(value[3], random_, inside or value[0] is not None, repeated)
        elif op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = value
            one_class = len(inner) == 1 and str(inner[0][0]) in ("IN", "LITERAL")
            top = least + (3 if not one_class or least == 0 else 20)
            for _ in range(random_.randint(least, min(most, top))):
                out += draw(inner, random_, inside, repeated=True)
        elif op not in ("AT", "ASSERT", "ASSERT_NOT"):
            raise ValueError(op)
    return out


def drawn(pattern, seed, group=None):
    """A text that the pattern matches, and where its group (or the first) stands; None when none is drawn."""
    flags = re.I if "(?i)" in pattern else 0
    pattern = pattern.replace("(?i)", "").replace("(?-i)", "").replace("\\z", "\\Z")
    random_ = random.Random(seed)
    try:
        tree, compiled = _parser.parse(pattern, flags), re.compile(pattern, flags)
        for _ in range(40):
            text = draw(tree, random_)
            m = compiled.search(text)
            if m and m[0]:
                return text, m.span(group or (1 if compiled.groups else 0))
    except (re.error, ValueError, KeyError, IndexError, OverflowError, RecursionError, _constants.error):
        pass
    return None


def patterns_db(folder):
    """A string drawn from each of its patterns that is a key's: not names, addresses and identifiers, nor a name whose value is left open."""
    import yaml
    other = re.compile(r"(?i)\b(arn|gateway|urls?|uri|hosts?|buckets?|user ?names?|emails?|address|domain|public|phone|ssn|path|disclosure|version)\b")
    said = re.compile(r"(?i)key|token|secret|passw|credential|webhook|private|auth|jwt")
    for i, row in enumerate(yaml.safe_load(read(folder + "/db/rules-stable.yml"))["patterns"]):
        name, pattern = row["pattern"]["name"], row["pattern"]["regex"]
        made = drawn(pattern, i)
        if made is None or other.search(name) or not (said.search(name) or re.compile(pattern).groups):
            continue
        text, (start, end) = made
        if end - start >= 16:
            yield {"text": text, "expect": [{"type": name, "start": start, "end": end}]}


def security_utilities(folder):
    """Three strings drawn from each pattern of a key that can be told alone."""
    for row in json.loads(read(folder + "/GeneratedRegexPatterns/PreciselyClassifiedSecurityKeys.json").lstrip("\ufeff")):
        for i in range(3):
            made = drawn(row["Pattern"], row["Id"] + str(i), "refine" if "refine" in row["Pattern"] else None)
            if made:
                text, (start, end) = made
                yield {"text": text, "expect": [{"type": row["Name"], "start": start, "end": end}]}


SETS = {
    "sonar_text": ("sonar-text", sonar),
    "custom_patterns": ("secret-scanning-custom-patterns", custom_patterns),
    "leaky_repo": ("leaky-repo", leaky_repo),
    "cred_alert": ("cred-alert", cred_alert),
    "bearer_rules": ("bearer-rules", bearer),
    "gosec": ("gosec", gosec),
    "bandit": ("bandit", bandit),
    "secrets_patterns_db": ("secrets-patterns-db", patterns_db),
    "security_utilities": ("security-utilities", security_utilities),
}
