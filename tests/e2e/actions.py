#!/usr/bin/env python3
"""What policy does beside hiding: lines on trial, a policy that is only simulated, words for whom it concerns, reasons,
allowlists, lines about targets, fields and keys.

usage: tests/e2e/actions.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

from world import BUILD, MAIL, PATIENCE, PHI, SECRET, World, check, count, wait_for

TEST_MAIL = "orders@" + "shop-of-the-tests.de"
OTHER_MAIL = "billing@" + "shop-of-the-tests.de"


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def policy(w, lines, more=""):
    """The world's configuration with another policy."""
    w.write_config(extra="auth: { required: true }\n" + more)
    with open(w.path("sluice.yaml")) as f:
        text = f.read()
    text = re.sub(r"(?s)policy:\n.*?\nintercept:", "policy:\n" + lines + "\nintercept:", text)
    # A name that one of two targets may answer.
    text = text.replace("routes:\n", "routes:\n  - { model: either, simple: [claude, openai], moderate: [claude, openai], complex: [claude, openai] }\n", 1)
    write(w.path("sluice.yaml"), text)


LINES = """
  - { name: new-block, when: { class: secret }, then: block, mode: monitor }
  - { name: reasons, when: { class: secret, field: user, model: gpt-4o-reason }, then: { action: block, unless: justified },
      message: "Keys do not belong in prompts.", appeal: "https://intranet.test/dlp" }
  - { name: not-to-claude, when: { class: secret, target: claude }, then: block }
  - { name: keys, when: { class: secret }, then: redact }
  - { name: coaching, when: { class: phi }, then: coach, message: "Mind the patients." }
  - { name: ci, when: { class: pii, confidence: ">=60", key: "ci-*" }, then: block }
  - { name: tools, when: { class: pii, confidence: ">=60", field: [tool, system] }, then: block }
  - { name: personal, when: { class: pii, confidence: ">=60" }, then: tokenize }
  - { name: never, when: { class: pii, time: { days: mon-sun, hours: "00:00-24:00", zone: Europe/Berlin } }, then: alert }
"""


def records(w, event, request=None):
    out = []
    for line in w.sluice("audit", "tail", "-n", "0", "--json", "--spool", w.path("spool")).splitlines():
        r = json.loads(line)
        if r["metadata"]["event_code"] == event and (request is None or r["metadata"]["correlation_uid"] == request):
            out.append(r)
    return out


def decided(w, headers):
    rid = headers["x-sluice-request-id"]
    wait_for("the decided record", lambda: records(w, "ai.request.decided", rid), 5)
    return records(w, "ai.request.decided", rid)[0]["unmapped"]["sluice"]


def findings(w, headers):
    return [r for r in records(w, "ai.dlp.finding", headers["x-sluice-request-id"])]


# ---- parts ----------------------------------------------------------------------------------------

def test_trials(w, key):
    before = len(w.received())
    status, headers, body = w.post(f"Key {SECRET}", key)
    check(status == 200 and headers.get("x-sluice-would") == "block", "a line on trial blocks nothing and says so", headers)
    check(headers["x-sluice-action"] == "redact", "the line that holds acts", headers)
    check(SECRET.encode() not in w.received()[before:], "the provider saw no secret")
    r = decided(w, headers)
    check(r.get("would") == "block" and r.get("would_line") == "new-block", "the record says what would have happened", r)
    check(r.get("simulated") == "block" and r.get("simulated_line") == "all", "and what the simulated policy would", r)
    f = findings(w, headers)
    check(len(f) == 1 and f[0]["unmapped"]["sluice"].get("would") == "block" and f[0]["unmapped"]["sluice"]["field"] == "user",
          "the finding's record says it, too", f)
    status, headers, body = w.post("Nothing here", key)
    check("x-sluice-would" not in headers and "simulated" not in decided(w, headers), "nothing is said of what is the same", headers)
    text = w.admin_get("/metrics")[1]
    check('sluice_policy_would_total{action="block"} 1' in text and 'sluice_policy_simulated_total{action="block"} 1' in text,
          "metrics count both")


def test_words(w, key):
    status, headers, body = w.post(f"Key {SECRET}", key, model="gpt-4o-reason")
    check(status == 403, "a line with `unless: justified` blocks", status)
    message = json.loads(body)["error"]["message"]
    check("Keys do not belong in prompts. To appeal: https://intranet.test/dlp" in message, "the line's words are in the error", message)
    check("aws-access-key-id at /messages/0/content" in message, "and what was found where", message)
    check(headers.get("x-sluice-message") == "Keys do not belong in prompts. To appeal: https://intranet.test/dlp", "and in a field", headers)
    status, headers, body = w.post(PHI, key)
    check(status == 200 and headers.get("x-sluice-message") == "Mind the patients." and headers["x-sluice-action"] == "coach",
          "coaching says its words", headers)


def test_reasons(w, key):
    before = len(w.received())
    why = {"x-sluice-justification": "incident 4711, approved by the security team"}
    status, headers, body = w.post(f"Key {SECRET}", key, model="gpt-4o-reason", headers=why)
    check(status == 200 and headers["x-sluice-action"] == "coach", "a reason lets it pass", (status, headers))
    check(b"4711" not in w.received()[before:] and b"ustification" not in w.received()[before:], "the provider does not see the reason")
    r = decided(w, headers)
    check(r.get("justification") == why["x-sluice-justification"] and r.get("justified_line") == "reasons", "the reason is on record", r)
    for bad in ("x" * 401, "  \t ", f"the key is {SECRET}"):
        if bad.strip():
            status, headers, body = w.post(f"Key {SECRET}", key, model="gpt-4o-reason", headers={"x-sluice-justification": bad})
            check(status == 400 and b"justification" in body, "a reason that cannot be taken is refused", (bad[:20], status, body))
    status, headers, body = w.post("Nothing here", key, model="gpt-4o-reason", headers=why)
    check(status == 200 and "justification" not in decided(w, headers), "a reason for nothing is not recorded")


def test_conditions(w, key, ci):
    status, headers, body = w.post(f"Write to {MAIL}", key)
    check(status == 200 and headers["x-sluice-action"] == "tokenize" and MAIL.encode() in body, "the user's words are tokenized", headers)
    text = json.dumps({"model": "gpt-4o", "messages": [
        {"role": "user", "content": "Look it up"}, {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": f"It is {MAIL}"}]}).encode()
    status, headers, body = w.post(text, key)
    check(status == 403 and b"policy line tools" in body, "what a tool said is another field", body)
    status, headers, body = w.post(f"Write to {MAIL}", ci)
    check(status == 403 and b"policy line ci" in body, "a line about keys", body)
    status, headers, body = w.post(f"Key {SECRET}", key, model="either")
    check(status == 200 and headers.get("x-sluice-route") == "openai", "a line about a target moves it elsewhere", (status, headers))
    status, headers, body = w.post("Nothing here", key, model="either")
    check(headers.get("x-sluice-route") == "claude", "what it is not about goes there", (status, headers))


def test_views(w, key):
    before = len(w.received())
    hidden = base64.b64encode(f"the key is {SECRET}".encode()).decode()
    status, headers, body = w.post(f"Decode {hidden} please", key)
    check(status == 200 and headers["x-sluice-action"] == "redact", "a key in base64 is found", (status, headers))
    seen = w.received()[before:]
    check(hidden.encode() not in seen and b"Decode DLP_" in seen and b"_REDACTED please" in seen, "the provider sees none of the encoded text")
    f = findings(w, headers)
    check(len(f) == 1 and f[0]["unmapped"]["sluice"].get("view") == "base64" and f[0]["unmapped"]["sluice"]["length"] == len(hidden),
          "the record says in which view, and where it was received", f)
    for _ in range(3):
        hidden = base64.b64encode(hidden.encode()).decode()
    status, headers, body = w.post(f"Decode {hidden} please", key)
    check(status == 403 and headers.get("x-sluice-cut") == "depth" and headers["x-sluice-action"] == "block" and b"nested" in body,
          "encoded text that nobody looked into is blocked, and the answer says why", (status, headers, body))
    check(decided(w, headers).get("views_cut") == "depth", "the record says it, too")
    check("sluice_dlp_cut_total 1" in w.admin_get("/metrics")[1], "and the metrics")


def test_allowlist(w, key):
    status, headers, body = w.post(f"Write to {TEST_MAIL}", key)
    check(status == 200 and "x-sluice-findings" not in headers and headers["x-sluice-action"] == "allow", "an allowed value is no finding", headers)
    f = findings(w, headers)
    check(len(f) == 1 and f[0]["unmapped"]["sluice"]["allowlist"] == "shop" and f[0]["disposition_id"] == 10 and
          f[0]["unmapped"]["sluice"]["action"] == "allow", "but it is on record, with the entry", f)
    check(decided(w, headers).get("allowlisted") == 1, "and counted")
    status, headers, body = w.post("Write to old@" + "shop-of-the-tests.de", key)
    check(headers["x-sluice-action"] == "tokenize", "an entry that has ended does nothing", headers)
    log = open(w.path("gateway.log")).read()
    check("has ended and does nothing" in log, "the log says which have ended", log[:2000])


def test_feedback(w, key):
    """A person says that a finding was none; the gateway follows."""
    status, headers, body = w.post(f"Write to {OTHER_MAIL}", key)
    check(headers["x-sluice-action"] == "tokenize", "a finding", headers)
    wait_for("the finding's record", lambda: findings(w, headers), 5)
    out = w.sluice("dlp", "allow", "-c", w.path("sluice.yaml"), "--from", headers["x-sluice-request-id"], "--owner", "shop",
                   "--expires", "2099-12-31", "--reason", "our own \"address\"")
    check("entry fp-" in out, "dlp allow writes a line", out)
    text = open(w.path("allow.yaml")).read()
    check(OTHER_MAIL not in text and "value_hmac" in text, "the value is not in it", text)
    is_allowed = lambda mail: w.post(f"Write to {mail}", key)[1]["x-sluice-action"] == "allow"
    wait_for("the gateway follows", lambda: is_allowed(OTHER_MAIL), 10, 0.2)
    mail = "returns@" + "shop-of-the-tests.de"
    r = subprocess.run([BUILD + "/sluice", "dlp", "allow", "-c", w.path("sluice.yaml"), "--value", "-", "--owner", "shop",
                        "--expires", "2099-12-31"], input=mail + "\n", text=True, capture_output=True)
    check(r.returncode == 0, "a value on standard input", r.stderr)
    wait_for("the gateway follows", lambda: is_allowed(mail), 10, 0.2)
    for args in (("--from", "nothing"), ("--value", mail), ("--from", headers["x-sluice-request-id"], "--finding", "7")):
        r = subprocess.run([BUILD + "/sluice", "dlp", "allow", "-c", w.path("sluice.yaml"), *args, "--owner", "shop",
                            "--expires", "2099-12-31"], text=True, capture_output=True)
        check(r.returncode in (1, 2) and r.stderr, "what cannot be is refused", (args, r))


def admin(w, key, body):
    c = http.client.HTTPConnection("127.0.0.1", w.admin, timeout=20)
    c.request("POST", "/api/allow", json.dumps(body), {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
    r = c.getresponse()
    return r.status, r.read().decode()


def test_feedback_api(w, key):
    role = lambda name, role: re.search(r"sla_[0-9A-Za-z]{43}", w.sluice("keys", "create", "-c", w.path("sluice.yaml"), "--name", name,
                                                                     "--role", role))[0]
    operator, viewer = role("op", "operator"), role("look", "viewer")
    mail = "hello@" + "shop-of-the-tests.de"
    entry = {"value": mail, "owner": "shop", "expires": "2099-12-31"}
    wait_for("a viewer may not", lambda: admin(w, viewer, entry)[0] == 403, 5, 0.2)
    status, text = admin(w, operator, entry)
    check(status == 200 and w.post(f"Write to {mail}", key)[1]["x-sluice-action"] == "allow",
          "an operator may, and it holds at once", text)
    check(mail not in open(w.path("allow.yaml")).read(), "the value is not in the file")
    for bad in ({}, {"value": "x", "owner": "o"}, {"value_hmac": "12", "owner": "o", "expires": "2099-12-31"},
                {**entry, "colour": "red"}):
        check(admin(w, operator, bad)[0] == 400, "what cannot be is refused", bad)
    seen = "seen@" + "shop-of-the-tests.de"
    headers = w.post(f"Write to {seen}", key)[1]
    wait_for("the finding's record", lambda: findings(w, headers), 5)
    entry = {"from": headers["x-sluice-request-id"], "owner": "shop", "expires": "2099-12-31"}
    check(admin(w, viewer, entry)[0] == 403, "a viewer may not by a record either")
    status, text = admin(w, operator, {**entry, "finding": 1})
    check(status == 200 and w.post(f"Write to {seen}", key)[1]["x-sluice-action"] == "allow", "a finding on record becomes an entry", text)
    tried = json.loads(w.sluice("policy", "test", "-c", w.path("sluice.yaml"), "--json", "--model", "gpt-4o", f"Write to {seen} or {MAIL}"))["findings"]
    check([f.get("allowlist", "")[:3] for f in tried] == ["fp-", ""] and tried[0]["action"] == "allow" and tried[1]["action"] == "tokenize",
          "policy test knows the entry, also by its HMAC", tried)
    line = [l for l in open(w.path("allow.yaml")).read().splitlines() if "value_hmac" in l][-1]
    check("email" in line, "of its own rule", line)
    reloads = lambda: [r for r in w.spool_records() if r["metadata"]["event_code"] == "sluice.reloaded"]
    wait_for("the record of the change", lambda: any("allowlist entry fp-" in json.dumps(r) and "admin:op" in json.dumps(r) for r in reloads()), 5)
    for bad in ({**entry, "from": "01JD8Z6J3V5T9QK2X000000000"}, {**entry, "from": "x"}, {**entry, "finding": 7}):
        check(admin(w, operator, bad)[0] in (400, 404), "a record that is not there, or too old to look for", bad)
    text = w.admin_get("/metrics")[1]
    check("sluice_allowlist_ended 1" in text and "sluice_allowlist_ending 0" in text, "metrics say what ends")


def test_time_limit(w, key):
    """dlp.timeout runs out, of a request's scan and of an answer's: what was not scanned does not leave unless configuration says so,
    and the record names the guard that had no time."""
    # Much to look at and little to find: what has more findings than a request may would end before its time.
    large, limit_ms = f"{MAIL} " + "\u0430bc password s\u0435cret= " * 100_000, 20 * PATIENCE

    def ended(headers):
        rid = headers["x-sluice-request-id"]
        r = wait_for("the completed record", lambda: records(w, "ai.request.completed", rid), 5)[0]["unmapped"]["sluice"]
        return r["end"], {g["name"]: g for g in r["guards"]}
    for on_error in ("block", "allow"):
        w.stop()
        policy(w, "  - { name: answers, when: { class: [pii, secret] }, then: redact, on: response }",
               f"dlp: {{ timeout: {limit_ms}ms, on_error: {on_error} }}\n")
        w.start()
        for _ in range(20):  # now and then the machine takes the time away
            status, headers, body = w.post("[[mock say=fox]] hello", key)
            end, guards = ended(headers)
            if status == 200 and end == "complete":
                break
        check(status == 200 and end == "complete" and guards["dlp_request"]["state"] == guards["dlp_answer"]["state"] == "ran",
              "a small request and its answer have time enough", (status, end, guards))
        before = len(w.received())
        status, headers, body = w.post(large, key)
        end, guards = ended(headers)
        check(guards["dlp_request"]["state"] == "timed_out" and 1000 * limit_ms <= guards["dlp_request"]["us"], "the scan of a large one has not", guards)
        check(status == 503 and b"dlp_failed" in body, f"{on_error}: 503 dlp_failed", (status, body[:200]))
        if on_error == "block":
            check(end == "refused" and len(w.received()) == before and guards["policy"]["state"] == "not_reached", "nothing was sent", (end, guards))
        else:
            check(end == "timeout" and guards["dlp_answer"]["state"] == "timed_out" and MAIL.encode() not in body,
                  "its answer, which is as large, has neither", (end, guards))


def main():
    work = tempfile.mkdtemp(prefix="sluice-actions-")
    w = World(work)
    try:
        write(w.path("candidate.yaml"), "policy:\n  - { name: all, when: { class: secret }, then: block }\n")
        write(w.path("allow.yaml"), "allowlist:\n")
        w.start_mock()
        policy(w, LINES, f"""
simulate: candidate.yaml
allowlist_file: allow.yaml
allowlist:
  - {{ id: shop, value: {TEST_MAIL}, rule: "email*", owner: shop-team, expires: 2099-12-31 }}
  - {{ id: old, regex: "old@.*", owner: shop-team, expires: 2020-01-31 }}
""")
        key, ci = w.new_key("e2e"), w.new_key("ci-runner")
        w.start()
        for test in (lambda: test_trials(w, key), lambda: test_words(w, key), lambda: test_reasons(w, key),
                     lambda: test_conditions(w, key, ci), lambda: test_views(w, key), lambda: test_allowlist(w, key),
                     lambda: test_feedback(w, key), lambda: test_feedback_api(w, key), lambda: test_time_limit(w, key)):
            try:
                test()
            except Exception:
                check(False, "no exception", traceback.format_exc())
        check(w.stop() == 0, "the gateway stops in order")
    finally:
        for p in (w.gateway, w.mock):
            if p is not None and p.poll() is None:
                p.kill()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    sys.exit(count["failed"] != 0)
