#!/usr/bin/env python3
"""Where the instructions of a 1 KB chat request go: an OpenAI client, an OpenAI target, HTTP, one keep-alive connection.

usage: tests/bench/profile.py BUILD-DIR [--count N] [--lines N] [--tree FUNCTION] [--size BYTES] [--stream]

Runs the gateway under valgrind's callgrind once with everything on and once with governance off (peers.py), the first requests
not counted, and prints instructions per request and the functions with most of their own. Unlike times these are the same on a
machine that others use, and they say nothing of the kernel and little of the caches. --tree adds who calls FUNCTION and whom
it calls."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import peers

BUILD = os.path.abspath(sys.argv[1])
arg = lambda name, default: sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default
COUNT, LINES, SIZE = int(arg("--count", "500")), int(arg("--lines", "15")), int(arg("--size", "1024"))
WARM = 50
PROSE = "Our team met on Tuesday to review the plan for the next quarter. Sales asked for a shorter onboarding, support wants better search. "


def body(work):
    stream = ',"stream":true' if "--stream" in sys.argv else ""
    text = ("[[mock words=62]] " if stream else "") + PROSE * (SIZE // len(PROSE) + 1)
    head = '{"model":"gpt-4o"' + stream + ',"messages":[{"role":"user","content":"'
    with open(f"{work}/body.json", "w") as f:
        f.write(head + text[:SIZE - len(head) - 4] + '"}]}')


def load(work, proxy, count):
    argv = [BUILD + "/tests/bench/load", "--conns", "1", "--seconds", "600", "--count", str(count), "--body", f"{work}/body.json"]
    for h in proxy.headers:
        argv += ["--header", h]
    subprocess.run(argv + ["127.0.0.1", str(proxy.ports["plain"]), "/v1/chat/completions"], check=True, capture_output=True)


def profile(work, mock, name, on):
    wrapper = f"{work}/{name}"
    os.mkdir(wrapper)
    os.symlink(BUILD + "/sluice", f"{wrapper}/real")
    out = f"{wrapper}/callgrind.out"
    with open(f"{wrapper}/sluice", "w") as f:
        f.write(f"""#!/bin/sh
[ "$1" = serve ] || exec {wrapper}/real "$@"
exec valgrind --tool=callgrind --instr-atstart=no --callgrind-out-file={out} {wrapper}/real "$@"
""")
    os.chmod(f"{wrapper}/sluice", 0o755)
    proxy = peers.sluice(wrapper, work, name, mock, "plain", on, wait=120)
    control = lambda *a: subprocess.run(["callgrind_control", *a, str(proxy.p.pid)], check=True, capture_output=True)
    try:
        load(work, proxy, WARM)
        control("-i", "on")
        load(work, proxy, COUNT)
        control("-i", "off")
    finally:
        proxy.stop()
    text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", out], capture_output=True, text=True).stdout
    total = int(re.search(r"([\d,]+) .*PROGRAM TOTALS", text)[1].replace(",", ""))
    # One request more: the one with which the load warms its connection up.
    print(f"{name}: {total / (COUNT + 1):,.0f} instructions a request")
    own = {}  # by function: inlined parts are listed by the file they come from
    for n, function, library in re.findall(r"^ *([\d,]+) \(.*?\) +(?:\S*:)?(\S+)(?: \[(.*)\])?", text.split("file:function", 1)[1], re.M):
        function = "in " + os.path.basename(library) if function.startswith("0x") else function
        own[function] = own.get(function, 0) + int(n.replace(",", "")) / (COUNT + 1)
    for function, n in sorted(own.items(), key=lambda item: -item[1])[:LINES]:
        print(f"  {n:10,.0f} {100 * n * (COUNT + 1) / total:5.1f} %  {function}")
    if "--tree" in sys.argv:
        text = subprocess.run(["callgrind_annotate", "--auto=no", "--threshold=100", "--tree=both", "--inclusive=yes", out], capture_output=True, text=True).stdout
        for block in text.split("\n\n"):
            if re.search(r" \*  \S*" + re.escape(arg("--tree", "")) + r"\b", block):
                print(block)
    if "--keep" in sys.argv:
        shutil.copy(out, arg("--keep", "") + "." + name)


def main():
    work = tempfile.mkdtemp(prefix="sluice-profile-")
    peers.certificates(work)
    mock = peers.Mock(BUILD, work, True)
    body(work)
    try:
        start = time.time()
        for name, on in (("on", True), ("off", False)):
            profile(work, mock, name, on)
        print(f"{time.time() - start:.0f} s", file=sys.stderr)
    finally:
        mock.stop()
        shutil.rmtree(work, ignore_errors=True)


main()
