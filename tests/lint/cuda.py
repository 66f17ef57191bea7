#!/usr/bin/env python3
"""What the compiler made of the CUDA kernels, without a GPU: registers, shared and local memory and tensor-core instructions of every
kernel on every architecture, compared with kernels/cuda_resources.txt.

usage: tests/lint/cuda.py NVCC-VERSION CUOBJDUMP ARCHITECTURES [--write] OBJECT...
ARCHITECTURES are those the objects were compiled for ("80 90a"); the table holds all, and only those are compared.
A line of the table: kernel, then for each architecture registers/shared bytes/tensor-core instructions. The numbers belong to one
compiler: with another the table is not compared, but no kernel may use local memory, and those that multiply must show their instructions.
Ends with "N passed, N failed"."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

TABLE = "kernels/cuda_resources.txt"
JOBS = int(os.environ.get("JOBS", os.cpu_count() or 1))
ARCHES = ["sm_80", "sm_86", "sm_89", "sm_90a", "sm_100", "sm_120"]
# The kernels whose speed is that of the tensor cores, and what SASS must show of them: products, and copies by the copy engine (of a tensor,
# of bytes). The names of newer chips' instructions are not settled in SASS.
OLD, HOPPER = ARCHES[:4], ["sm_90a"]
MUST = {
    "gemm_ints_kernel": (OLD, ["IMMA"]),
    "gemm_floats_kernel": (OLD, ["HMMA"]),
    "wg_ints_kernel": (HOPPER, ["IGMMA", "UTMALDG", "UBLKCP"]),
    "wg_floats_kernel": (HOPPER, ["HGMMA", "UTMALDG", "UBLKCP"]),
    "wg_e4m3_kernel": (HOPPER, ["QGMMA", "UTMALDG", "UBLKCP"]),
}
SHOWN = {what for _, names_of in MUST.values() for what in names_of}


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def names(mangled):
    """Mangled to readable: gemv_kernel<2, false>. No return type, no arguments."""
    out = subprocess.run(["c++filt"], input="\n".join(mangled), check=True, capture_output=True, text=True).stdout
    readable = {}
    for m, line in zip(mangled, out.splitlines()):
        line = re.sub(r"^(static )?void ", "", line)
        depth, end = 0, len(line)
        for i, ch in enumerate(line):
            depth += (ch == "<") - (ch == ">")
            if ch == "(" and depth == 0:
                end = i
                break
        readable[m] = re.sub(r"\([a-z ]+\)", "", line[:end]).replace("_INTERNAL_", "")
    return readable


def look_at(cuobjdump, obj, arch):
    """Of one object on one architecture: name -> [registers, shared, instructions, local bytes, which of SHOWN]."""
    found = {}
    for name, reg, stack, shared, local in re.findall(
            r"Function ([^\s:]+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)",
            run(cuobjdump, "-res-usage", "-arch", arch, obj)):
        found[name] = [int(reg), int(shared), 0, max(int(local), int(stack)), set()]
    name = None
    for line in run(cuobjdump, "--dump-sass", "-arch", arch, obj).splitlines() if found else ():
        if "Function : " in line:
            name = line.split("Function : ")[1].strip()
        elif name in found:
            op = re.search(r"\b([A-Z]+)[.\s]", line.split("*/", 1)[-1])
            if op and op.group(1) in SHOWN:
                found[name][4].add(op.group(1))
            if "MMA" in line and re.search(r"\b[HIQO]G?MMA[.\s]", line):
                found[name][2] += 1
    return found


def look(cuobjdump, objects, arches):
    found, local, shown = {}, [], {}
    todo = [(obj, arch) for obj in objects for arch in arches]
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        for (_, arch), seen in zip(todo, pool.map(lambda t: look_at(cuobjdump, *t), todo)):
            for name, (reg, shared, mma, loc, ops) in seen.items():
                shown[name, arch] = ops
                found.setdefault(name, {})[arch] = [reg, shared, mma]
                if loc:
                    local.append((name, arch, loc))
    return found, local, shown


def of(columns, arches):
    """The columns of these architectures; None where the kernel has none there."""
    left = [c for a, c in zip(ARCHES, columns) if a in arches]
    return " ".join(left) if any(c != "-" for c in left) else None


def main():
    version, cuobjdump = sys.argv[1:3]
    write = "--write" in sys.argv
    arches = [a for a in ARCHES if a[3:] in sys.argv[3].split()]
    if write and arches != ARCHES:
        sys.exit("the table holds all architectures: " + " ".join(ARCHES))
    found, local, shown = look(cuobjdump, [a for a in sys.argv[4:] if a != "--write"], arches)
    readable = names(sorted(found))
    lines = ["# nvcc %s; %s: registers/shared bytes/tensor-core instructions. make cuda-table writes this." % (version, " ".join(ARCHES))]
    for name in sorted(found, key=lambda n: readable[n]):
        lines.append("%s %s" % (readable[name].replace(" ", ""), " ".join(
            "%d/%d/%d" % tuple(found[name][a]) if a in found[name] else "-" for a in ARCHES)))
    if write:
        with open(TABLE, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        print("wrote %s: %d kernels" % (TABLE, len(lines) - 1))
        return 0

    passed = failed = 0

    def check(ok, what):
        nonlocal passed, failed
        passed, failed = passed + bool(ok), failed + (not ok)
        if not ok:
            print("FAIL  " + what)

    check(found, "no kernels in the objects")
    for name, arch, n in local:
        check(False, "%s on %s keeps %d bytes in local memory" % (readable[name], arch, n))
    for name in found:
        for kernel, (having, ops) in MUST.items():
            if kernel in name:
                for arch in set(having) & set(arches):
                    for what in ops:
                        check(what in shown.get((name, arch), ()), "%s on %s shows no %s" % (readable[name], arch, what))
    for kernel in MUST:
        check(any(kernel in name for name in found), "there is no %s" % kernel)
    with open(TABLE, encoding="ascii") as f:
        want = f.read().splitlines()
    if want[0] != lines[0]:
        print("SKIP  the table was made by another compiler: %s" % want[0])
    else:
        old, new = ({x.split()[0]: of(x.split()[1:], arches) for x in table[1:]} for table in (want, lines))
        for k in sorted(set(old) | set(new)):
            check(old.get(k) == new.get(k), "%s: %s, the table has %s (make cuda-table, and look at the difference)" %
                  (k, new.get(k), old.get(k)))
    print("%d passed, %d failed" % (passed, failed))
    return failed != 0


sys.exit(main())
