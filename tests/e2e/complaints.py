#!/usr/bin/env python3
"""What people complain about in other gateways, each as a test with the number it has in docs/complaints.md, which also
says what is tested elsewhere and what does not apply. Raw HTTP against the real gateway; behind it stand the mock provider and
a provider that sends any bytes (upstream.py). Here are the numbers up to 27 and from 49 on, in complaints_wire.py the others.

usage: tests/e2e/complaints.py BUILD-DIR CACHE-DIR MODEL [WORD]   (or from parts.py); with WORD only tests whose names hold it"""
import json
import re
import socket
import sys
import threading
import time

import complaints_wire
import wire
from complaints_world import LEAKED_KEY, LEAKED_MAIL, RAW, each, end_of, raw_ask, record, records, rss_of, run_tests, sent_to_mock
from upstream import EVENTS, LEAVE, answer, stream
from wire import DIALECTS, ENDS, ask, request_of, text_of
from world import MAIL, SECRET, check, finish, wait_for


# ---- 3.1 streaming guards -------------------------------------------------------------------------------

def test_complaint_01_guard_runs_on_every_endpoint(w):
    for d, s, name in each():
        status, fields, raw = ask(w.port, d, "[[mock say=leak]]", w.keys["redacted"], s)
        check(status == 200 and LEAKED_KEY.encode() not in raw and b"REDACTED" in raw, f"01: {name}: the answer is guarded", raw[-200:])
        found = records(w, fields, "ai.dlp.finding")
        check(len(found) >= 1, f"01: {name}: and the audit trail says what was found", fields)


def test_complaint_01_guard_runs_whatever_the_type(w):
    texts = {"chat": {"choices": [{"index": 0, "message": {"role": "assistant", "content": LEAKED_KEY}}]},
             "anthropic": {"type": "message", "content": [{"type": "text", "text": LEAKED_KEY}]},
             "gemini": {"candidates": [{"content": {"parts": [{"text": LEAKED_KEY}]}}]}}
    for d, body in texts.items():
        for kind in ("text/plain", "application/octet-stream", "application/json; charset=utf-8", "Application/JSON"):
            w.up.play = [answer(200, body, kind=kind)]
            _, _, raw = ask(w.port, d, "hi", w.keys["masked"], model=RAW[d])
            check(LEAKED_KEY.encode() not in raw and b"***" in raw, f"01: {d}: an answer that calls itself {kind} is masked", raw)
            w.up.play = [answer(200, b"".join(EVENTS[d](["Take ", LEAKED_KEY, " now."])), kind=kind)]
            _, _, raw = ask(w.port, d, "hi", w.keys["masked"], True, model=RAW[d])
            check(LEAKED_KEY.encode() not in raw and (b"***" in raw or b"error" in raw), f"01: {d}: a stream that does so, too", raw)
            w.up.play = [answer(200, b"Take " + LEAKED_KEY.encode(), kind=kind)]
            _, _, raw = ask(w.port, d, "hi", w.keys["blocked"], model=RAW[d])
            check(LEAKED_KEY.encode() not in raw, f"01: {d}: nor is a text let through that is no answer, {kind}", raw)


def test_complaint_02_value_split_over_two_events(w):
    text = f"Take {LEAKED_KEY} now."
    for d in DIALECTS:
        for at in range(6, len(text) - 6, 3):
            steps = stream(*EVENTS[d]([text[:at], text[at:]]))
            _, _, raw = raw_ask(w, d, steps, "masked")
            out = text_of(raw, True)
            if not check(LEAKED_KEY not in out and out.startswith("Take ") and out.endswith(" now.") and ENDS[d] in raw,
                         f"02: {d}: a value cut at {at} is masked", raw[-600:]):
                break
        _, _, raw = raw_ask(w, d, stream(*EVENTS[d](list(text))), "blocked")
        check(LEAKED_KEY[:16] not in text_of(raw, True) and ENDS[d] not in raw, f"02: {d}: a value in single letters is blocked", raw[-600:])


def test_complaint_02_value_that_comes_slowly(w):
    """Longer than the pause after which the beginning of a value may go: as long as letters come, there is no pause."""
    steps = []
    for one in EVENTS["chat"](["Take ", *LEAKED_KEY, " now."]):
        steps += [one, 0.15]
    _, _, raw = raw_ask(w, "chat", stream(*steps), "masked")
    out = text_of(raw, True)
    check(LEAKED_KEY[:8] not in out and out.startswith("Take ") and out.endswith(" now."), "02: chat: a slow value is masked", raw[-600:])


def test_complaint_03_no_event_is_blanked(w):
    words = [f"word{i} " for i in range(200)]
    for d in DIALECTS:
        _, _, raw = raw_ask(w, d, stream(*EVENTS[d](words)), "masked")
        check(text_of(raw, True) == "".join(words), f"03: {d}: a guard changes nothing in a harmless stream", raw[-300:])


def test_complaint_04_guarded_stream_is_not_collected(w):
    for d in DIALECTS:
        events = EVENTS[d](["first words ", "second words ", "third."])
        at = next(i for i, e in enumerate(events) if b"second" in e)
        w.up.play = stream(*events[:at], LEAVE)
        conn = wire.open_stream(w.port, d, "hi", w.keys["masked"], RAW[d])
        data = wire.read_until(conn, b"first", 15)
        check(b"first" in data, f"04: {d}: the first words come while the provider has not said more", data[-300:])
        conn.close()


def test_complaint_05_mask_works_on_streams(w):
    for d in DIALECTS:
        for piece in (1, 3, 1000):
            for more in ("", " think=1", " tool=1"):
                if d == "completions" and more or d == "anthropic" and more == " think=1":
                    continue
                status, _, raw = ask(w.port, d, f"[[mock say=leak piece={piece}{more}]]", w.keys["masked"], True)
                text = text_of(raw, True)
                check(status == 200 and LEAKED_KEY not in text and LEAKED_MAIL not in text and LEAKED_KEY.encode() not in raw and
                      "Take" in text and "soon." in text + str(raw), f"05: {d}: masked in pieces of {piece}{more}", raw[-300:])


def test_complaint_06_guarded_stream_is_whole(w):
    for d in DIALECTS:
        steps = stream(*EVENTS[d](["All ", "is ", "well."]))
        _, _, plain = raw_ask(w, d, steps, "plain")
        _, _, raw = raw_ask(w, d, steps, "masked")
        check(plain == b"".join(EVENTS[d](["All ", "is ", "well."])), f"06: {d}: without a guard the bytes are the provider's", plain)
        check(text_of(raw, True) == "All is well." and ENDS[d] in raw, f"06: {d}: with one the stream is not dropped", raw)


def test_complaint_07_tokens_of_streams_are_counted(w):
    for d in DIALECTS:
        for user in ("plain", "masked"):
            _, fields, _ = raw_ask(w, d, stream(*EVENTS[d](["All ", "is ", "well."])), user)
            ctx = record(w, fields).get("message_context", {})
            check((ctx.get("prompt_tokens"), ctx.get("completion_tokens")) == (7, 5), f"07: {d}, {user}: tokens are on record", ctx)


def test_complaint_08_stream_true_is_no_way_around(w):
    for d, s, name in each():
        status, fields, raw = ask(w.port, d, "[[mock say=leak]]", w.keys["blocked"], s)
        check(LEAKED_KEY.encode() not in raw and b"error" in raw and end_of(record(w, fields)) == "blocked",
              f"08: {name}: blocked, and recorded as that", (status, raw[-300:]))


def test_complaint_09_verdict_comes_before_the_end(w):
    for d in DIALECTS:
        _, _, raw = ask(w.port, d, "[[mock say=leak piece=2]]", w.keys["blocked"], True)
        check(b"error" in raw and ENDS[d] not in raw and b"[DONE]" not in raw, f"09: {d}: the error stands in place of the end", raw[-300:])


def test_complaint_10_nobody_sees_text_before_the_guard(w):
    for d in DIALECTS:
        events = EVENTS[d](["Take ", LEAKED_KEY, " now and ", "more."])
        at = next(i for i, e in enumerate(events) if LEAKED_KEY.encode() in e)
        w.up.play = stream(*events[:at + 1], 0.1, *events[at + 1:])
        conn = wire.open_stream(w.port, d, "hi", w.keys["blocked"], RAW[d])
        data = wire.read_stream(conn)
        conn.close()
        check(b"Take" in data and LEAKED_KEY[:6].encode() not in data and b"error" in data and b"more." not in data,
              f"10: {d}: not a letter of a blocked value went out", data[-500:])


# ---- 3.2 restoring --------------------------------------------------------------------------------------

def test_complaint_11_several_placeholders_in_pieces(w):
    text = f"{SECRET} {MAIL} {SECRET} {MAIL}"
    for d, s, name in each():
        for piece in (1, 2, 5, 9) if s else (1,):
            status, _, raw = ask(w.port, d, f"[[mock piece={piece}]] {text}", w.keys["plain"], s)
            check(status == 200 and text_of(raw, s).endswith(text), f"11: {name}: several values in pieces of {piece}", raw[-200:])


def test_complaint_12_restored_in_tool_arguments(w):
    for d, s, name in each():
        if d == "completions":
            continue
        for piece in (1, 7) if s else (1,):
            _, _, raw = ask(w.port, d, f"[[mock tool=1 piece={piece}]] {SECRET} {MAIL}", w.keys["plain"], s)
            check(SECRET in raw.decode() or SECRET in text_of(raw, s), f"12: {name}: a call's arguments in pieces of {piece}", raw[-400:])


# ---- 3.3 coverage ---------------------------------------------------------------------------------------

def carriers(d):
    """{place: members of the request} that hold SECRET."""
    call = {"name": "note", "arguments": json.dumps({"deep": [{"text": SECRET}]})}
    user = {"role": "user", "content": "hi"}
    if d == "chat":
        return {"arguments": {"messages": [user, {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": call}]},
                                           {"role": "tool", "tool_call_id": "c1", "content": "done"}]},
                "result": {"messages": [user, {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {
                    "name": "note", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "c1", "content": SECRET}]},
                "system": {"messages": [{"role": "system", "content": SECRET}, user]},
                "unknown member": {"content_blocks": [{"text": SECRET}]},
                "unknown member of a message": {"messages": [{**user, "content_blocks": [{"text": SECRET}]}]},
                "tool definition": {"tools": [{"type": "function", "function": {"name": "note", "description": SECRET, "parameters": {
                    "type": "object", "properties": {}}}}]}}
    if d == "anthropic":
        use = {"type": "tool_use", "id": "c1", "name": "note", "input": {"deep": [{"text": SECRET}]}}
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "done"}]}
        return {"tool_use": {"messages": [user, {"role": "assistant", "content": [use]}, result]},
                "tool_result": {"messages": [user, {"role": "assistant", "content": [{**use, "input": {}}]}, {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": SECRET}]}]}]},
                "system": {"system": [{"type": "text", "text": SECRET}]},
                "unknown member": {"content_blocks": [{"text": SECRET}]}}
    return {"instructions": {"instructions": SECRET},
            "metadata": {"metadata": {"note": SECRET}},
            "function_call": {"input": [{"type": "function_call", "call_id": "c1", **call},
                                        {"type": "function_call_output", "call_id": "c1", "output": "done"}]},
            "function_call_output": {"input": [{"type": "function_call", "call_id": "c1", "name": "note", "arguments": "{}"},
                                               {"type": "function_call_output", "call_id": "c1", "output": SECRET}]},
            "prompt variables": {"prompt": {"id": "pmpt_1", "variables": {"x": SECRET}}},
            "reasoning summary": {"input": [{"role": "user", "content": "hi"}, {"type": "reasoning", "id": "r1", "summary": [
                {"type": "summary_text", "text": SECRET}]}]}}


def kept_from_provider(w, number, dialect, places):
    for place in places:
        (status, _, raw), seen = sent_to_mock(w, lambda: ask(w.port, dialect, "hi", w.keys["plain"], more=carriers(dialect)[place]))
        check(status == 200 and b"#REQ" in seen and SECRET.encode() not in seen and b"DLP_AWS" in seen,
              f"{number}: {dialect}: {place} is scanned", (status, raw[:300], seen[-400:]))
        status, _, raw = ask(w.port, dialect, "hi", w.keys["refused"], more=carriers(dialect)[place])
        check(status == 403 and SECRET.encode() not in raw, f"{number}: {dialect}: {place} can be refused", (status, raw[:300]))


def test_complaint_13_calls_results_instructions(w):
    kept_from_provider(w, 13, "anthropic", ("tool_use", "tool_result", "system"))
    kept_from_provider(w, 13, "responses", ("instructions",))


def test_complaint_14_call_arguments(w):
    kept_from_provider(w, 14, "chat", ("arguments", "result", "system"))


def test_complaint_15_tool_definitions(w):
    kept_from_provider(w, 15, "chat", ("tool definition",))
    tools = [{"type": "function", "function": {"name": "send_mail", "description": "Sends a mail. Needs an API key and a password.",
                                               "parameters": {"type": "object", "required": ["to", "api_key"], "properties": {
                                                   "to": {"type": "string", "format": "email", "description": "For example a@b.c"},
                                                   "api_key": {"type": "string", "description": "secret token, 40 characters"},
                                                   "phone": {"type": "string", "pattern": "^\\+[0-9]{7,15}$"}}}}}]
    (status, _, _), seen = sent_to_mock(w, lambda: ask(w.port, "chat", "hi", w.keys["refused"], more={"tools": tools}))
    check(status == 200 and json.dumps(tools).encode() in seen, "15: words about secrets in a definition are no findings", (status, seen[-400:]))


def test_complaint_16_members_of_responses(w):
    kept_from_provider(w, 16, "responses", ("metadata", "function_call", "function_call_output", "prompt variables", "reasoning summary"))


def test_complaint_17_guard_reads_what_is_sent(w):
    kept_from_provider(w, 17, "chat", ("unknown member", "unknown member of a message"))
    kept_from_provider(w, 17, "anthropic", ("unknown member",))


# ---- 3.4 disconnects ------------------------------------------------------------------------------------

def leaves(w, d, number, steps, until, what):
    """The client leaves; the provider must learn it at once, and the record say so."""
    w.up.play, w.up.left = steps, []
    before = {r["metadata"]["uid"] for r in w.spool_records()}
    conn = wire.open_stream(w.port, d, "hi", w.keys["plain"], RAW[d])
    asked = len(w.up.asked)
    wait_for(f"{number}: {d}: asked", lambda: len(w.up.asked) > asked or w.up.asked, 2)
    if until:
        wire.read_until(conn, until, 15)
    else:
        time.sleep(0.1)
    conn.close()
    # It would stay for minutes, and the gateway would wait for it as long.
    wait_for(f"{number}: {d}: {what}: the provider is let go", lambda: w.up.left)
    done = lambda: [r for r in w.spool_records() if r["metadata"]["uid"] not in before
                    and r["metadata"]["event_code"] == "ai.request.completed"]
    got = wait_for(f"{number}: {d}: {what}: a record", done, 3)
    check(got and len(got) == 1 and end_of(got[0]) == "client_abort", f"{number}: {d}: {what}: recorded as client_abort", got)
    return got[0] if got else {}


def test_complaint_19_client_leaves_in_the_stream(w):
    for d in DIALECTS:
        leaves(w, d, 19, stream(*EVENTS[d](["first ", "second "])[:4], LEAVE), b"data:", "in the stream")


def test_complaint_20_client_leaves_before_the_first_byte(w):
    for d in DIALECTS:
        leaves(w, d, 20, [LEAVE], None, "before the first byte")


def test_complaint_21_partial_stream_is_on_record(w):
    r = leaves(w, "anthropic", 21, stream(*EVENTS["anthropic"](["first ", "second "])[:4], LEAVE), b"second", "usage so far")
    check(r.get("message_context", {}).get("prompt_tokens") == 7 and r["message_context"].get("completion_tokens", 0) >= 3 and
          r["unmapped"]["sluice"].get("usage_estimated") and r["unmapped"]["sluice"].get("response_bytes", 0) > 100,
          "21: what was used until then is on record", r)


def test_complaint_22_no_further_target_for_a_client_that_left(w):
    w.up.play, w.up.left, before = [threading.Event(), answer(503, {"error": {"message": "later"}})], [], len(w.up.asked)

    def leave():
        path, headers, body = request_of("chat", "hi", w.keys["plain"], True, model="gpt-next")
        with socket.create_connection(("127.0.0.1", w.port), 5) as s:
            wire.send(s, path, headers, body)
            wait_for("22: asked", lambda: len(w.up.asked) > before)
        wait_for("22: the provider is let go", lambda: w.up.left)
        time.sleep(0.5)
    _, seen = sent_to_mock(w, leave)
    check(b"#REQ" not in seen and w.up.left, "22: nothing is tried again when the client has left", seen[:300])
    w.up.play = answer(503, {"error": {"message": "later"}})
    w.up.play = [w.up.play]
    (status, _, _), seen = sent_to_mock(w, lambda: ask(w.port, "chat", "hi", w.keys["plain"], True, model="gpt-next"))
    check(status == 200 and b"#REQ" in seen, "22: for one that waits the next target is asked", status)


# ---- 3.9, 3.10 ------------------------------------------------------------------------------------------

def test_complaint_23_cost_is_what_the_provider_counted(w):
    for d in DIALECTS:
        _, fields, _ = raw_ask(w, d, stream(*EVENTS[d](["All ", "is ", "well."])), "plain")
        s = record(w, fields)["unmapped"]["sluice"]
        check(abs(s.get("cost", 0) - (7 * 3 + 5 * 15) / 1e6) < 1e-12 and s.get("currency") == "EUR", f"23: {d}: its cost is on record", s)
    _, fields, _ = ask(w.port, "chat", "hi", w.keys["plain"])
    check("cost" not in record(w, fields)["unmapped"]["sluice"], "23: no price, no cost", fields)


def test_complaint_49_nothing_is_cached_unasked(w):
    (one, two), seen = sent_to_mock(w, lambda: [ask(w.port, "chat", "the same question", w.keys[k], more={"temperature": 0})
                                                for k in ("plain", "masked")])
    check(seen.count(b"#REQ") == 2 and one[1]["x-request-id"] != two[1]["x-request-id"] and "x-sluice-cache" not in two[1],
          "49, 50: nobody gets another's answer", seen[:300])


def test_complaint_51_failed_calls_are_on_record(w):
    for d, s, name in each():
        for what, text, model, want in (("500", "[[mock status=500]]", None, {"complete", "upstream_error"}),
                                        ("away", "hi", "gpt-away", {"upstream_error"}), ("cut", "[[mock cut=1]] x", None, {"upstream_error"})):
            got, fields, raw = ask(w.port, d, text, w.keys["plain"], s, model=model)
            r = record(w, fields)
            check(end_of(r) in want and len(records(w, fields, "ai.request.decided")) == 1, f"51: {name}: {what} is on record once", (got, r))


def test_complaint_52_own_refusals_are_on_record(w):
    for d, s, name in each():
        got, fields, raw = ask(w.port, d, SECRET, w.keys["refused"], s)
        r, decided = record(w, fields), record(w, fields, "ai.request.decided")
        check(got == 403 and end_of(r) == "blocked", f"52: {name}: a refusal is on record", (got, r))
        check(decided.get("policy", {}).get("name") == "refused" and decided["unmapped"]["sluice"].get("action") == "block" and
              decided.get("disposition_id") == 2, f"52: {name}: with the line of policy", decided)
        check(SECRET not in json.dumps([r, decided]), f"52: {name}: without the value", r)


def test_complaint_53_rejected_calls_are_on_record(w):
    for d, s, name in each():
        got, fields, raw = ask(w.port, d, "hi", "slk_" + "0" * 43, s)
        check(got == 401 and "error" in json.loads(raw) and end_of(record(w, fields)) == "refused", f"53: {name}: a wrong key is on record", raw)
        for model in (None, "gpt-away"):
            _, fields, _ = ask(w.port, d, "[[mock status=500]]", w.keys["plain"], s, model=model)
            hashed = record(w, fields, "ai.request.decided").get("raw_data_hash")
            check(hashed, f"53: {name}: a failed call has the hash of what was asked", fields)


def test_complaint_54_kafka_is_down(w):
    _, text = w.admin_get("/metrics")
    number = lambda name: float(re.search(rf"^{name} (\S+)", text, re.M)[1])
    check(number("sluice_audit_kafka_up") == 0 and number("sluice_audit_undelivered") > 100 and number("sluice_audit_rejected_total") == 0,
          "54: with no broker every record waits in the spool, and the metrics say so", text[-1500:])


def test_complaint_55_memory_comes_back(w):
    def load():
        for _ in range(4):
            ask(w.port, "chat", "[[mock piece=50000]] " + "word " * 200_000, w.keys["masked"], True)
        return rss_of(w)
    first = load()
    for _ in range(2):
        last = load()
    check(last - first < 40, "55: the third round of large requests needs no more memory than the first", (first, last))


# ---- the run --------------------------------------------------------------------------------------------

def main(word=""):
    run_tests("complaints", {**globals(), **vars(complaints_wire)}, "test_complaint_", word)


if __name__ == "__main__":
    main(*sys.argv[4:5])
    finish()
