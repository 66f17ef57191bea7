#!/usr/bin/env python3
"""How often the number systems of the rules (`validate: [id(NAME)]`) say what python-stdnum says, which was written by others from the
authorities' documents.

usage: tests/bench/identifiers.py BUILD-DIR [--n N] [--wrong]

Of every system that both know, up to N numbers (default 100) are drawn: the examples of their documentation with some digits and letters
changed, kept when python-stdnum takes them. Each must be accepted; and with one digit changed, so that python-stdnum refuses it, it must be
refused. python-stdnum comes from the package index (into build/cache) unless it is installed; without it nothing is measured. --wrong
prints the numbers about which the two disagree."""
import collections
import importlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "build/release"
N = int(sys.argv[sys.argv.index("--n") + 1]) if "--n" in sys.argv else 100
VERSION = "2.2"
# What of a number is changed: places where any digit or letter may stand, so that dates and places stay what somebody has.
WHERE = {"at_svnr": slice(0, 4), "be_nrn": slice(6, 11), "ec_ruc": slice(3, 10), "cn_id": slice(14, 18), "br_cnpj": slice(0, 14),
         "id_nik": slice(12, 16), "kr_rrn": slice(8, 13), "fi_hetu": slice(7, 11), "dk_cpr": slice(6, 10), "ee_ik": slice(7, 11)}
LAST = slice(-6, None)  # elsewhere: serial and check digits stand at the end
# Where the name is not country, underscore, name of the module.
NAMES = {"ec_cedula": "ec.ci", "cn_id": "cn.ric", "jp_mynumber": "jp.in_", "jp_corporate": "jp.cn", "th_id": "th.pin", "il_id": "il.idnr",
         "za_id": "za.idnr", "sepa_creditor": "eu.at_02", "isbn10": "isbn", "ec_number": "eu.ecnumber", "az_voen": "az.voen",
         "yu_jmbg": "si.emso", "ua_rnokpp": "ua.rntrc", "tr_tckn": "tr.tckimlik", "de_steuerid": "de.idnr", "at_svnr": "at.vnr",
         "ch_ahv": "ch.ssn", "fr_spi": "fr.nif", "be_nrn": "be.nn", "it_cf": "it.codicefiscale", "gr_afm": "gr.vat",
         "no_fnr": "no.fodselsnummer", "es_catastro": "es.referenciacatastral", "be_ogm": "be.ogm_vcs", "in_aadhaar": "in_.aadhaar",
         "in_pan": "in_.pan", "in_gstin": "in_.gstin", "in_vid": "in_.vid", "in_epic": "in_.epic", "is_kennitala": "is_.kennitala"}


def load():
    """python-stdnum, or None."""
    target = os.path.join(ROOT, "build", "cache", "stdnum-" + VERSION)
    sys.path.append(target)
    try:
        return importlib.import_module("stdnum")
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check", "--target", target,
                        "python-stdnum==" + VERSION], check=False, stderr=subprocess.DEVNULL)
    try:
        importlib.invalidate_caches()
        return importlib.import_module("stdnum")
    except ImportError:
        return None


def systems():
    """Name and module of every system that both know, by the tables of the validators."""
    text = ""
    for name in sorted(os.listdir(os.path.join(ROOT, "dlp"))):
        if name.startswith("validate_ids") and name.endswith(".c"):
            text += open(os.path.join(ROOT, "dlp", name)).read()
    for name, least, most in re.findall(r'\{"([a-z0-9_]+)", DLP_ID_[A-Z]+, ([0-9]+), ([0-9]+),', text):
        try:
            sizes = range(int(least), int(most) + 1)
            yield name, sizes, importlib.import_module("stdnum." + NAMES.get(name, name.replace("_", ".", 1)))
        except ImportError:
            continue


def takes(module, number):
    try:
        return module.is_valid(number)
    except (KeyError, ValueError, IndexError):  # some modules trip over what cannot be
        return False


def shown(module, number):
    """As it is usually written."""
    for form in (getattr(module, "format", None), getattr(module, "compact", None)):
        if form is not None:
            text = form(number)
            if takes(module, text):
                return text
    return number


def change(draw, number, where):
    text = list(number)
    free = [i for i, c in enumerate(text) if c.isalnum()][where]
    for at in draw.sample(free, draw.randint(min(2, len(free)), min(5, len(free)))):
        kind = "0123456789" if text[at].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        text[at] = draw.choice([c for c in kind if c != text[at].upper()])
    return "".join(text)


def numbers(draw, name, module, sizes):
    """Numbers that the module takes, and those with one digit changed that it does not. sizes: of what the system is claimed for;
    python-stdnum also knows forms of other lengths, which are other systems here."""
    bare = lambda number: "".join(c for c in number if c.isalnum())
    fits = lambda number: len(bare(number)) in sizes or len(re.sub("^[A-Z]{2,3}", "", bare(number))) in sizes  # a country in front
    seeds = sorted({s for s in re.findall(r"'([^'\n]{4,40})'", module.__doc__ or "") if takes(module, s) and fits(s)})
    good = dict.fromkeys(shown(module, s) for s in seeds)
    for _ in range(N * 400 if seeds else 0):
        if len(good) >= N:
            break
        number = change(draw, draw.choice(seeds), WHERE.get(name, LAST))
        if takes(module, number):
            good[shown(module, number)] = None
    good = [number for number in good if fits(number)]
    bad = {}
    for number in good:
        wrong = list(number)
        at = draw.choice([i for i, c in enumerate(wrong) if c.isdigit()] or [0])
        wrong[at] = draw.choice([c for c in "0123456789" if c != wrong[at]])
        if not takes(module, "".join(wrong)):
            bad["".join(wrong)] = None
    return good, list(bad)


def ask(cases):
    """cases: (system, number). Which the validators accept."""
    with tempfile.TemporaryDirectory() as work:
        rules = [{"id": "s-" + name.replace("_", "-"), "title": name, "class": "pii", "severity": "low", "boundary": "none",
                  "pattern": f"SYSTEM {name} IS:(?<secret>[^\\n]{{1,80}})", "validate": [f"id({name})"], "confidence": 90,
                  "match": ["-"]} for name in sorted({name for name, _ in cases})]
        with open(os.path.join(work, "rules.yaml"), "w") as f:
            json.dump(rules, f)
        lines = "".join(json.dumps({"id": str(i), "text": f"SYSTEM {name} IS:{number}"}) + "\n" for i, (name, number) in enumerate(cases))
        out = subprocess.run([os.path.join(BUILD, "sluice"), "rules", "test", "--json", "--rules", f.name], input=lines, text=True,
                             capture_output=True, check=True).stdout
    got = {int(r["id"]): bool(r["findings"]) for r in map(json.loads, out.splitlines())}
    return [got[i] for i in range(len(cases))]


def main():
    if load() is None:
        print("SKIP  identifiers: python-stdnum is not there and cannot be fetched, nothing is measured")
        return
    draw, cases, meant = random.Random(7), [], []
    form_only = []
    for name, sizes, module in systems():
        good, bad = numbers(draw, name, module, sizes)
        if len(bad) < len(good) / 2:  # it has no check digit, or python-stdnum does not know it
            form_only.append(name)
            continue
        cases += [(name, n) for n in good + bad]
        meant += [True] * len(good) + [False] * len(bad)
    table = collections.defaultdict(lambda: [0, 0, 0, 0])
    for (name, number), is_valid, accepted in zip(cases, meant, ask(cases)):
        row = table[name]
        row[0 if is_valid else 2] += 1
        row[1 if is_valid else 3] += accepted == is_valid
        if accepted != is_valid and "--wrong" in sys.argv:
            print("accepted" if accepted else "refused", name, number)
    country = collections.defaultdict(lambda: [0, 0, 0, 0, []])
    for name, row in table.items():
        group = name.split("_")[0].upper() if "_" in name and name.split("_")[0] not in ("sepa", "ec") or name == "ec_cedula" or name == "ec_ruc" else "-"
        country[group][4].append(name + ("" if row[1] == row[0] and row[3] == row[2] else f" ({row[1]}/{row[0]}, {row[3]}/{row[2]})"))
        for i, n in enumerate(row):
            country[group][i] += n
    print("| country | valid: accepted | one digit changed: refused | systems |\n| --- | --- | --- | --- |")
    for group, (n, hit, m, refused, names) in sorted(country.items()):
        print(f"| {group} | {hit} of {n} | {refused} of {m} | {', '.join(sorted(names))} |")
    n, hit, m, refused = (sum(row[i] for row in table.values()) for i in range(4))
    print(f"\nnot counted, because python-stdnum looks at their form only: {', '.join(sorted(form_only))}")
    print(f"\n{len(table)} systems: {100 * hit / max(n, 1):.2f} % of {n} valid numbers are accepted, {100 * refused / max(m, 1):.2f} % of {m} with one "
          f"digit changed are refused, {100 * (hit + refused) / max(n + m, 1):.2f} % right (asked >= 99 %)")


main()
