#!/usr/bin/env python3
"""What dialects promise beyond what people complain about: counting across them, what a stream says first, errors and events
that are not what they should be. Raw HTTP against the real gateway, as in complaints.py.

usage: tests/e2e/dialects.py BUILD-DIR CACHE-DIR MODEL [WORD]   (or from parts.py); with WORD only tests whose names hold it"""
import base64
import json
import re
import sys

from complaints_world import LEAKED_KEY, LEAKED_MAIL, RAW, run_tests, sent_to_mock
from upstream import EVENTS, answer, event, stream
from wire import DIALECTS, ENDS, ask, post, text_of
from world import MAIL, SECRET, check, finish

# One target of each kind that counts, by a model of it.
COUNTING = ("gpt-4o", "claude-test-1", "gemini-2.5-flash", "azure-gpt", "vertex-gemini", "claude-vertex-1", "anthropic.claude-v1:0")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


def ask_raw(w, dialect, play, user, streamed=False):
    """The answer of the scripted provider to a request of that caller."""
    w.up.play = play
    return ask(w.port, dialect, "hi", w.keys[user], streamed, model=RAW[dialect])


def counting_request(dialect, model, text):
    """A request to count in that dialect, with instructions and a tool: (path, key field, body)."""
    if dialect == "anthropic":
        return "/v1/messages/count_tokens", "x-api-key", {
            "model": model, "system": "Be " + text, "messages": [{"role": "user", "content": text}],
            "tools": [{"name": "note", "input_schema": SCHEMA}]}
    if dialect == "responses":
        return "/v1/responses/input_tokens", "Authorization", {
            "model": model, "instructions": "Be " + text, "input": text,
            "tools": [{"type": "function", "name": "note", "parameters": SCHEMA, "strict": False}]}
    inner = {"contents": [{"role": "user", "parts": [{"text": text}]}], "systemInstruction": {"parts": [{"text": "Be " + text}]},
             "tools": [{"functionDeclarations": [{"name": "note", "parametersJsonSchema": SCHEMA}]}]}
    return f"/v1beta/models/{model}:countTokens", "x-goog-api-key", {"generateContentRequest": {"model": "models/" + model, **inner}}


def ask_count(w, dialect, model, text):
    path, field, body = counting_request(dialect, model, text)
    key = w.keys["plain"]
    return post(w.port, path, {field: "Bearer " + key if field == "Authorization" else key}, body)


def number_in(dialect, raw):
    return json.loads(raw).get("totalTokens" if dialect == "gemini" else "input_tokens", 0)


def test_counting_across_dialects(w):
    for dialect in ("anthropic", "gemini", "responses"):
        for model in COUNTING:
            name = f"{dialect} counts with {model}"
            (status, fields, raw), seen = sent_to_mock(w, lambda: ask_count(w, dialect, model, f"Tell {SECRET} to {MAIL}"))
            if not check(status == 200 and number_in(dialect, raw) > 10, name, (status, raw)):
                continue
            check(fields["content-type"].startswith("application/json"), name + ": JSON", fields)
            packed = b"".join(base64.b64decode(p.split(b'"')[0]) for p in seen.split(b'"invokeModel":{"body":"')[1:])
            sent = seen + packed
            check(SECRET.encode() not in sent and MAIL.encode() not in sent and b"DLP_" in sent, name + ": values are hidden", sent[-600:])
            check(b"note" in sent and b"Be " in sent, name + ": tools and instructions are counted", sent[-600:])


def test_counting_where_nobody_counts(w):
    for dialect, error in (("anthropic", lambda e: e["type"] == "error" and e["error"]["type"] == "not_found_error"),
                           ("responses", lambda e: e["error"]["code"] == "model_not_found"),
                           ("gemini", lambda e: e["error"]["status"] == "NOT_FOUND")):
        status, _, raw = ask_count(w, dialect, "plain-chat", "hi")
        check(status == 404 and error(json.loads(raw)) and b"has no call for it" in raw, f"{dialect}: a server of chats does not count", raw)


def test_counting_errors_are_translated(w):
    for dialect, kind in (("anthropic", b'"type":"rate_limit_error"'), ("gemini", b'"RESOURCE_EXHAUSTED"'), ("responses", b'"message"')):
        for model in COUNTING:
            status, _, raw = ask_count(w, dialect, model, "[[mock status=429]]")
            check(status == 429 and kind in raw, f"{dialect}: an error while counting with {model}", (status, raw))


def test_errors_that_are_no_json_are_guarded(w):
    page = f"<html><h1>502</h1>asked with {LEAKED_KEY} by {LEAKED_MAIL}</html>"
    for d in DIALECTS:
        for kind in ("text/html", "text/plain", "application/json", "application/octet-stream", "application/problem+json"):
            for status in (400, 500, 302):
                for body, what in ((page, "a page"), ("{" + page, "broken JSON")):
                    name = f"{d}: {what} of {status} that calls itself {kind}"
                    play = [answer(status, body.encode(), kind=kind)]
                    got, _, raw = ask_raw(w, d, play, "masked")
                    check(got == status and LEAKED_KEY.encode() not in raw and b"****" in raw and b"asked with" in raw, name + " is masked", (got, raw))
                    got, _, raw = ask_raw(w, d, play, "blocked")
                    check(LEAKED_KEY.encode() not in raw and b"policy_blocked" in raw or got == 403, name + " is blocked", (got, raw))
        clean = "<html><h1>502 Bad Gateway</h1>nginx\xff</html>".encode("latin-1")
        got, fields, raw = ask_raw(w, d, [answer(502, clean, kind="text/html")], "masked")
        check(got == 502 and raw == clean and fields["content-type"] == "text/html", f"{d}: a page without findings stays as it is", (got, raw))


def test_lines_besides_the_data_are_guarded(w):
    for d in DIALECTS:
        for line in (f": took {LEAKED_KEY} from cache", f"id: {LEAKED_KEY}", f"retry: {LEAKED_KEY}", f"x-note: {LEAKED_KEY}", LEAKED_KEY,
                     f"event: {LEAKED_KEY}"):
            events = EVENTS[d](["Take ", "this", "."])
            for at in (0, 2, len(events) - 1):
                odd = events[:at] + [line.encode() + b"\n" + events[at]] + events[at + 1:]
                steps = stream(*odd)
                _, _, raw = ask_raw(w, d, steps, "masked", True)
                name = f"{d}: {line.split(LEAKED_KEY)[0] or 'a bare line'} before event {at}"
                if line.startswith("event"):
                    check(LEAKED_KEY.encode() not in raw and b"error" in raw, name + " ends the stream", raw[-400:])
                    continue
                check(LEAKED_KEY.encode() not in raw and text_of(raw, True) == "Take this." and ENDS[d] in raw, name + " is masked", raw[-600:])
                _, _, raw = ask_raw(w, d, steps, "blocked", True)
                check(LEAKED_KEY.encode() not in raw and ENDS[d] not in raw, name + " is blocked", raw[-400:])
        clean = b"".join(b": ping %d\r\nid: %d\nretry: 3000\r\nx-note: a b\n%s" % (i, i, e) for i, e in enumerate(EVENTS[d](["Take ", "this", "."])))
        _, _, raw = ask_raw(w, d, stream(b"\xef\xbb\xbf" + clean), "masked", True)
        others = lambda text: [line for line in text.replace(b"\xef\xbb\xbf", b"").split(b"\n") if line and not line.startswith((b"data:", b"event:"))]
        check(others(raw) == others(clean) and text_of(raw, True) == "Take this.", f"{d}: lines without findings stay as they are", raw[:300])


def test_files_are_not_sent_past_the_gateway(w):
    """Google tells an address for a file's bytes, which must be the gateway's."""
    key = {"x-goog-api-key": w.keys["plain"]}
    status, fields, _ = post(w.port, "/upload/v1beta/files", {**key, "X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"},
                             {"file": {"display_name": MAIL}})
    address = fields.get("x-goog-upload-url", "")
    check(status == 200 and address.startswith(f"http://127.0.0.1:{w.port}/upload/v1beta/files?upload_id="), "a file's address is the gateway's", fields)
    path = address.split(str(w.port), 1)[-1]
    check(path.endswith("&key=" + w.keys["plain"]), "and has the client's key, which Google's SDK for Python sends nowhere else", path)
    (status, fields, raw), seen = sent_to_mock(w, lambda: post(
        w.port, path, {"Content-Type": "application/json", "X-Goog-Upload-Command": "upload, finalize"}, f"notes of {MAIL}".encode()))
    check(status == 200 and json.loads(raw)["file"]["name"] and MAIL.encode() not in seen and b"notes of DLP_" in seen,
          "a file's bytes are scanned, whatever their type says", (status, raw, seen[-300:]))
    check(w.keys["plain"].encode() not in seen, "and the provider never sees that key", seen[:400])
    keyless = path.rsplit("&key=", 1)[0]
    status, _, _ = post(w.port, keyless, {"X-Goog-Upload-Command": "upload, finalize"}, b"notes")
    check(status == 401, "and nobody sends them without a key", status)


def thinking_answer(w, thought, signature, streamed):
    """What the scripted provider plays: a thought, a thought that only it can read, a text. @ is the placeholder it was sent."""
    def play(asked):
        mark = re.search(rb"DLP_[A-Z0-9_]+_[0-9A-Za-z]+", asked[1])
        known = lambda text: text.replace("@", mark[0].decode() if mark else "@")
        if not streamed:
            return [answer(200, {"id": "msg_1", "type": "message", "role": "assistant", "model": "raw", "content": [
                {"type": "thinking", "thinking": known(thought), "signature": signature},
                {"type": "redacted_thinking", "data": LEAKED_KEY}, {"type": "text", "text": known("So: @.")}],
                "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 5}})]
        events = EVENTS["anthropic"]([])
        block = lambda i, one, deltas: [event({"type": "content_block_start", "index": i, "content_block": one}, "content_block_start"), *(
            event({"type": "content_block_delta", "index": i, "delta": d}, "content_block_delta") for d in deltas),
            event({"type": "content_block_stop", "index": i}, "content_block_stop")]
        pieces = [known(thought)[i:i + 3] for i in range(0, len(known(thought)), 3)]
        return stream(events[0], *block(0, {"type": "thinking", "thinking": "", "signature": ""}, [
            *({"type": "thinking_delta", "thinking": p} for p in pieces),
            *([{"type": "signature_delta", "signature": signature}] if signature else [])]),
            *block(1, {"type": "redacted_thinking", "data": LEAKED_KEY}, []),
            *block(2, {"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in known("So: @.")]), *events[-2:])
    return play


def thinking_in(raw, streamed):
    """(the thought, its signature, the redacted one, the text) that a client gets."""
    if not streamed:
        blocks = {b["type"]: b for b in json.loads(raw)["content"]}
        return (blocks["thinking"]["thinking"], blocks["thinking"]["signature"], blocks["redacted_thinking"]["data"], blocks["text"]["text"])
    got = {"thinking": "", "signature": "", "text": "", "data": ""}
    for line in raw.decode().splitlines():
        for part in ([json.loads(line[6:]).get("delta", {}), json.loads(line[6:]).get("content_block", {})] if line.startswith("data: {") else []):
            for k in got:
                got[k] += part.get(k, "")
    return got["thinking"], got["signature"], got["data"], got["text"]


def test_thinking_is_the_same_whole_and_streamed(w):
    for signature in ("c2lnbmVk", ""):
        for streamed in (False, True):
            name = f"thinking, {'signed' if signature else 'unsigned'}, {'streamed' if streamed else 'whole'}"
            w.up.play = thinking_answer(w, "They say @, I think", signature, streamed)
            _, _, raw = ask(w.port, "anthropic", "I am " + MAIL, w.keys["masked"], streamed, model="raw-claude")
            thought, signed, data, text = thinking_in(raw, streamed)
            check(thought.startswith("They say DLP_EMAIL_") and MAIL not in thought and signed == signature,
                  name + ": a thought and its signature stay as the provider wrote them", raw[-900:])
            check(data == LEAKED_KEY and text == f"So: {MAIL}.", name + ": so does a redacted one, and the text is restored", raw[-600:])
            w.up.play = thinking_answer(w, f"They gave {LEAKED_KEY}, I think", signature, streamed)
            status, fields, raw = ask(w.port, "anthropic", "hi", w.keys["masked"], streamed, model="raw-claude")
            check(b"policy" in raw and LEAKED_KEY.encode() not in raw and b"message_stop" not in raw and (streamed or status == 403),
                  name + ": what would have to be hidden in it ends the answer", raw[-600:])


def test_hidden_thinking_is_not_signed_across_dialects(w):
    """A thought that policy has changed is none that the provider signed: nobody may send it back as such."""
    for streamed in (False, True):
        for thought, kept in (("They gave " + LEAKED_KEY, False), ("They gave nothing", True)):
            w.up.play = thinking_answer(w, thought, "c2lnbmVk", streamed)
            _, _, raw = ask(w.port, "responses", "hi", w.keys["masked"], streamed, model="raw-claude",
                            more={"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]})
            check(LEAKED_KEY.encode() not in raw.replace(b"sluiceClaudeHide" + LEAKED_KEY.encode(), b"") and b"They gave " in raw and
                  (b"c2lnbmVk" in raw) == kept, f"responses of Claude, {'streamed' if streamed else 'whole'}, {thought[:14]}", raw[-1500:])


def ask_array(w, text, user, model="gemini-2.5-flash"):
    """Gemini's stream without alt=sse: (status, bytes, its elements or None when it is no array)."""
    status, fields, raw = post(w.port, f"/v1beta/models/{model}:streamGenerateContent", {"x-goog-api-key": w.keys[user]},
                               {"contents": [{"role": "user", "parts": [{"text": text}]}]})
    check(fields["content-type"].startswith("application/json"), f"an array of {model} says that it is JSON", fields)
    try:
        return status, raw, json.loads(raw)
    except ValueError:
        return status, raw, None


def test_gemini_arrays(w):
    joined = lambda array: "".join(p.get("text", "") for one in array or [] for c in one.get("candidates", []) for p in c["content"]["parts"])
    for model in ("gemini-2.5-flash", "vertex-gemini", "gpt-4o", "claude-test-1", "anthropic.claude-v1:0"):
        for piece in (1, 3, 1000):
            text = f"[[mock piece={piece}]] Tell {MAIL} of {SECRET}, \"äöü\" DLP_ D"
            for user in ("plain", "masked"):
                status, raw, array = ask_array(w, text, user, model)
                check(status == 200 and joined(array) == text and array[-1]["candidates"][0]["finishReason"] == "STOP",
                      f"an array of {model} in pieces of {piece}, {user}: restored", raw[-500:])
            _, raw, array = ask_array(w, f"[[mock say=leak piece={piece}]]", "masked", model)
            check(array is not None and LEAKED_KEY not in joined(array) and "****" in joined(array), f"an array of {model}, {piece}: masked", raw[-500:])
            status, raw, array = ask_array(w, f"[[mock say=leak piece={piece}]]", "blocked", model)
            check(status == 403 or LEAKED_KEY.encode() not in raw and array is not None and array[-1]["error"]["code"] == 403,
                  f"an array of {model}, {piece}: ends with an error", raw[-500:])
        for how in ("err=3", "cut=3"):
            _, raw, array = ask_array(w, f"[[mock {how} say=fox words=30 piece=4]]", "masked", model)
            check(array is None or "error" in array[-1], f"an array of {model}, {how}: seen to be broken", raw[-300:])


def main(word=""):
    run_tests("dialects", globals(), "test_", word)


if __name__ == "__main__":
    main(*sys.argv[4:5])
    finish()
