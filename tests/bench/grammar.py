#!/usr/bin/env python3
"""Formats of answers beside a validator of JSON Schema, on random schemas and documents.

usage: tests/bench/grammar.py BUILD-DIR [CASES [SEED]]     needs the Python package jsonschema
For each random schema: random documents, and some that are near to what it wants, are allowed exactly when the validator says
that they meet it; every beginning of an allowed document is allowed; and every answer that is drawn from the grammar, open or
ordered and closed, meets it. Ends with the counts; exits 1 at the first difference of each kind, which it prints."""
import json
import random
import subprocess
import sys

import jsonschema

CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
tool = subprocess.Popen([sys.argv[1] + "/tests/bench/grammar_try"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

NAMES = ["a", "ab", "b", "c d", "é", "q\"x", ""]
WORDS = ["", "a", "ab", "abc", "zé", "x\ny", "\"", "\\", "1", "😀"]
PATTERNS = ["^a", "b$", "^[a-c]+$", "a|z", "^.{1,3}$", "^(ab?c?)*$", "\\d", "é", "^[^\"]*$"]
NUMBERS = [0, 1, -1, 2, 7, 10, -12, 99, 100, 345, 0.5, -0.25, 1.5, 12.75, 1000]


def ask(kind, opened, schema, text):
    tool.stdin.write(f"{kind} {opened}\t{compact(schema)}\t{text}\n".encode())
    tool.stdin.flush()
    return tool.stdout.readline().decode(errors="replace").rstrip("\n")


def compact(v):
    return json.dumps(v, ensure_ascii=False, separators=(",", ":"))


def value(depth=0):
    kind = rng.randrange(8 if depth < 3 else 5)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind in (3, 4):
        return rng.choice(WORDS)
    if kind == 5:
        return [value(depth + 1) for _ in range(rng.randrange(4))]
    return {n: value(depth + 1) for n in rng.sample(NAMES, rng.randrange(4))}


def bounds(low, high, least, most):
    s = {}
    if rng.random() < 0.4:
        s[low] = rng.randrange(least, most)
    if rng.random() < 0.4:
        s[high] = s.get(low, least) + rng.randrange(4)
    return s


def schema(depth=0):
    kind = rng.randrange(12 if depth < 3 else 7)
    if kind == 0:
        return rng.choice([{}, {"type": "null"}, {"type": "boolean"}, True, {"type": ["string", "null"]}])
    if kind == 1:
        return {"enum": [value(2) for _ in range(rng.randrange(1, 5))]}
    if kind == 2:
        return {"type": "integer", **bounds("minimum", "maximum", -20, 120)}
    if kind == 3:
        return {"type": "number", **bounds(rng.choice(["minimum", "exclusiveMinimum"]), rng.choice(["maximum", "exclusiveMaximum"]), -3, 12)}
    if kind == 4:
        return {"type": "string", **bounds("minLength", "maxLength", 0, 4)}
    if kind == 5:
        return {"type": "string", "pattern": rng.choice(PATTERNS), **bounds("minLength", "maxLength", 0, 3)}
    if kind == 6:
        return {"const": value(2)}
    if kind in (7, 8):
        names = rng.sample(NAMES, rng.randrange(4))
        s = {"type": "object", "properties": {n: schema(depth + 1) for n in names}}
        s["required"] = [n for n in NAMES if rng.random() < 0.15 or n in names and rng.random() < 0.4]
        if rng.random() < 0.6:
            s["additionalProperties"] = rng.choice([False, True, schema(depth + 1)])
        if rng.random() < 0.2:
            s["maxProperties"] = rng.randrange(4)
        return s
    if kind == 9:
        s = {"type": "array", **bounds("minItems", "maxItems", 0, 3)}
        if rng.random() < 0.8:
            s["items"] = schema(depth + 1)
        if rng.random() < 0.3:
            s["prefixItems"] = [schema(depth + 1) for _ in range(rng.randrange(3))]
        return s
    if kind == 10:
        return {"anyOf": [schema(depth + 1) for _ in range(rng.randrange(1, 4))]}
    return {"allOf": [schema(depth + 2) for _ in range(2)]}


def meant(s, depth=0):
    """A value that a schema more or less wants."""
    if not isinstance(s, dict) or depth > 5 or rng.random() < 0.1:
        return value(2)
    if "const" in s:
        return s["const"]
    if "enum" in s:
        return rng.choice(s["enum"])
    for word in ("anyOf", "allOf"):
        if word in s:
            return meant(rng.choice(s[word]), depth + 1)
    kind = s.get("type")
    if kind == "object":
        v = {n: meant(p, depth + 1) for n, p in s["properties"].items() if n in s["required"] or rng.random() < 0.5}
        v.update({n: meant(s.get("additionalProperties"), depth + 1) for n in s["required"] if n not in v})
        if rng.random() < 0.3:
            v[rng.choice(NAMES)] = meant(s.get("additionalProperties"), depth + 1)
        items = list(v.items())
        rng.shuffle(items)
        return dict(items)
    if kind == "array":
        first = [meant(p, depth + 1) for p in s.get("prefixItems", [])]
        return first + [meant(s.get("items"), depth + 1) for _ in range(rng.randrange(s.get("minItems", 0), s.get("maxItems", 3) + 2))]
    if kind in ("integer", "number"):
        return rng.choice(NUMBERS) if rng.random() < 0.5 else rng.randrange(-20, 130)
    return rng.choice(WORDS) if kind == "string" else value(2)


counts = {"schemas": 0, "refused": 0, "allowed": 0, "not allowed": 0, "drawn": 0, "long": 0}
bad = 0


def differ(what, s, text, got):
    global bad
    bad += 1
    print(f"{what}: {compact(s)}\n  {text}\n  {got}")


for case in range(CASES):
    s = schema()
    validator = jsonschema.Draft202012Validator(s)
    counts["schemas"] += 1
    for _ in range(12):
        v = meant(s)
        text = compact(v)
        got = ask("try", "o", s, text)
        if got.startswith("refused"):
            if "no answer meets" not in got and "not supported" not in got:
                differ("refused", s, "", got)
            elif "no answer meets" in got and validator.is_valid(v):
                differ("refused, but met", s, text, got)
            counts["refused"] += 1
            break
        ok = validator.is_valid(v)
        counts["allowed" if ok else "not allowed"] += 1
        if (got == "whole") != ok:
            differ("valid" if ok else "invalid", s, text, got)
        elif ok and len(text.encode()) > 1 and ask("try", "o", s, text[: rng.randrange(len(text))]) == "no":
            differ("a beginning is not allowed", s, text, got)
    for opened in "oc":
        got = ask("draw", opened, s, rng.randrange(1 << 30))
        if got.startswith("refused") or got == "long":
            counts["long"] += 1
            continue
        counts["drawn"] += 1
        try:
            ok = validator.is_valid(json.loads(got))
        except ValueError:
            ok = False
        if not ok:
            differ("drawn", s, got, opened)
    if bad > 5:
        break
print(counts, "differences:", bad)
sys.exit(bad != 0)
