#!/usr/bin/env python3
"""The parts of the end-to-end tests that make worlds of their own, one after the other; they can run beside run.py.

usage: tests/e2e/parts.py BUILD-DIR CACHE-DIR MODEL [--quick | --threads] [--only NAME,... | --but NAME,...]
--quick and --threads as for run.py; --only and --but pick parts. Prints how long each took; ends with "N passed, N failed, N skipped"."""
import sys
import time
import traceback

import actions
import complaints
import conversation
import costs
import dialects
import identity
import local_models
import matrix
import operations
import reliability
import templates
import witness
from world import check, finish

THREADS = "--threads" in sys.argv
QUICK = THREADS or "--quick" in sys.argv

PARTS = {"operations": lambda: operations.main(20 if QUICK else 100)}
if not THREADS:
    PARTS |= {"actions": actions.main, "matrix": lambda: matrix.main(10 if QUICK else 1), "complaints": complaints.main, "costs": costs.main,
              "conversation": conversation.main, "dialects": dialects.main, "reliability": reliability.main, "identity": identity.main, "local_models": local_models.main, "templates": templates.main, "witness": witness.main}

def named(option):
    """The names behind an option, none without it."""
    at = sys.argv.index(option) if option in sys.argv else -1
    names = set(sys.argv[at + 1].split(",")) if at >= 0 else set()
    if names - PARTS.keys():
        sys.exit(f"no such part: {', '.join(sorted(names - PARTS.keys()))}; there are {', '.join(PARTS)}")
    return names


chosen = (named("--only") or PARTS.keys()) - named("--but")
for name, part in PARTS.items():
    if name not in chosen:
        continue
    began = time.time()
    try:
        part()
    except Exception:
        check(False, f"{name} reached its end", traceback.format_exc())
    print(f"{name} took {time.time() - began:.0f} s", flush=True)
finish()
