#!/usr/bin/env python3
"""Checks OCSF events against the cut schema: ocsf_check.py SCHEMA.json EVENTS.jsonl

Rules (README beside the schema): required attributes are there, attributes of a profile count only when the
event names the profile, unknown attributes are refused (but under `unmapped`), enum values are known, types
are right, at_least_one / just_one hold, type_uid and category_uid fit the class. One line a fault; exit
status 1 when there was one. The last line says how many events were checked."""
import json
import re
import sys

INT = {"integer_t", "long_t", "timestamp_t", "port_t"}


class Checker:
    def __init__(self, schema):
        self.schema, self.faults = schema, []
        self.by_uid = {c["class_uid"]: (n, c) for n, c in schema["classes"].items()}

    def fault(self, path, what):
        self.faults.append(f"{path}: {what}")

    def scalar(self, path, value, type_name):
        t = self.schema["types"].get(type_name)
        if t is None:
            return self.fault(path, f"no such type {type_name}")
        if type_name in INT:
            if not isinstance(value, int) or isinstance(value, bool):
                return self.fault(path, f"not a number: {value!r}")
            lo, hi = t.get("range", [-2**63, 2**63 - 1])
            if not lo <= value <= hi:
                self.fault(path, f"out of range: {value}")
        elif type_name == "boolean_t":
            if not isinstance(value, bool):
                self.fault(path, f"not a boolean: {value!r}")
        elif type_name == "float_t":
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                self.fault(path, f"not a number: {value!r}")
        elif type_name != "json_t":
            if not isinstance(value, str):
                return self.fault(path, f"not a text: {value!r}")
            if "max_len" in t and len(value) > t["max_len"]:
                self.fault(path, "too long")
            if "regex" in t and not re.search(t["regex"], value):
                self.fault(path, f"does not match {type_name}: {value!r}")

    def one(self, path, value, attr, profiles):
        if "enum" in attr and attr["enum"] and str(value) not in attr["enum"]:
            self.fault(path, f"not in the enum: {value!r}")
        name = attr["type"]
        if name == "object":  # free form
            if not isinstance(value, dict):
                self.fault(path, "not an object")
        elif name in self.schema["objects"]:
            self.attributes(path, value, self.schema["objects"][name], profiles)
        else:
            self.scalar(path, value, name)

    def attributes(self, path, value, spec, profiles):
        if not isinstance(value, dict):
            return self.fault(path, "not an object")
        attrs = {n: a for n, a in spec["attributes"].items()
                 if not a.get("profile") or a["profile"] in profiles}
        for name in value:
            if name not in attrs:
                self.fault(f"{path}.{name}", "unknown attribute")
        for name, attr in attrs.items():
            here = f"{path}.{name}"
            if name not in value:
                if attr["requirement"] == "required":
                    self.fault(here, "required and not there")
                continue
            if attr.get("is_array"):
                if not isinstance(value[name], list):
                    self.fault(here, "not an array")
                    continue
                for i, item in enumerate(value[name]):
                    self.one(f"{here}[{i}]", item, attr, profiles)
            else:
                self.one(here, value[name], attr, profiles)
        rules = spec.get("constraints") or {}
        if "at_least_one" in rules and not any(n in value for n in rules["at_least_one"]):
            self.fault(path, f"none of {rules['at_least_one']}")
        if "just_one" in rules and sum(n in value for n in rules["just_one"]) != 1:
            self.fault(path, f"not exactly one of {rules['just_one']}")

    def event(self, where, ev):
        if ev.get("class_uid") not in self.by_uid:
            return self.fault(where, f"unknown class {ev.get('class_uid')!r}")
        name, cls = self.by_uid[ev["class_uid"]]
        profiles = ev.get("metadata", {}).get("profiles", [])
        for p in profiles:
            if p not in cls["profiles"]:
                self.fault(where, f"{name} has no profile {p}")
        if ev.get("type_uid") != cls["class_uid"] * 100 + ev.get("activity_id", 0):
            self.fault(where, "type_uid does not fit")
        if ev.get("category_uid") != cls["category_uid"]:
            self.fault(where, "category_uid does not fit")
        if ev.get("metadata", {}).get("version") != "1.8.0":
            self.fault(where, "not version 1.8.0")
        self.attributes(where, ev, cls, profiles)


def no_duplicates(pairs):
    keys = [k for k, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"duplicate key in {keys}")
    return dict(pairs)


def main():
    checker = Checker(json.load(open(sys.argv[1], encoding="utf-8")))
    n = 0
    for n, line in enumerate(open(sys.argv[2], "rb"), 1):
        try:
            event = json.loads(line.decode("utf-8", "strict"), object_pairs_hook=no_duplicates)
        except ValueError as e:
            checker.fault(f"line {n}", f"not JSON: {e}")
            continue
        code = event.get("metadata", {}).get("event_code", "?")
        checker.event(f"line {n} ({code})", event)
    for fault in checker.faults:
        print(fault)
    print(f"{n} events, {len(checker.faults)} faults")
    sys.exit(bool(checker.faults) or n == 0)


main()
