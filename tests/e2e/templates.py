"""Chat templates beside jinja2, which the packages of the clients bring along: random ones, and the golden cases anew.

usage: tests/e2e/templates.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import os
import re
import subprocess

from suites import made, make_venv
from world import BUILD, check, finish, skip

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../golden/chat")


def main():
    python = made("venv", "requirements.txt", make_venv) + "/bin/python"
    r = subprocess.run([python, GOLDEN + "/compare.py", BUILD, "3000"], capture_output=True, text=True, timeout=600)
    counts = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped", r.stdout)
    if counts and counts[3] != "0":
        skip("random chat templates: jinja2 is not installed")
        return
    check(counts and int(counts[1]) > 1000 and counts[2] == "0", "random chat templates render as jinja2 renders them", r.stdout + r.stderr)


if __name__ == "__main__":
    main()
    finish()
