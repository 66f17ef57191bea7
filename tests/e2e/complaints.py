#!/usr/bin/env python3
"""What people complain about in other gateways, each as a test with its number (3.1 to 3.10: streaming guards, restoring,
coverage, disconnects, framing, event order, errors and headers, audit).

Tested elsewhere: 7 and 28 (usage of streams) and 44 (what SDKs make of errors and retries) also in the SDK suites; 13 to
17 (coverage of the scan) in matrix.py; 11 also there; 30 and 34 (bounds and splits of events) in tests/unit/proxy/test_sse.c
and its fuzz target; 54 in tests/e2e/kafka; 51 to 53 also in run.py's kill -9 test. Not here because Sluice has no such
thing: 21 and 23 to 27 (budgets, rate limits and bills), 49 and 50 but for one check (caches). 18 (a program that ignores the
proxy) is the network's to enforce. 42 and 48 (what follows a failure behind the first byte) are the client's: the provider is not
changed then. 55 (memory that comes back) is no test yet; 56 is a matter of packaging.

usage: tests/e2e/complaints.py BUILD-DIR CACHE-DIR MODEL   (or from run.py)"""
import json
import shutil
import sys
import tempfile
import time

import wire
from wire import DIALECTS, ENDS, ask, text_of
from world import MAIL, SECRET, World, check, count, wait_for

LEAKED_KEY, LEAKED_MAIL = "AKIA" + "Z7RTLQ4MNXVB2KWE", "erika.muster@" + "kanzlei-muster-berlin.de"


def world():
    w = World(tempfile.mkdtemp(prefix="sluice-complaints-"))
    w.start_mock()
    w.write_provider_keys()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets:
{w.server_targets()}
  away:   {{ kind: openai, base_url: http://127.0.0.1:9/v1, key: file:{w.path('aws.secret')}, zone: approved, models: ["gpt-fallback"] }}
routes:
  - {{ model: gpt-fallback, to: [away, openai] }}
  - {{ model: "claude-*", to: claude }}
  - {{ model: "gemini-*", to: gemini }}
  - {{ model: "*", to: openai }}
policy:
  - {{ name: masked,   when: {{ class: [secret, pii], user: masked }},   then: mask,   on: response }}
  - {{ name: redacted, when: {{ class: [secret, pii], user: redacted }}, then: redact, on: response }}
  - {{ name: blocked,  when: {{ class: [secret, pii], user: blocked }},  then: block,  on: response }}
  - {{ name: hidden,   when: {{ class: [secret, pii] }}, then: tokenize }}
audit: {{ spool: {w.path('spool')}, durability: process }}
""")
    return w


def each(stream=(False, True)):
    return [(d, s, f"{d}, {'stream' if s else 'whole'}") for d in DIALECTS for s in stream]


# ---- 3.1 streaming guards ---------------------------------------------------------------------------

def guards(w, keys):
    for d, s, name in each():
        for user in ("masked", "redacted"):
            clean = True
            for piece in (1, 3, 1000) if s else (1,):
                for more in ("", " think=1", " tool=1"):
                    if d == "completions" and more or d == "anthropic" and more == " think=1":
                        continue
                    status, _, raw = ask(w.port, d, f"[[mock say=leak piece={piece}{more}]]", keys[user], s)
                    text = text_of(raw, s) if status == 200 else ""
                    clean = clean and status == 200 and LEAKED_KEY not in text and LEAKED_MAIL not in text and \
                        LEAKED_KEY.encode() not in raw and "Take" in text + str(raw) and "soon." in text + str(raw)
                    if not clean:
                        break
            check(clean, f"3.1 (1, 2, 5, 6, 8): {user}, {name}: a value of the answer, in any pieces", (piece, more, status, raw[-300:]))
        status, _, raw = ask(w.port, d, "[[mock say=leak piece=2]]", keys["blocked"], s)
        whole = ENDS[d] in raw
        check(LEAKED_KEY.encode() not in raw and LEAKED_KEY not in (text_of(raw, s) if status == 200 else "") and b"error" in raw
              and (status == 403 or s and not whole), f"3.1 (9): blocked, {name}: the verdict comes before the end", (status, raw[-300:]))
        status, _, raw = ask(w.port, d, "[[mock say=fox words=400 piece=3]]", keys["masked"], s)
        check(status == 200 and text_of(raw, s).strip().startswith("The quick") and text_of(raw, s).count("fox") == 50,
              f"3.1 (3): {name}: nothing else is changed by a guard", raw[-200:])
    for d, s, name in each((True,)):
        conn = wire.open_stream(w.port, d, "[[mock say=fox words=10 interval=60]]", keys["masked"])
        times, _ = wire.arrivals(conn, 5)
        conn.close()
        check(len(times) >= 6 and times[0] < times[-1] - 0.25, f"3.1 (4, 10): {name}: a guarded stream is not collected first", times)


# ---- 3.2, 3.3 restoring and coverage are the matrix and the SDK suites; here what they leave out --------

def restoring(w, keys):
    text = f"{SECRET} {MAIL} {SECRET} {MAIL}"
    for d, s, name in each():
        for piece in (1, 2, 5, 9) if s else (1,):
            status, _, raw = ask(w.port, d, f"[[mock piece={piece}]] {text}", keys["plain"], s)
            check(status == 200 and text_of(raw, s).endswith(text), f"3.2 (11, 12): {name}: several values in pieces of {piece}", raw[-200:])


# ---- 3.4 disconnects ----------------------------------------------------------------------------------

def disconnects(w, keys):
    for d, s, name in each((True,)):
        before = w.received().count(b"#ABORT")
        conn = wire.open_stream(w.port, d, "[[mock say=fox words=900 interval=20]]", keys["plain"])
        conn.recv(200)
        conn.close()
        wait_for(f"3.4 (19, 22): {name}: the provider learns that the client left", lambda: w.received().count(b"#ABORT") > before, 3)
        before = w.received().count(b"#ABORT")
        conn = wire.open_stream(w.port, d, "[[mock ttft=20000]]", keys["plain"])
        time.sleep(0.15)
        conn.close()
        wait_for(f"3.4 (20): {name}: also before the first byte", lambda: w.received().count(b"#ABORT") > before, 3)


# ---- 3.6, 3.7 framing and order ------------------------------------------------------------------------

def framing(w, keys):
    big = "word " * 120000
    for d, s, name in each((True,)):
        for more in ("piece=7 crlf=1", "piece=7 comments=1", "piece=7 noblank=1", "piece=7 crlf=1 comments=1 noblank=1"):
            status, _, raw = ask(w.port, d, f"[[mock {more}]] {SECRET} end", keys["plain"], s)
            check(text_of(raw.replace(b"\r\n", b"\n"), s).endswith(SECRET + " end"), f"3.6 (28, 29, 30, 31): {name}: {more}", raw[-200:])
        _, _, raw = ask(w.port, d, f"[[mock piece=2000000]] {SECRET} {big}", keys["plain"], s)
        check(text_of(raw, s).endswith(SECRET + " " + big), f"3.6 (32): {name}: an event of 600 KB is whole", len(raw))
        conn = wire.open_stream(w.port, d, "[[mock say=fox words=8 interval=80]]", keys["plain"])
        times, data = wire.arrivals(conn, 5)
        conn.close()
        head = data.split(b"\r\n\r\n")[0].lower()
        check(len(times) >= 6, f"3.6 (33): {name}: events are not collected", times)
        check(b"text/event-stream" in head and b"content-length" not in head, f"3.6 (33): {name}: the head of a stream", head)
        for more in ("think=1 tool=2 piece=5", "piece=1"):
            _, _, raw = ask(w.port, d, f"[[mock {more}]] {SECRET}", keys["plain"], s)
            kinds = [line[7:] for line in raw.decode().splitlines() if line.startswith("event: ")]
            once = {"anthropic": ("message_start", "message_delta", "message_stop"),
                    "responses": ("response.created", "response.completed")}.get(d, ())
            check(all(kinds.count(k) == 1 for k in once), f"3.7 (35, 36, 37): {name}: each of {', '.join(once) or 'none'} once, {more}", kinds[:9])
            check(raw.count(b"[DONE]") == (1 if d in ("chat", "completions") else 0), f"3.7 (38): {name}: [DONE] only where it belongs, {more}")
    _, _, raw = ask(w.port, "anthropic", "[[mock piece=9]] hi", keys["plain"], True)
    events = raw.decode().split("\n\n")
    check(all(e.startswith("event: ") for e in events if e.strip()), "3.7 (40): every Anthropic event keeps its event line", events[:2])
    check('"content":[]' in events[0] and '"stop_reason":null' in events[0], "3.7 (39): message_start has its empty content", events[0])
    for model in ("gpt-4o", "gemini-2.5-flash"):
        _, _, raw = ask(w.port, "anthropic", "[[mock tool=2 piece=5]] hi", keys["plain"], True, model=model)
        events = raw.decode().split("\n\n")
        check(all(e.startswith("event: ") for e in events if e.strip()) and '"content":[]' in events[0].replace(" ", "") and
              raw.count(b"event: message_stop") == 1, f"3.7: the same when {model} answers", raw[:400])
    begin = time.time()
    ask(w.port, "anthropic", "hi", keys["plain"], True, headers={"Connection": "close"})
    check(time.time() - begin < 2, "3.7 (41): the stream ends with message_stop", time.time() - begin)


# ---- 3.8 errors and headers -----------------------------------------------------------------------------

def errors(w, keys):
    for d, s, name in each():
        for status in (400, 429, 500, 503):
            got, fields, raw = ask(w.port, d, f"[[mock status={status}]]", keys["plain"], s)
            check(got == status and b"mock error" in raw, f"3.8 (44, 46): {name}: {status} stays what it is", (got, raw))
            if status == 429:
                check(fields.get("retry-after") == "7", f"3.8 (44): {name}: retry-after keeps its name", fields)
    for d, s, name in each((True,)):
        _, _, raw = ask(w.port, d, "[[mock err=3 say=fox words=40]]", keys["plain"], True)
        check(b'"error"' in raw and ENDS[d] not in raw, f"3.8 (43): {name}: an error in the stream is an error", raw[-300:])
        _, fields, raw = ask(w.port, d, "[[mock cut=4 say=fox words=40]]", keys["plain"], True)
        check(ENDS[d] not in raw and ("cut" in fields or b'"error"' in raw), f"3.8 (43, 45): {name}: a cut stream does not look whole",
              raw[-300:])
    for d, asked, back in (("chat", {"OpenAI-Organization": "org-x", "Idempotency-Key": "k1"}, ("x-request-id", "openai-processing-ms",
                                                                                              "x-ratelimit-remaining-tokens")),
                           ("anthropic", {"anthropic-beta": "tools-2099"}, ("request-id", "anthropic-ratelimit-requests-remaining"))):
        before = len(w.received())
        _, fields, _ = ask(w.port, d, "hi", keys["plain"], headers=asked)
        seen = w.received()[before:].decode("utf-8", "replace").lower()
        check(all(f"{k}: {v}".lower() in seen for k, v in asked.items()), f"3.8 (47): {d}: the client's own fields reach the provider", seen[:600])
        check(all(k in fields for k in back), f"3.8 (45, 47): {d}: the provider's fields reach the client", fields)
    before = len(w.received())
    status, fields, _ = ask(w.port, "chat", "hi", keys["plain"], model="gpt-fallback")
    seen = w.received()[before:]
    check(status == 200 and keys["plain"].encode() not in seen and b"mock-secret-of-the-tests" not in seen,
          "3.8 (47): the next target gets its own key, not the client's or the first target's", (status, seen[:400]))
    for d, s, name in each((False,)):
        _, _, raw = ask(w.port, d, "hi", "slk_" + "0" * 43, s)
        shape = {"anthropic": "type", "gemini": "error"}.get(d, "error")
        check(shape in json.loads(raw), f"3.8: {name}: a wrong key is told in the client's dialect", raw)


# ---- 3.9, 3.10 ------------------------------------------------------------------------------------------

def records(w, keys):
    _, one, _ = ask(w.port, "chat", "the same question", keys["plain"])
    _, two, _ = ask(w.port, "chat", "the same question", keys["masked"])
    check(one["x-request-id"] != two["x-request-id"], "3.9 (49, 50): nobody gets another's answer: nothing is cached")
    ids = {}
    for d, s, name in each():
        for what, text, key in (("answered", "hi", "plain"), ("failed", "[[mock status=500]]", "plain"), ("blocked", "[[mock say=leak]]", "blocked")):
            _, fields, _ = ask(w.port, d, text, keys[key], s)
            ids[fields.get("x-sluice-request-id")] = f"{name}, {what}"
    check(None not in ids and len(ids) == 30, "3.10: every answer names its record", len(ids))
    time.sleep(0.3)
    done = {r["metadata"].get("correlation_uid") for r in w.spool_records() if r["metadata"]["event_code"] == "ai.request.completed"}
    check(set(ids) <= done, "3.10 (51, 52, 53): failed and blocked calls are on record, in every dialect", [ids[i] for i in ids if i not in done])


def main():
    w = world()
    try:
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        keys = {name: w.new_key(name) for name in ("plain", "masked", "redacted", "blocked")}
        if check(w.start() and w.gateway.poll() is None, "complaints: the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            for part in (guards, restoring, disconnects, framing, errors, records):
                part(w, keys)
            seen = w.received()
            check(SECRET.encode() not in seen and MAIL.encode() not in seen and not any(k.encode() in seen for k in keys.values()),
                  "complaints: no planted value and no client's key reached the provider")
    finally:
        w.end()
        if count["failed"] == 0:
            shutil.rmtree(w.dir, ignore_errors=True)
        else:
            print("left for inspection:", w.dir)


if __name__ == "__main__":
    main()
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    sys.exit(count["failed"] != 0)
