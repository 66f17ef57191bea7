#!/usr/bin/env python3
"""Writes dlp/rulec_grams.c: which four characters in a row text has often.

usage: dlp/rulec_grams.py > dlp/rulec_grams.c

Counted without case over what the machine has of prose (man pages and read-me files) and of source code, half and half. A file is
cut at 40 KB, so that none says too much. Rates only steer which part of a pattern is looked for: any table is correct."""
import collections
import glob
import gzip
import os
import re

CUT, BYTES = 40_000, 6_000_000
BANDS = [2000, 1000, 500, 250, 125, 80]  # at least so many in a million characters


def read(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
        return f.read(CUT)


def prose():
    for path in sorted(glob.glob("/usr/share/man/man[1-8]/*.gz") + glob.glob("/usr/share/doc/*/*.md*") + glob.glob("/usr/share/doc/*/README*")):
        text = read(path)
        if ".gz" in path:  # the macros are no prose
            text = b"\n".join(line for line in text.split(b"\n") if not re.match(rb"[.']", line))
            text = re.sub(rb"\\f.|\\&|\\[-(]..?", b"", text)
        yield text


def code():
    for pattern in ("/usr/lib/python3*/*.py", "/usr/include/*.h", "/usr/include/*/*.h", "/usr/share/nodejs/*/*.js"):
        yield from map(read, sorted(glob.glob(pattern)))


def count(texts, into):
    left = BYTES
    for text in texts:
        text = text.lower()
        left -= len(text)
        for i in range(len(text) - 3):
            into[text[i : i + 4]] += 1
        if left < 0:
            break
    return BYTES - left


grams = collections.Counter()
total = count((t for t in prose()), grams) + count((t for t in code()), grams)
print("""/* dlp/rulec_grams.c - four characters in a row that text has often: written by dlp/rulec_grams.py.
 *
 * Without case; each band is sorted. Thread: any. */
#include "dlp/rulec_anchor.h"

const struct rulec_grams rulec_grams[RULEC_GRAM_BANDS] = {""")
seen = set()
for band in BANDS:
    these = sorted(g for g, n in grams.items() if n / total * 1e6 >= band and g not in seen and all(32 <= b < 127 for b in g) and any(97 <= b < 123 for b in g))
    seen |= set(these)
    text = b"".join(these).decode().replace("\\", "\\\\").replace('"', '\\"')
    print(f"    {{{band}e-6, {len(these)},")
    rows = [b"".join(these[i : i + 18]).decode().replace("\\", "\\\\").replace('"', '\\"').replace("??", "?\\?") for i in range(0, len(these), 18)] or [""]
    print("\n".join(f'     "{row}"' for row in rows) + "},")
print("};")
