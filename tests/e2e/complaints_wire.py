"""Complaints about framing, the order of Anthropic's events, errors and headers (28 to 48): see complaints.py."""
import http.client
import json
import re
import threading

import wire
from complaints_world import PROVIDER_KEY, RAW, each, end_of, raw_ask, record, rss_of, sent_to_mock
from upstream import EVENTS, LEAVE, answer, event, stream
from wire import DIALECTS, ENDS, ask, request_of, text_of
from world import PATIENCE, SECRET, check, wait_for


# ---- 3.6 framing ----------------------------------------------------------------------------------------

def in_pieces(events, size):
    """The bytes of the events, cut anywhere, with a little time between so that reads are cut, too."""
    raw = b"".join(events)
    return stream(*(x for at in range(0, len(raw), size) for x in (raw[at:at + size], 0.001)))


def echo_of(w, d, how):
    """A provider that says the (tokenized) question back, as events that `how` makes into steps."""
    def play(request):
        found = re.search(rb"DLP_AWS[A-Z_]*_[0-9A-Za-z]+", request[1])
        return how(EVENTS[d], (found[0] if found else b"nothing").decode())
    return play


def restores(w, d, how, what):
    _, fields, raw = raw_ask(w, d, echo_of(w, d, how), text=SECRET)
    ctx = record(w, fields).get("message_context", {})
    plain = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"data:{", b"data: {")
    check(text_of(plain, True) == f"Say {SECRET} now.", f"{what}: {d}: restored", raw[-400:])
    check(ctx.get("completion_tokens") == 5, f"{what}: {d}: usage is read", ctx)
    return raw


def test_complaint_28_crlf_and_no_space(w):
    for d in DIALECTS:
        for nl in ("\n", "\r\n", "\r"):
            for space in (" ", ""):
                restores(w, d, lambda make, p: stream(*make(["Say " + p[:9], p[9:] + " now."], nl=nl, space=space)),
                         f"28: line ends {nl!r}, {'a' if space else 'no'} space")


def test_complaint_29_data_split_over_reads(w):
    for d in DIALECTS:
        restores(w, d, lambda make, p: in_pieces(make(["Say " + p, " now."], nl="\r\n"), 13), "29: reads of 13 bytes")


def test_complaint_30_comments_and_other_fields(w):
    for d in DIALECTS:
        more = b": keep-alive\r\rid: 7\rretry: 100\r\n\r\n:\n\n"
        raw = restores(w, d, lambda make, p: in_pieces([x for e in make(["Say " + p, " now."]) for x in (more, e)], 97), "30: comments")
        check(b"id: 7" in raw and b"retry: 100" in raw, f"30: {d}: id and retry reach the client", raw[:300])
        _, _, same = raw_ask(w, d, stream(*(x for e in EVENTS[d](["Well."]) for x in (more, e))))
        check(same == b"".join(more + e for e in EVENTS[d](["Well."])), f"30: {d}: nothing is rewritten without need", same[:300])


def test_complaint_31_no_blank_line_at_the_end(w):
    for d in DIALECTS:
        events = EVENTS[d](["Say it", " now."])
        for strip in (1, 2):
            sent = b"".join(events)[:-strip]
            for user in ("plain", "masked"):
                _, _, raw = raw_ask(w, d, stream(sent), user)
                check(text_of(raw, True) == "Say it now." and raw.rstrip().endswith(sent.rstrip()[-20:]),
                      f"31: {d}, {user}: the last event arrives without its blank line", raw[-200:])
    call = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "note", "arguments": "{}"}}]
    steps = stream(event({"id": "x", "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": call}}]}),
                   event({"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})[:-2])
    w.up.play = steps
    tools = [{"name": "note", "description": "x", "input_schema": {"type": "object", "properties": {}}}]
    _, _, raw = ask(w.port, "anthropic", "hi", w.keys["plain"], True, more={"tools": tools}, model="raw-chat")
    check(b'"stop_reason":"tool_use"' in raw and ENDS["anthropic"] in raw, "31: across dialects tool_use stays tool_use", raw[-400:])


def test_complaint_32_long_lines_stay_whole(w):
    for size in (20_000, 1_000_000):
        for d in DIALECTS:
            text = ("raw \\n and real\nlines, \t tabs, \u2028 and é " * (size // 40))[:size]
            events = EVENTS[d]([text])
            _, _, raw = raw_ask(w, d, stream(*events))
            check(raw == b"".join(events), f"32: {d}: a line of {size} bytes arrives as it was", len(raw))
            _, _, raw = raw_ask(w, d, stream(*events), "masked")
            check(text_of(raw, True) == text, f"32: {d}: and through a guard", len(raw))
    events = EVENTS["anthropic"](["a thought\nof two lines"], kind="thinking")
    _, _, raw = raw_ask(w, "anthropic", stream(*events))
    check(raw == b"".join(events), "32: a line break in a thought is not made one in the stream", raw)


def test_complaint_33_no_buffering(w):
    for d in DIALECTS:
        events = EVENTS[d](["one ", "two ", "three."])
        seen = [threading.Event() for _ in events]
        w.up.play = stream(*(x for pair in zip(events, seen) for x in pair))
        conn, data, late = wire.open_stream(w.port, d, "hi", w.keys["plain"], RAW[d]), b"", []
        for e, go in zip(events, seen):  # the provider goes on when the client has what it sent so far
            if e.strip() not in data:
                data += wire.read_until(conn, e.strip(), 15)
            late += [e] if e.strip() not in data else []
            go.set()
        data = wire.read_stream(conn, data)
        conn.close()
        head = data.split(b"\r\n\r\n")[0].lower()
        check(not late, f"33: {d}: each event comes before the next one is sent", late)
        check(b"content-type: text/event-stream" in head and b"content-length" not in head and b"x-accel-buffering: no" in head
              and b"content-encoding" not in head, f"33: {d}: a head that makes no proxy collect", head)


def test_complaint_34_endless_event_is_bounded(w):
    for d, user in (("chat", "plain"), ("chat", "masked"), ("anthropic", "masked"), ("gemini", "plain")):
        w.up.left, before = [], rss_of(w)
        block = [b"data: "] + [b"y" * 65536] * 480
        _, fields, raw = raw_ask(w, d, stream(*block, *([LEAVE] if user == "masked" else [])), user)
        check(rss_of(w) - before < 120, f"34: {d}, {user}: memory is bounded", (before, rss_of(w)))
        if user == "plain":  # nothing waits for the end of an event: the bytes go through
            check(raw == b"".join(block), f"34: {d}: 30 MB without an end pass", len(raw))
            continue
        check(len(raw) < 1000 and b"error" in raw and ENDS[d] not in raw, f"34: {d}: 30 MB without an end are no answer", (len(raw), raw[-200:]))
        wait_for(f"34: {d}: the provider is let go", lambda: w.up.left, 3)
        check(end_of(record(w, fields)) == "upstream_error", f"34: {d}: recorded", record(w, fields))


# ---- 3.7 Anthropic's order ------------------------------------------------------------------------------

def names_of(raw):
    return re.findall(r"^event: ?(\S+)", raw.decode("utf-8", "replace"), re.M)


def as_claude(w, events, size=None, **how):
    """What an Anthropic client gets when an OpenAI server answers with these events."""
    w.up.play = in_pieces(events, size) if size else stream(*events)
    return ask(w.port, "anthropic", "hi", w.keys["plain"], True, model="raw-chat", **how)[2]


ONCE = ("message_start", "message_delta", "message_stop")


def test_complaint_35_one_message_start(w):
    for more in ("think=1 tool=2 piece=5", "piece=1"):
        for model in ("claude-test-1", "gpt-4o", "gemini-2.5-flash"):
            _, _, raw = ask(w.port, "anthropic", f"[[mock {more}]] {SECRET}", w.keys["plain"], True, model=model)
            names = names_of(raw)
            check(all(names.count(k) == 1 for k in ONCE) and names[0] == ONCE[0], f"35: {model}, {more}: each once", names[:9])


def test_complaint_36_one_message_stop_however_chunks_fall(w):
    whole = None
    for size in (1, 7, 50, 333, None):
        raw = as_claude(w, EVENTS["chat"](["One ", "two."]), size)
        names = names_of(raw)
        whole = whole or names
        check(all(names.count(k) == 1 for k in ONCE) and names[-1] == "message_stop" and raw.endswith(b"\n\n") and
              {*names} == {*whole} and text_of(raw, True) == "One two.", f"36: chunks of {size}", raw[-300:])


def test_complaint_37_no_message_stop_is_an_error_at_once(w):
    events = EVENTS["anthropic"](["One ", "two."])
    for user in ("plain", "masked"):
        _, fields, raw = raw_ask(w, "anthropic", stream(*events[:-1], end=False), user)
        check("cut" in fields and names_of(raw)[-1] == "error", f"37: {user}: a cut stream is told at once",
              (fields, raw[-300:]))
        _, fields, raw = raw_ask(w, "anthropic", stream(*events[:-1]), user)
        check(b"message_stop" not in raw, f"37: {user}: none is made up where the provider sent none", raw[-300:])
    raw = as_claude(w, EVENTS["chat"](["One "])[:2])
    check(names_of(raw)[-1] == "error" and b"message_stop" not in raw, "37: across dialects a cut stream ends with an error", raw[-300:])


def test_complaint_38_empty_answer_and_done(w):
    for events in (EVENTS["chat"]([]), EVENTS["chat"](["x"]), [EVENTS["chat"]([])[0], *EVENTS["chat"]([])[1:2], event("[DONE]")]):
        raw = as_claude(w, events)
        names = names_of(raw)
        check(names[0] == "message_start" and names[-1] == "message_stop" and b"[DONE]" not in raw,
              "38: an empty answer is a whole message", raw)
    before = len(w.up.asked)
    raw = as_claude(w, EVENTS["chat"](["x"]), more={"tool_choice": {"type": "auto"}})
    check(ENDS["anthropic"] in raw and b"tool_choice" not in w.up.asked[before][1], "38: tool_choice without tools is not sent on", raw)
    for d, s, name in each((True,)):
        _, _, raw = ask(w.port, d, "[[mock piece=1]] hi", w.keys["plain"], s)
        check(raw.count(b"[DONE]") == (d in ("chat", "completions")), f"38: {name}: [DONE] only where it belongs", raw[-100:])


def test_complaint_39_message_start_has_empty_content(w):
    for model in ("claude-test-1", "gpt-4o", "gemini-2.5-flash"):
        _, _, raw = ask(w.port, "anthropic", "hi", w.keys["plain"], True, model=model)
        message = json.loads(raw.split(b"\n\n")[0].split(b"data: ")[1])["message"]
        check(message["content"] == [] and message["stop_reason"] is None and message["stop_sequence"] is None and
              message["role"] == "assistant" and "input_tokens" in message["usage"], f"39: {model}: message_start is complete", message)


def test_complaint_40_event_lines_and_fields_stay(w):
    for user in ("plain", "masked"):
        for model in ("claude-test-1", "gpt-4o", "gemini-2.5-flash"):
            _, fields, raw = ask(w.port, "anthropic", "[[mock piece=9]] hi", w.keys[user], True, model=model)
            events = [e for e in raw.split(b"\n\n") if e.strip()]
            check(events and all(re.match(rb"event: (\w+)\ndata: {\"type\": ?\"\1\"", e) for e in events), f"40: {user}, {model}: event lines", events[:2])
            check("request-id" in fields, f"40: {user}, {model}: request-id", fields)
    _, fields, _ = ask(w.port, "anthropic", "hi", w.keys["plain"], True)
    check("anthropic-ratelimit-requests-remaining" in fields, "40: the provider's fields reach the client", fields)


def test_complaint_41_connection_is_free_at_the_end(w):
    for d in DIALECTS:
        w.up.play = [stream(*EVENTS[d](["Well."]))[0], *stream(*EVENTS[d](["Well."]))[1:], LEAVE]
        _, fields, raw = ask(w.port, d, "hi", w.keys["plain"], True, model=RAW[d], headers={"Connection": "close"})
        check("cut" not in fields and ENDS[d] in raw, f"41: {d}: closed when the stream has ended", raw[-200:])
        conn = http.client.HTTPConnection("127.0.0.1", w.port, timeout=30 * PATIENCE)
        path, headers, body = request_of(d, "hi", w.keys["plain"], True, model=RAW[d])
        for _ in range(2):
            conn.request("POST", path, body, headers)
            check(ENDS[d] in conn.getresponse().read(), f"41: {d}: and free for the next request when it is kept")
        conn.close()


def test_complaint_41_provider_stays_behind_its_last_event(w):
    for d in ("chat", "completions", "responses", "anthropic"):
        events = EVENTS[d](["Well."])
        for user in ("plain", "masked"):
            w.up.left = []
            _, fields, raw = raw_ask(w, d, stream(*events, LEAVE), user)
            check("cut" not in fields and text_of(raw, True) == "Well." and ENDS[d] in raw,
                  f"41: {d}, {user}: the answer ends with its last event", raw[-200:])
            wait_for(f"41: {d}, {user}: the provider is let go", lambda: w.up.left)
            check(end_of(record(w, fields)) == "complete", f"41: {d}, {user}: recorded as complete", record(w, fields))
    w.up.play = stream(*EVENTS["chat"](["Well."]), LEAVE)
    _, fields, raw = ask(w.port, "anthropic", "hi", w.keys["plain"], True, model="raw-chat")
    check(ENDS["anthropic"] in raw and "cut" not in fields, "41: across dialects, too", raw[-200:])


def test_complaint_42_failure_behind_a_thought_is_an_error(w):
    events = EVENTS["anthropic"](["hm"], kind="thinking")
    for user in ("plain", "masked"):
        _, fields, raw = raw_ask(w, "anthropic", stream(*events[:3], event(
            {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, "error")), user)
        check(names_of(raw)[-1] == "error" and b"overloaded_error" in raw and b"message_stop" not in raw,
              f"42: {user}: the provider's error, with its own type, so that the client can decide", raw[-300:])


# ---- 3.8 errors and headers -----------------------------------------------------------------------------

def test_complaint_43_error_in_the_stream(w):
    for d in DIALECTS:
        _, _, raw = ask(w.port, d, "[[mock err=3 say=fox words=40]]", w.keys["plain"], True)
        check(b'"error"' in raw and ENDS[d] not in raw, f"43: {d}: an error in the stream stays one", raw[-300:])
        _, fields, raw = ask(w.port, d, "[[mock cut=4 say=fox words=40]]", w.keys["masked"], True)
        check(b'"error"' in raw and ENDS[d] not in raw, f"43: {d}: a cut stream ends with an error", raw[-300:])
        check("cut" in fields, f"43: {d}: and does not look whole", raw[-300:])
        check(end_of(record(w, fields)) == "upstream_error", f"43: {d}: recorded", record(w, fields))
        sent = b"".join(EVENTS[d](["One ", "two "])[:3])
        for at in (1, 9, len(sent) // 2):
            _, fields, raw = raw_ask(w, d, stream(sent[:-at], 0.05, end=False))
            check(raw == sent[:-at] and "cut" in fields, f"43: {d}: nothing is put into an event that broke off", raw[-200:])
            _, fields, raw = raw_ask(w, d, stream(sent[:-at], 0.05, end=False), "masked")
            check("cut" in fields and b"error" in [json.loads(e.split(b"data: ")[1]) and e for e in raw.split(b"\n\n") if b"data: " in e][-1],
                  f"43: {d}: and with a guard each event can be read", raw[-200:])
    _, _, raw = ask(w.port, "anthropic", "[[mock err=3 say=fox words=40]]", w.keys["plain"], True)
    check(names_of(raw)[-1] == "error", "43: Anthropic's has its event line", raw[-300:])
    for model in ("gpt-4o", "gemini-2.5-flash"):
        _, _, raw = ask(w.port, "anthropic", "[[mock err=3 say=fox words=40]]", w.keys["plain"], True, model=model)
        check(names_of(raw)[-1] == "error" and b"message_stop" not in raw, f"43: also when {model} answers", raw[-300:])


def test_complaint_44_statuses_and_retry_after(w):
    models = {"chat": "claude-test-1", "completions": "claude-test-1", "responses": "gemini-2.5-flash", "anthropic": "gpt-4o", "gemini": "gpt-4o"}
    for d, s, name in each():
        for model in (None, models[d]):
            for status in (400, 408, 429, 500, 503, 529):
                got, fields, raw = ask(w.port, d, f"[[mock status={status} after=1500]]", w.keys["plain"], s, model=model)
                check(got == status and b"mock error" in raw, f"44: {name}, {model}: {status} stays {status}", (got, raw))
                check(fields.get("retry-after-ms") == "1500" and fields.get("retry-after"),
                      f"44: {name}, {model}: {status}: when to come again, under its own name", fields)


def test_complaint_45_lost_network_is_no_200(w):
    for d, s, name in each():
        got, _, raw = ask(w.port, d, "hi", w.keys["plain"], s, model="gpt-away")
        check(got == 502 and "error" in json.loads(raw), f"45: {name}: a provider that is away is 502", (got, raw))
    for d in DIALECTS:
        w.up.play = [b""]
        got, _, raw = ask(w.port, d, "hi", w.keys["plain"], True, model=RAW[d])
        check(got == 502 and "error" in json.loads(raw), f"45: {d}: one that hangs up is 502", (got, raw))
        first = EVENTS[d](["One ", "two."])[:2]
        for user in ("plain", "masked"):
            _, fields, raw = raw_ask(w, d, stream(*first, b"event: error\ndata: upstream connect error, no JSON\n\n", end=False), user)
            check(b"error" in raw and ENDS[d] not in raw, f"45: {d}, {user}: an error that is no JSON is one", raw[-300:])


def test_complaint_46_never_an_empty_200(w):
    for d in DIALECTS:
        for user in ("plain", "masked"):
            for steps, what in ((stream(end=False), "cut before the first event"), (stream(), "a stream without events"),
                                ([answer(200, b"", kind="text/event-stream")], "an empty stream")):
                got, fields, raw = raw_ask(w, d, steps, user)
                check(got >= 500 or b"error" in raw, f"46: {d}, {user}: {what}", (got, fields, raw))
                check(end_of(record(w, fields)) == "upstream_error", f"46: {d}, {user}: {what}: recorded", record(w, fields))
            for body in ({"error": {"message": "gone", "code": "x"}}, "no JSON at all"):
                w.up.play = [answer(503, body if isinstance(body, dict) else body.encode(), ("Retry-After: 3",))]
                got, fields, raw = ask(w.port, d, "hi", w.keys[user], True, model=RAW[d])
                want = json.dumps(body).encode() if isinstance(body, dict) else body.encode()
                check(got == 503 and raw == want and fields.get("retry-after") == "3",
                      f"46: {d}, {user}: an error before the stream keeps its status and its bytes", (got, raw))


def test_complaint_47_headers_and_credentials(w):
    for d, asked, back in (("chat", {"OpenAI-Organization": "org-x", "Idempotency-Key": "k1"}, ("x-request-id", "openai-processing-ms",
                                                                                              "x-ratelimit-remaining-tokens")),
                           ("anthropic", {"anthropic-beta": "tools-2099"}, ("request-id", "anthropic-ratelimit-requests-remaining"))):
        (_, fields, _), seen = sent_to_mock(w, lambda: ask(w.port, d, "hi", w.keys["plain"], headers=asked))
        seen = seen.decode("utf-8", "replace").lower()
        check(all(f"{k}: {v}".lower() in seen for k, v in asked.items()), f"47: {d}: the client's own fields reach the provider", seen[:600])
        check(all(k in fields for k in back), f"47: {d}: the provider's fields reach the client", fields)
    key = w.keys["plain"]
    creds = {"Authorization": "Bearer " + key, "x-api-key": "client-own-1", "api-key": "client-own-2", "x-goog-api-key": "client-own-3",
             "Cookie": "s=client-own-4", "Proxy-Authorization": "Basic client-own-5", "x-amz-security-token": "client-own-6"}
    for d in DIALECTS:
        for model, mine in (("gpt-fallback", PROVIDER_KEY), ("gpt-next", PROVIDER_KEY), (None, PROVIDER_KEY), (RAW[d], b"sk-the-other-target")):
            w.up.play, before = [answer(503, {"error": {"message": "later"}})], len(w.up.asked)
            fields = {"Authorization": "Bearer " + key} if d != "anthropic" else {}
            (_, _, _), seen = sent_to_mock(w, lambda: ask(w.port, d, "hi", key, headers={**creds, **fields}, model=model))
            raw = b"".join(h + b for h, b in w.up.asked[before:])
            check(key.encode() not in seen + raw and b"client-own" not in seen + raw, f"47: {d}, {model}: no credential of the client goes on",
                  (seen + raw)[:900])
            check(mine in seen + raw, f"47: {d}, {model}: the target gets its own", (seen + raw)[:600])
            check(b"sk-the-other-target" not in seen, f"47: {d}, {model}: and no other target's", seen[:600])


def test_complaint_48_no_second_target_in_mid_stream(w):
    for more in (stream(*EVENTS["chat"](["One ", "two."])[:2], end=False), stream(*EVENTS["chat"](["One ", "two."])[:2], 0.05, event(
            {"error": {"message": "busy", "type": "server_error"}}))):
        w.up.play = more
        (_, _, raw), seen = sent_to_mock(w, lambda: ask(w.port, "chat", "hi", w.keys["plain"], True, model="gpt-next"))
        check(b"#REQ" not in seen and b"error" in raw and b"[DONE]" not in raw, "48: a begun answer is not gone on with by another", raw)
