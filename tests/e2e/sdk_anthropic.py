#!/usr/bin/env python3
"""The anthropic SDK for Python: messages, the stream helper, tools, thinking, structured output, count_tokens, models,
errors by class, retries, sync and async. See sdk.py."""
import asyncio
import os

import anthropic

from sdk import KEY, PROMPT, SECRET, URL, check, once, raises, run, same

MODEL = os.environ.get("E2E_MODEL", "claude-test-1")
client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
aclient = anthropic.AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
TOOL = {"name": "note", "description": "Keeps a text", "input_schema": {
    "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}


def user(text):
    return [{"role": "user", "content": text}]


def create(text, **kw):
    return client.messages.create(model=MODEL, max_tokens=1000, messages=kw.pop("messages", None) or user(text), **kw)


def messages():
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=1000, messages=user(PROMPT), system="Be " + SECRET)
    answer = raw.parse()
    same("messages", answer.content[0].text, PROMPT)
    check(answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0 and answer.type == "message", "messages: stop and usage", answer)
    check(raw.headers.get("request-id"), "request-id", dict(raw.headers))
    same("messages with history and blocks", create(None, messages=[
        {"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "part one, "}, {"type": "text", "text": "part two"}]}],
        system=[{"type": "text", "text": "short"}]).content[0].text)
    big = "word and another, " * 60000
    same("a prompt of 1 MB", create("[[mock say=fox words=3]] " + big).content[0].text, "The quick brown ")


def stream():
    for more in ("piece=1", "piece=3", "piece=1000", "piece=7 crlf=1", "piece=7 comments=1", "piece=7 noblank=1"):
        text = f"[[mock {more}]] {PROMPT} DLP_ D"
        with client.messages.stream(model=MODEL, max_tokens=1000, messages=user(text)) as s:
            got = "".join(s.text_stream)
            final = s.get_final_message()
        same(f"stream, {more}", got, text)
        check(final.content[0].text == text and final.stop_reason == "end_turn" and final.usage.output_tokens > 0 and
              final.usage.input_tokens > 0, f"stream, {more}: the final message", final)
    same("the order of events", [e.type for e in create("[[mock piece=1000]] hi", stream=True) if e.type != "ping"],
         ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop"])


def tools():
    for n in (1, 2):
        text = f"[[mock tool={n} piece=3]] {PROMPT}"
        answer = create(text, tools=[TOOL])
        same(f"{n} tool uses", [(b.name, b.input) for b in answer.content if b.type == "tool_use"], [("note", {"text": text})] * n)
        check(answer.stop_reason == "tool_use", f"{n} tool uses: stop reason", answer.stop_reason)
        with client.messages.stream(model=MODEL, max_tokens=1000, messages=user(text), tools=[TOOL]) as s:
            final = s.get_final_message()
        same(f"{n} streamed tool uses", [(b.name, b.input) for b in final.content if b.type == "tool_use"], [("note", {"text": text})] * n)
    history = user(text) + [{"role": "assistant", "content": [b.model_dump(include={"type", "id", "name", "input"}) for b in answer.content]},
                            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": b.id, "content": f"noted {SECRET}; "}
                                                         for b in answer.content]}]
    same("tool results", create(None, messages=history, tools=[TOOL]).content[0].text, f"noted {SECRET}; " * 2)
    answer = create(PROMPT, tools=[TOOL], tool_choice={"type": "tool", "name": "note"})
    same("a demanded tool", answer.content[0].input, {"text": PROMPT})


def thinking():
    text = f"[[mock think=1 piece=2]] {PROMPT}"
    answer = create(text, thinking={"type": "enabled", "budget_tokens": 1024})
    # What is signed stays as the provider wrote it, so a gateway's placeholders may be in there.
    same("thinking", answer.content[1].text, text)
    check(answer.content[0].thinking.startswith("The user says: ") and answer.content[0].signature, "thinking: its text and signature", answer)
    with client.messages.stream(model=MODEL, max_tokens=2000, messages=user(text), thinking={"type": "enabled", "budget_tokens": 1024}) as s:
        final = s.get_final_message()
    same("streamed thinking", final.content[1].text, text)
    check(final.content[0].thinking.startswith("The user says: ") and final.content[0].signature, "streamed thinking: its text and signature",
          final)


def structured():
    answer = create(PROMPT, extra_body={"output_config": {"format": {"type": "json_schema", "schema": {
        "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}}}})
    import json
    same("structured output", json.loads(answer.content[0].text), {"text": PROMPT})


def counting():
    count = client.messages.count_tokens(model=MODEL, messages=[
        {"role": "user", "content": PROMPT}, {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "note", "input": {"text": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "noted"}]}], system="short", tools=[TOOL])
    check(count.input_tokens > 20, "tokens of a conversation with a tool", count)
    raises("a model that nobody has cannot be counted", anthropic.APIStatusError,
           lambda: client.messages.count_tokens(model=MODEL, messages=user("[[mock status=404]]")), lambda e: e.status_code == 404)


def uploads():
    file = client.beta.files.upload(file=("notes.txt", b"notes", "text/plain"))
    same("an uploaded file", [file.id != "", file.filename], [True, "notes.txt"])
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}
    same("an image in the prompt", create(None, messages=user([image, {"type": "text", "text": PROMPT}])).content[0].text, PROMPT)


def others():
    count = client.messages.count_tokens(model=MODEL, messages=user("hello there"), system="short")
    check(count.input_tokens > 0, "count_tokens", count)
    names = [m.id for m in client.models.list().data]
    check(names, "models are listed", names)
    raises("a missing max_tokens is 400", anthropic.BadRequestError,
           lambda: client.post("/v1/messages", cast_to=object, body={"model": MODEL, "messages": user("x")}))
    same("one model", client.models.retrieve("claude-test-1").id, "claude-test-1")


def errors():
    classes = {400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 403: anthropic.PermissionDeniedError,
               404: anthropic.NotFoundError, 409: anthropic.ConflictError, 422: anthropic.UnprocessableEntityError,
               429: anthropic.RateLimitError, 500: anthropic.InternalServerError, 529: anthropic.InternalServerError}
    for status, kind in classes.items():
        raises(f"{status} raises {kind.__name__}", kind, lambda: create(f"[[mock status={status}]]"),
               lambda e: e.status_code == status and "mock error" in str(e) and e.body["type"] == "error")
    raises("429 has its retry-after", anthropic.RateLimitError, lambda: create("[[mock status=429]]"),
           lambda e: e.response.headers.get("retry-after") == "7" and e.request_id)
    raises("a time limit raises APITimeoutError", anthropic.APITimeoutError,
           lambda: client.with_options(timeout=0.3).messages.create(model=MODEL, max_tokens=9, messages=user("[[mock ttft=3000]]")))
    raises("an error before a stream", anthropic.RateLimitError, lambda: list(create("[[mock status=429]]", stream=True)))
    raises("an error inside a stream", anthropic.APIError, lambda: list(create("[[mock err=5 say=fox words=20]]", stream=True)))
    try:
        got = list(create("[[mock cut=5 say=fox words=50]]", stream=True))
        check(False, "a cut stream raises", len(got))
    except Exception as e:
        check(True, "a cut stream raises", e)
    retrying = client.with_options(max_retries=2)
    for status in (429, 529):
        raw = retrying.messages.with_raw_response.create(model=MODEL, max_tokens=9, messages=user(
            f"[[mock status={status} once={once()} after=50]] again"))
        check(raw.retries_taken == 1 and raw.parse().content[0].text.endswith("again"), f"{status} is tried again", raw.retries_taken)


def parallel():
    async def one(i):
        text = f"request {i} {SECRET}"
        if i % 2:
            answer = await aclient.messages.create(model=MODEL, max_tokens=100, messages=user(text))
            return answer.content[0].text == text
        async with aclient.messages.stream(model=MODEL, max_tokens=100, messages=user(text)) as s:
            return await s.get_final_text() == text

    async def main():
        done = await asyncio.gather(*(one(i) for i in range(200)))
        check(all(done), "200 in parallel, half of them streams", done.count(False))
        task = asyncio.create_task(aclient.messages.create(model=MODEL, max_tokens=9, messages=user("[[mock ttft=5000]]")))
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
            check(False, "a request can be cancelled")
        except asyncio.CancelledError:
            check(True, "a request can be cancelled")
        async with aclient.messages.stream(model=MODEL, max_tokens=100, messages=user("[[mock say=fox words=500 interval=20]]")) as s:
            async for e in s.text_stream:
                break
        check(True, "a stream can be left")
        await aclient.close()
    asyncio.run(main())


if __name__ == "__main__":
    everything = (messages, stream, tools, thinking, structured, counting, uploads, others, errors, parallel)
    only = os.environ.get("E2E_ONLY", "").split()
    run(*(part for part in everything if not only or part.__name__ in only))
