#!/usr/bin/env python3
"""`sluice dlp scan` as people and hooks use it: formats, exit statuses, documents, binary and large files, a git hook.

usage: tests/e2e/scan_files.py BUILD-DIR CACHE-DIR MODEL"""
import json
import os
import shutil
import stat
import subprocess
import tempfile

from world import BUILD, check, finish, leave, skip

SLUICE = BUILD + "/sluice"
AWS = "AKIA" + "Z7QWERTYUIOPASDF"  # looks live, is nobody's


def run(*args, cwd, data=None):
    p = subprocess.run([SLUICE, "dlp", "scan", *args], cwd=cwd, input=data, capture_output=True, timeout=120)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def write(work, name, data):
    os.makedirs(os.path.dirname(f"{work}/{name}") or work, exist_ok=True)
    with open(f"{work}/{name}", "wb") as f:
        f.write(data if isinstance(data, bytes) else data.encode())


def formats(work):
    write(work, "src/a.txt", f"hello\nschlüssel: {AWS}\n")
    write(work, "src/b.json", json.dumps({"a": "x", "b": {"token": "line\n" + AWS}}))
    write(work, "src/c.jsonl", '{"n": 1}\n' + json.dumps({"k": AWS}) + "\nno json " + AWS + "\n")
    write(work, "src/d.bin", b"\0\1" + AWS.encode())
    rc, out, _ = run("--format", "json", "--min-confidence", "70", "src", cwd=work)
    lines = [json.loads(line) for line in out.splitlines()]
    found, summary = lines[:-1], lines[-1]["summary"]
    check(rc == 1 and len(found) == 4 and summary["findings"] == 4, f"four findings: {out}")
    check(summary["files"] == 3 and summary["binary_skipped"] == 1 and summary["unreadable"] == 0, "what was skipped is counted")
    check([(f["file"], f["line"]) for f in found] == [("src/a.txt", 2), ("src/b.json", 1), ("src/c.jsonl", 2), ("src/c.jsonl", 3)], "places")
    check(found[0]["column"] == 12, "columns count characters")
    check(found[1]["path"] == "/b/token" and found[2]["path"] == "/k", "strings of documents have paths")
    check(AWS not in out, "values are masked")
    rc, out, _ = run("--format", "sarif", "--min-confidence", "70", "--exclude", "*.jsonl", "src", cwd=work)
    sarif(json.loads(out), 2)
    check(AWS not in out, "values are masked in SARIF")
    rc, out, _ = run("src", "--exclude", "src/*", cwd=work)
    check(rc == 0 and "0 findings" in out, "everything excluded")
    rc, out, _ = run("-", cwd=work, data=AWS.encode())
    check(rc == 1 and "<stdin>:1:1" in out, "standard input")
    rc, out, _ = run("--fail-on", "100", "-", cwd=work, data=AWS.encode())
    check(rc == 0 and "1 findings" in out, "shown, not failed")
    check(run("nothing-here", cwd=work)[0] == 3, "what cannot be read")
    check(run(cwd=work)[0] == 2 and run("--min-confidence", "101", "-", cwd=work)[0] == 2, "wrong command line")


def sarif(log, n):
    """The members that SARIF 2.1.0 asks for."""
    check(log["version"] == "2.1.0" and len(log["runs"]) == 1, "one run")
    r = log["runs"][0]
    driver = r["tool"]["driver"]
    check(driver["name"] == "sluice" and len(r["results"]) == n, "results")
    ids = [rule["id"] for rule in driver["rules"]]
    check(len(ids) == len(set(ids)), "each rule once")
    for result in r["results"]:
        check(ids[result["ruleIndex"]] == result["ruleId"] and result["message"]["text"], "rule and message")
        check(result["level"] in ("none", "note", "warning", "error"), "level")
        place = result["locations"][0]["physicalLocation"]
        check(place["artifactLocation"]["uri"] and place["region"]["startLine"] >= 1 and place["region"]["startColumn"] >= 1, "place")
    check(r["invocations"][0]["executionSuccessful"] is True, "invocation")


def windows(work):
    """A file that is larger than a window: what stands at the joint is found once, with its line."""
    line = b"nothing to see here, move along, and so on and on and on and on\n"
    size, key = 20 << 20, AWS.encode()
    text = bytearray((line * (size // len(line) + 1))[:size])
    joint = (8 << 20) - (128 << 10)  # where the second window takes over
    places = [100, joint - 100, joint - 10, joint + 50, (8 << 20) - 10, (16 << 20) - 5, size - 20]
    for at in places:
        text[at:at + 20] = key
        text[at - 1:at] = b" "
        text[at + 20:at + 21] = b" "[:len(text[at + 20:at + 21])]
    write(work, "large.txt", bytes(text[:size]))
    _, out, _ = run("--format", "json", "--min-confidence", "70", "large.txt", cwd=work)
    found = [json.loads(line) for line in out.splitlines()][:-1]
    check(sorted(f["start"] for f in found) == sorted(places), f"once each: {[f['start'] for f in found]}")
    check(all(f["line"] == bytes(text[:f["start"]]).count(b"\n") + 1 for f in found), "lines")


def hook(work):
    """A commit that holds a key is stopped, one that does not goes through, what is not staged does not count."""
    if shutil.which("git") is None:
        skip("there is no git for a hook")
        return
    repo = f"{work}/repo"
    os.makedirs(repo)
    git = lambda *args: subprocess.run(["git", "-c", "user.email=a@b.invalid", "-c", "user.name=n", *args], cwd=repo, capture_output=True, text=True)
    git("init", "-q")
    write(repo, ".git/hooks/pre-commit", f"#!/bin/sh\nexec {SLUICE} dlp scan --staged --min-confidence 70\n")
    os.chmod(f"{repo}/.git/hooks/pre-commit", os.stat(f"{repo}/.git/hooks/pre-commit").st_mode | stat.S_IXUSR)
    write(repo, "a b.txt", "fine\n")
    git("add", "-A")
    check(git("commit", "-qm", "one").returncode == 0, "a commit without findings")
    write(repo, "a b.txt", f"fine\n{AWS}\n")
    git("add", "-A")
    write(repo, "a b.txt", "fine again, but not staged\n")
    p = git("commit", "-qm", "two")
    check(p.returncode != 0 and "a b.txt:2:1" in p.stdout + p.stderr, f"a commit with a key: {p.stdout}{p.stderr}")
    git("add", "-A")
    check(git("commit", "-qm", "two").returncode == 0, "and without it")
    check(run("--staged", cwd="/")[0] == 3, "outside a repository")


def main():
    work = tempfile.mkdtemp(prefix="sluice-scan-")
    try:
        formats(work)
        windows(work)
        hook(work)
    finally:
        leave(work)
    finish()


main()
