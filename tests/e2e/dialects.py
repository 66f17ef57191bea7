#!/usr/bin/env python3
"""What dialects promise beyond what people complain about: counting across them, what a stream says first, errors and events
that are not what they should be. Raw HTTP against the real gateway, as in complaints.py.

usage: tests/e2e/dialects.py BUILD-DIR CACHE-DIR MODEL [WORD]   (or from run.py); with WORD only tests whose names hold it"""
import base64
import json
import sys

from complaints_world import run_tests, sent_to_mock
from wire import post
from world import MAIL, SECRET, check, count

# One target of each kind that counts, by a model of it.
COUNTING = ("gpt-4o", "claude-test-1", "gemini-2.5-flash", "azure-gpt", "vertex-gemini", "claude-vertex-1", "anthropic.claude-v1:0")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}


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


def main(word=""):
    run_tests("dialects", globals(), "test_", word)


if __name__ == "__main__":
    main(*sys.argv[4:5])
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    sys.exit(count["failed"] != 0)
