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
AWS = "AKIA" + "Z7RTLQ4MNXVB2KWE"  # looks live, is nobody's


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


def links(work):
    """Links in folders are not followed, those that are named are; a link to itself is no harm."""
    write(work, "linked/real.txt", AWS)
    os.makedirs(f"{work}/tree")
    os.symlink("../linked/real.txt", f"{work}/tree/link.txt")
    os.symlink(".", f"{work}/tree/loop")
    os.symlink("nowhere", f"{work}/tree/broken")
    os.mkfifo(f"{work}/tree/pipe")
    check(run("tree", cwd=work)[0] == 0, "a folder of links")
    check(run("tree/link.txt", cwd=work)[0] == 1, "a link that was named")


CONFIG = """dlp:
  rules: [builtin, own.yaml]
  report_from: 60
allowlist:
  - { value: %s, owner: ops, expires: 2099-12-31, reason: sample }
  - { rule: acme-ticket, path: "/old/**", owner: ops, expires: 2099-12-31 }
  - { value: TICK-000042, user: jane, owner: ops, expires: 2099-12-31 }
  - { value: TICK-000043, owner: ops, expires: 2020-01-31 }
targets:
  up: { kind: openai, base_url: "http://127.0.0.1:9", zone: private }
"""
OWN = """- id: acme-ticket
  title: ACME ticket
  class: confidential
  severity: low
  pattern: 'TICK-[0-9]{6}'
  confidence: 65
  match: ['TICK-123456']
- id: acme-seen
  title: ACME seen
  class: confidential
  severity: low
  mode: monitor
  pattern: 'SEEN-[0-9]{6}'
  confidence: 90
  match: ['SEEN-123456']
"""


def gateway(work):
    """--config: the rules, the allowlist and the threshold of a gateway; entries that ask for a caller or have ended do not count."""
    write(work, "own.yaml", OWN)
    write(work, "sluice.yaml", CONFIG % AWS)
    write(work, "allowed.json", json.dumps({"key": AWS, "old": {"t": "TICK-000041"}}))
    write(work, "shown.json", json.dumps({"a": "TICK-000041", "b": "TICK-000042", "c": "TICK-000043", "d": "SEEN-123456"}))
    rc, out, err = run("--config", "sluice.yaml", "--format", "json", "allowed.json", cwd=work)
    summary = json.loads(out.splitlines()[-1])["summary"]
    check(rc == 0 and summary["allowed"] == 2 and summary["findings"] == 0, f"allowed: {out}{err}")
    rc, out, _ = run("--config", "sluice.yaml", "--format", "json", "shown.json", cwd=work)
    found = [json.loads(line) for line in out.splitlines()][:-1]
    check(rc == 1 and [f["path"] for f in found] == ["/a", "/b", "/c", "/d"], f"not allowed: {out}")
    write(work, "seen.txt", "SEEN-123456")
    rc, out, _ = run("--config", "sluice.yaml", "seen.txt", cwd=work)
    check(rc == 0 and "1 findings" in out, "a rule that only monitors is shown and does not fail")
    check(run("--config", "sluice.yaml", "--rules", "own.yaml", "allowed.json", cwd=work)[0] == 0, "other rules, the same allowlist")
    check(run("--config", "sluice.yaml", "--min-confidence", "80", "shown.json", cwd=work)[0] == 0, "a threshold on the command line")
    check(run("--config", "nowhere.yaml", "shown.json", cwd=work)[0] == 2, "no configuration")
    write(work, "sluice.yaml", CONFIG % AWS + "nonsense: 1\n")
    check(run("--config", "sluice.yaml", "shown.json", cwd=work)[0] == 2, "a wrong configuration")


def schema(work):
    """The rules are what the published schema says, and it says no to what the reader refuses."""
    try:
        import jsonschema
        import yaml
    except ImportError:
        skip("jsonschema or PyYAML is not there to read rule files")
        return
    text = subprocess.run([SLUICE, "rules", "schema"], capture_output=True, text=True, check=True).stdout
    check(json.loads(text) == json.load(open("docs/rule.schema.json")), "docs/rule.schema.json is what sluice rules schema prints")
    validator = jsonschema.validators.validator_for(json.loads(text))(json.loads(text))
    validator.check_schema(json.loads(text))
    files = [f"{folder}/{name}" for folder, _, names in os.walk("rules") for name in names if name.endswith(".yaml")]
    for path in files:
        errors = [f"{'/'.join(map(str, e.path))}: {e.message[:80]}" for e in validator.iter_errors(yaml.load(open(path), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))]
        check(not errors, f"{path} is not as the schema says: {errors[:3]}")
    check(len(files) > 20, "rule files")
    good = yaml.safe_load(OWN)[0]
    check(validator.is_valid([good]), "a rule")
    for wrong in ({"confidence": 101}, {"class": "other"}, {"withn": 3}, {"validate": "luhn()x"}, {"near": {"within": 3}}, {"count": "many"},
                  {"id": "Not An Id"}, {"length": [1, 2, 3]}, {"steps": [{"count": 2}]}, {"mode": "loud"}):
        rule = dict(good, **wrong)
        write(work, "wrong.yaml", json.dumps([rule]))
        refused = subprocess.run([SLUICE, "rules", "test", "--rules", f"{work}/wrong.yaml"], capture_output=True).returncode != 0
        check(not validator.is_valid([rule]) and refused, f"schema and reader refuse {wrong}")


def hook(work):
    """A commit that holds a key is stopped, one that does not goes through, what is not staged does not count."""
    if shutil.which("git") is None:
        skip("there is no git for a hook")
        return
    repo = f"{work}/repo"
    os.makedirs(repo)
    env = dict(os.environ, PATH=os.path.abspath(BUILD) + ":" + os.environ["PATH"])
    git = lambda *args: subprocess.run(["git", "-c", "user.email=a@b.invalid", "-c", "user.name=n", *args], cwd=repo, env=env, capture_output=True, text=True)
    git("init", "-q")
    shutil.copy("packaging/git/pre-commit", f"{repo}/.git/hooks/pre-commit")
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
    write(repo, "a b.txt", "TICK-000044\n")
    write(repo, "own.yaml", OWN)
    write(repo, "sluice.yaml", CONFIG % AWS)
    git("add", "a b.txt")
    git("config", "sluice.config", "sluice.yaml")
    git("config", "sluice.confidence", "60")
    p = git("commit", "-qm", "three")
    check(p.returncode != 0 and "acme-ticket" in p.stdout + p.stderr, f"the rules of a gateway: {p.stdout}{p.stderr}")
    git("config", "sluice.confidence", "66")
    check(git("commit", "-qm", "three").returncode == 0, "from another confidence on")
    check(run("--staged", cwd="/")[0] == 3, "outside a repository")


def main():
    work = tempfile.mkdtemp(prefix="sluice-scan-")
    try:
        formats(work)
        windows(work)
        links(work)
        gateway(work)
        schema(work)
        hook(work)
    finally:
        leave(work)
    finish()


main()
