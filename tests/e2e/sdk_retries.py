#!/usr/bin/env python3
"""What the SDKs for Python see of a provider that fails: run by reliability.py with the SDKs' interpreter.

usage: sdk_retries.py BASE-URL KEY
Prints a line of JSON: what each case gave."""
import json
import sys

import anthropic
import openai

URL, KEY = sys.argv[1:3]
# The gateway's attempts are what is looked at, so that the SDKs make none.
chat = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=20)
claude = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=20)
user = lambda text: [{"role": "user", "content": text}]
seen = {}


def case(name, fn):
    try:
        seen[name] = fn()
    except (openai.APIStatusError, anthropic.APIStatusError) as e:
        seen[name] = {"error": type(e).__name__, "status": e.status_code, "retry_after": e.response.headers.get("retry-after")}
    except (openai.APIError, anthropic.APIError) as e:
        seen[name] = {"error": type(e).__name__}


def streamed(model, text):
    parts = [c.choices[0].delta.content or "" for c in chat.chat.completions.create(
        model=model, messages=user(text), stream=True) if c.choices]
    return "".join(parts)


def whole(model, text):
    r = chat.chat.completions.with_raw_response.create(model=model, messages=user(text))
    return [r.parse().choices[0].message.content, r.headers.get("x-sluice-attempts"), r.headers.get("x-sluice-route")]


def message(model):
    with claude.messages.stream(model=model, max_tokens=50, messages=user("Hello there")) as s:
        return s.get_final_text()


case("once", lambda: whole("gpt-once", "[[mock status=503 after=50 once=7001 fails=1]]"))
case("limit", lambda: whole("gpt-once", "[[mock status=429 after=7000]]"))
case("event", lambda: streamed("gpt-sick", "Hello there"))
case("message", lambda: message("claude-sick"))
case("late", lambda: streamed("gpt-once", "[[mock err=3]] one two three four five six"))
print(json.dumps(seen))
