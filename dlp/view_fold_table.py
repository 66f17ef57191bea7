#!/usr/bin/env python3
"""Makes dlp/view_fold_table.c, what each character beyond ASCII looks like in ASCII, and dlp/view_fold_pages.c, where to look for it there.

    python3 dlp/view_fold_table.py dlp

Of data that the system has: Python's unicodedata (compatibility forms, categories) and ICU's spoof checker (look-alikes of
UTS #39). The result is checked in, since it changes once a year at most, and a build needs neither ICU nor a recent Python.
"""

import ctypes
import ctypes.util
import sys
import unicodedata

MAX_OUT = 4
# Small letters that the checker keeps apart from ours, since they look like small capitals; people take them for ours.
ALSO = {"\u043a": "k", "\u0442": "t", "\u043c": "m", "\u043f": "n", "\u043d": "h", "\u0432": "b", "\u03c4": "t", "\u03ba": "k"}
PAGE = 16  # as VIEW_FOLD_PAGE
LONGEST = 128  # no row has more characters, so that a byte counts them


def skeleton_function():
    name = ctypes.util.find_library("icui18n")
    version = name.rsplit(".", 1)[1]
    lib = ctypes.CDLL(name)
    status = ctypes.c_int(0)
    opened = getattr(lib, "uspoof_open_" + version)
    opened.restype = ctypes.c_void_p
    checker = opened(ctypes.byref(status))
    skeleton = getattr(lib, "uspoof_getSkeletonUTF8_" + version)
    skeleton.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_int32, ctypes.c_char_p,
                         ctypes.c_int32, ctypes.c_void_p]

    def call(text):
        raw = text.encode()
        out = ctypes.create_string_buffer(256)
        n = skeleton(checker, 0, raw, len(raw), out, 256, ctypes.byref(ctypes.c_int(0)))
        return out.raw[:n].decode(errors="replace")

    return call


SKELETON = skeleton_function()


def is_dropped(c):
    cp = ord(c)
    return (unicodedata.category(c) in ("Cf", "Mn", "Me") or 0xFE00 <= cp <= 0xFE0F or 0xE0100 <= cp <= 0xE01EF
            or cp in (0x115F, 0x1160, 0x3164, 0xFFA0, 0x17B4, 0x17B5, 0x2800))


def look(c):
    """One character in ASCII, or None."""
    if c.isascii():
        return c
    digit = unicodedata.digit(c, None)
    if digit is not None:
        return str(digit)
    category = unicodedata.category(c)
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if category == "Pd":
        return "-"
    if c in ALSO:
        return ALSO[c]
    seen = "".join(s for s in SKELETON(c).replace("''", '"') if s.isascii() or not is_dropped(s))
    if not seen.isascii() or not seen.isprintable() or not seen:
        return None
    if seen == "l" and category[0] != "L":
        return "|"
    return {"l": "I" if category == "Lu" else "l", "rn": "m"}.get(seen, seen)


def fold(cp):
    c = chr(cp)
    if is_dropped(c):
        return ""
    out = ""
    whole = look(c) if unicodedata.decomposition(c) == "" else None
    if whole is not None:
        return whole
    for d in unicodedata.normalize("NFKD", c):
        if is_dropped(d):
            continue
        one = look(d)
        if one is None:
            return look(c)
        out += one
    return out.replace("\u2044", "/")


def entries():
    """(first, last, kind, text): kind 'd' dropped, 's' steps up with the character, 't' the same text for all."""
    found = []
    for cp in range(0x80, 0x20000):
        if 0xD800 <= cp < 0xE000 or 0xE000 <= cp < 0xF900:
            continue
        if unicodedata.category(chr(cp)) == "Cn":
            continue
        out = fold(cp)
        if out is None or len(out) > MAX_OUT or not out.isascii() or (out and not out.isprintable()):
            continue
        if found and found[-1][1] == cp - 1:
            first, last, kind, text = found[-1]
            if out == text and kind in "dt" and cp % LONGEST != 0:
                found[-1] = (first, cp, kind, text)
                continue
            if cp % LONGEST != 0 and len(out) == 1 and len(text) == 1 and (kind == "s" or first == last) \
                    and ord(out) == ord(text) + cp - first:
                found[-1] = (first, cp, "s", text)
                continue
        found.append((cp, cp, "t" if out else "d", out))
    return found


def literal(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_rows(out, rows):
    out.write("""/* dlp/view_fold_table.c - made by dlp/view_fold_table.py from Unicode %s and ICU's look-alikes; do not edit.
 * Facts of the Unicode Character Database and of UTS #39 (unicode.org/license.txt). */
#include "dlp/view_fold.h"

/* clang-format off */
const struct view_fold_row view_fold_rows[] = {
""" % unicodedata.unidata_version)
    line = "   "
    for first, last, kind, text in rows:
        item = " {0x%X, %d, %d, %s}," % (first, last - first + 1, kind == "s", literal(text))
        if len(line) + len(item) > 128:
            out.write(line + "\n")
            line = "   "
        line += item
    out.write(line + "\n};\n/* clang-format on */\n")


def write_pages(out, rows):
    out.write("""/* dlp/view_fold_pages.c - made by dlp/view_fold_table.py; do not edit. */
#include "dlp/view_fold.h"

/* The first row whose last character is in page p or behind it. */
/* clang-format off */
const uint16_t view_fold_pages[VIEW_FOLD_PAGES + 1] = {
""")
    pages, at = [], 0
    for page in range(0x20000 // PAGE + 1):
        while at < len(rows) and rows[at][1] // PAGE < page:
            at += 1
        pages.append(at)
    for at in range(0, len(pages), 20):
        out.write("    " + ", ".join(map(str, pages[at:at + 20])) + ",\n")
    out.write("};\n/* clang-format on */\n")


def main():
    rows = entries()
    for name, write in (("table", write_rows), ("pages", write_pages)):
        with open("%s/view_fold_%s.c" % (sys.argv[1], name), "w") as out:
            write(out, rows)
    sys.stderr.write("%d rows\n" % len(rows))


main()
