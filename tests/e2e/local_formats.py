"""Answers whose shape is demanded of the model in this process, end to end: whatever the model would rather say, in every dialect
its answer is JSON that meets the schema. test_local_formats(w, key) runs in a world whose gateway is up."""
import json

import local_tools as lt
from world import check

NOTE = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "minimum": 1, "maximum": 30},
                                         "mood": {"enum": ["good", "bad"]}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1, "maxItems": 2}},
        "required": ["city", "days", "mood", "tags"], "additionalProperties": False}
TEXT = "Tell me about a trip to Paris."


def meets(text):
    """What NOTE says, tried by hand."""
    try:
        v = json.loads(text)
    except ValueError:
        return False
    return (list(v) == ["city", "days", "mood", "tags"] and isinstance(v["city"], str) and len(v["city"]) <= 12 and type(v["days"]) is int
            and 1 <= v["days"] <= 30 and v["mood"] in ("good", "bad") and 1 <= len(v["tags"]) <= 2 and set(v["tags"]) <= {"a", "b"})


def gemini_schema():
    """The same in the words of Gemini's own schemas; the order is the properties'."""
    return {"type": "OBJECT", "properties": {"city": {"type": "STRING", "maxLength": "12"}, "days": {"type": "INTEGER", "minimum": 1, "maximum": 30},
                                             "mood": {"type": "STRING", "enum": ["good", "bad"]},
                                             "tags": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["a", "b"]}, "minItems": "1", "maxItems": "2"}},
            "required": ["city", "days", "mood", "tags"]}


def test_local_formats(w, key):
    def answer(path, body):
        status, text = lt.post(w, key, path, body)
        return json.loads(text) if check(status == 200, "the local model takes a format: " + path, text) else None

    chat = {"model": "local", "temperature": 0, "max_tokens": 200, "messages": [{"role": "user", "content": TEXT}]}
    schema = {"type": "json_schema", "json_schema": {"name": "note", "strict": True, "schema": NOTE}}
    got = answer("/v1/chat/completions", {**chat, "response_format": schema})
    check(got and meets(got["choices"][0]["message"]["content"]) and got["choices"][0]["finish_reason"] == "stop", "chat: the answer meets the schema", got)
    got = answer("/v1/chat/completions", {**chat, "temperature": 1, "seed": 5, "n": 2, "response_format": schema})
    check(got and all(meets(c["message"]["content"]) for c in got["choices"]), "chat: all answers meet the schema at temperature 1", got)
    status, text = lt.post(w, key, "/v1/chat/completions", {**chat, "stream": True, "response_format": schema})
    said = "".join(c["delta"].get("content") or "" for ev in lt.events(text) for c in ev["choices"]) if status == 200 else ""
    check(meets(said), "chat: a streamed answer meets the schema", text)
    got = answer("/v1/chat/completions", {**chat, "max_tokens": 60, "response_format": {"type": "json_object"}})
    check(got and got["choices"][0]["message"]["content"].lstrip().startswith("{"), "chat: an object when one is wanted", got)
    got = answer("/v1/responses", {"model": "local", "temperature": 0, "max_output_tokens": 200, "input": TEXT,
                                   "text": {"format": {"type": "json_schema", "name": "note", "strict": True, "schema": NOTE}}})
    check(got and meets(got["output"][0]["content"][0]["text"]), "responses: the answer meets the schema", got)
    got = answer("/v1/messages", {"model": "local", "temperature": 0, "max_tokens": 200, "messages": [{"role": "user", "content": TEXT}],
                                  "output_config": {"format": {"type": "json_schema", "schema": NOTE}}})
    check(got and meets(got["content"][0]["text"]), "anthropic: the answer meets the schema", got)
    got = answer("/v1beta/models/local:generateContent", {
        "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
        "generationConfig": {"temperature": 0, "maxOutputTokens": 200, "responseMimeType": "application/json", "responseSchema": gemini_schema()}})
    check(got and meets(got["candidates"][0]["content"]["parts"][0]["text"]), "gemini: the answer meets the schema", got)
    strict = [{"type": "function", "function": {"name": "book", "strict": True, "parameters": NOTE}}]
    got = answer("/v1/chat/completions", {**chat, "tools": strict, "tool_choice": "required", "parallel_tool_calls": False})
    calls = got["choices"][0]["message"].get("tool_calls", []) if got else []
    check(len(calls) == 1 and meets(calls[0]["function"]["arguments"]) and got["choices"][0]["finish_reason"] == "tool_calls",
          "chat: a demanded call of a strict tool meets its schema", got)
    got = answer("/v1/messages", {"model": "local", "temperature": 0, "max_tokens": 200, "messages": [{"role": "user", "content": TEXT}],
                                  "tools": [{"name": "book", "strict": True, "input_schema": NOTE}],
                                  "tool_choice": {"type": "tool", "name": "book", "disable_parallel_tool_use": True}})
    check(got and [meets(json.dumps(b["input"])) for b in got["content"] if b["type"] == "tool_use"] == [True],
          "anthropic: a demanded call of a strict tool meets its schema", got)
    status, text = lt.post(w, key, "/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": {
        "name": "n", "schema": {"type": "object", "properties": {"a": {"not": {}}}}}}})
    check(status == 400 and "#/properties/a/not" in text, "a keyword that is not built in is named with its place", text)
