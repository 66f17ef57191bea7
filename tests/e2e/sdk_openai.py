#!/usr/bin/env python3
"""The openai SDK for Python: every endpoint, sync and async, streams, tools, structured output, uploads, errors by class,
retries, time limits. See sdk.py."""
import asyncio
import json
import logging
import os

import openai
import pydantic

from sdk import KEY, PROMPT, SECRET, URL, check, once, raises, run, same

MODEL = os.environ.get("E2E_MODEL", "gpt-4o")
client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=60)
aclient = openai.AsyncOpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=60)
TOOL = {"type": "function", "function": {"name": "note", "description": "Keeps a text", "parameters": {
    "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}}}


class Note(pydantic.BaseModel):
    text: str


def user(text):
    return [{"role": "user", "content": text}]


def create(text, **kw):
    return client.chat.completions.create(model=MODEL, messages=kw.pop("messages", None) or user(text), **kw)


def chat():
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=user(PROMPT))
    answer = raw.parse()
    same("chat", answer.choices[0].message.content, PROMPT)
    check(answer.choices[0].finish_reason == "stop" and answer.usage.total_tokens > 0, "finish reason and usage", answer)
    check(answer.object == "chat.completion" and answer.id and answer.model, "the answer's own fields", answer)
    check(raw.headers.get("x-request-id"), "x-request-id", dict(raw.headers))
    answer = create(None, messages=[{"role": "system", "content": "Be " + SECRET}, {"role": "user", "content": "[[mock say=fox]] hi"},
                                    {"role": "assistant", "content": "yes"}, {"role": "user", "content": [
                                        {"type": "text", "text": "part one, "}, {"type": "text", "text": "part two"}]}])
    same("chat with history and parts", answer.choices[0].message.content)
    big = "word and another, " * 60000
    same("a prompt of 1 MB", create("[[mock say=fox words=3]] " + big).choices[0].message.content, "The quick brown ")


def stream():
    for more in ("piece=1", "piece=3", "piece=1000", "piece=7 crlf=1", "piece=7 comments=1", "piece=7 noblank=1"):
        text, got, finish, usage = f"[[mock {more}]] {PROMPT} DLP_ D", "", None, None
        for event in create(text, stream=True, stream_options={"include_usage": True}):
            if event.choices:
                got += event.choices[0].delta.content or ""
                finish = event.choices[0].finish_reason or finish
            usage = event.usage or usage
        same(f"stream, {more}", got, text)
        check(finish == "stop" and usage and usage.total_tokens > 0, f"stream, {more}: finish reason and usage", (finish, usage))
    with client.chat.completions.stream(model=MODEL, messages=user(PROMPT)) as s:
        s.until_done()
        same("the stream helper", s.get_final_completion().choices[0].message.content, PROMPT)


def tools():
    for n in (1, 2):
        text = f"[[mock tool={n} piece=3]] {PROMPT}"
        answer = create(text, tools=[TOOL]).choices[0]
        got = [(c.function.name, json.loads(c.function.arguments)) for c in answer.message.tool_calls or []]
        same(f"{n} tool calls", got, [("note", {"text": text})] * n)
        check(answer.finish_reason == "tool_calls", f"{n} tool calls: finish reason", answer.finish_reason)
        calls = {}
        for event in create(text, tools=[TOOL], stream=True):
            for d in (event.choices[0].delta.tool_calls or []) if event.choices else []:
                c = calls.setdefault(d.index, ["", "", ""])
                c[0] += d.id or ""
                c[1] += d.function.name or ""
                c[2] += d.function.arguments or ""
        same(f"{n} streamed tool calls", [(c[1], json.loads(c[2])) for c in calls.values()], [("note", {"text": text})] * n)
        check(len({c[0] for c in calls.values()}) == n and all(c[0] for c in calls.values()), f"{n} streamed calls have ids", calls)
    messages = user(text) + [answer.message.model_dump(exclude_none=True)] + [
        {"role": "tool", "tool_call_id": c.id, "content": f"noted {SECRET}; "} for c in answer.message.tool_calls]
    same("tool results", create(None, messages=messages, tools=[TOOL]).choices[0].message.content, f"noted {SECRET}; " * 2)
    same("a demanded tool", create(PROMPT, tools=[TOOL], tool_choice="required").choices[0].message.tool_calls[0].function.name, "note")


def structured():
    got = client.chat.completions.parse(model=MODEL, messages=user(PROMPT), response_format=Note)
    same("chat, parsed", got.choices[0].message.parsed.text, PROMPT)


def chat_only():
    """What other dialects have no word for, or say otherwise."""
    answer = create(f"[[mock think=1]] {PROMPT}").choices[0].message
    same("reasoning_content", answer.reasoning_content, f"The user says: [[mock think=1]] {PROMPT}")
    got = "".join(e.choices[0].delta.model_extra.get("reasoning_content") or "" for e in create(
        f"[[mock think=1 piece=2]] {PROMPT}", stream=True) if e.choices)
    same("streamed reasoning_content", got, f"The user says: [[mock think=1 piece=2]] {PROMPT}")
    same("two choices", [c.message.content for c in create(PROMPT, n=2).choices], [PROMPT] * 2)


def completions():
    answer = client.completions.create(model=MODEL, prompt=PROMPT)
    same("completions", answer.choices[0].text, PROMPT)
    got = "".join(e.choices[0].text for e in client.completions.create(model=MODEL, prompt=f"[[mock piece=2]] {PROMPT}", stream=True)
                  if e.choices)
    same("completions, streamed", got, f"[[mock piece=2]] {PROMPT}")


def responses():
    answer = client.responses.create(model=MODEL, input=PROMPT, instructions="Be " + SECRET, metadata={"a": SECRET})
    same("responses", answer.output_text, PROMPT)
    check(answer.status == "completed" and answer.usage.total_tokens > 0 and answer.id, "responses: status and usage", answer)
    text, got, numbers, kinds = f"[[mock piece=2 think=1]] {PROMPT}", "", [], []
    for e in client.responses.create(model=MODEL, input=[{"role": "user", "content": [{"type": "input_text", "text": text}]}],
                                     stream=True):
        numbers.append(e.sequence_number)
        if not kinds or kinds[-1] != e.type:
            kinds.append(e.type)
        if e.type == "response.output_text.delta":
            got += e.delta
        if e.type == "response.output_text.done":
            same("responses: output_text.done", e.text, text)
    same("responses, streamed", got, text)
    check(numbers == sorted(set(numbers)), "responses: sequence numbers grow", numbers)
    same("responses: the order of events", kinds)
    check(kinds[0] == "response.created" and kinds[-1] == "response.completed", "responses: first and last event", kinds)
    tool = {"type": "function", "strict": False, **TOOL["function"]}
    for n in (1, 2):
        text = f"[[mock tool={n} piece=3]] {PROMPT}"
        answer = client.responses.create(model=MODEL, input=text, tools=[tool])
        same(f"responses: {n} function calls", [(o.name, json.loads(o.arguments)) for o in answer.output
                                                if o.type == "function_call"], [("note", {"text": text})] * n)
        with client.responses.stream(model=MODEL, input=text, tools=[tool]) as s:
            final = s.get_final_response()
        same(f"responses: {n} streamed function calls", [(o.name, json.loads(o.arguments)) for o in final.output
                                                         if o.type == "function_call"], [("note", {"text": text})] * n)
    follow = [{"role": "user", "content": text}] + [o.model_dump(exclude_none=True, exclude={"status", "parsed_arguments"})
                                                    for o in answer.output] + [
        {"type": "function_call_output", "call_id": o.call_id, "output": f"noted {SECRET}"} for o in answer.output]
    same("responses: function results", client.responses.create(model=MODEL, input=follow, tools=[tool]).output_text,
         f"noted {SECRET}" * 1 if len(answer.output) == 1 else f"noted {SECRET}" * len(answer.output))
    got = client.responses.parse(model=MODEL, input=PROMPT, text_format=Note)
    same("responses, parsed", got.output_parsed.text, PROMPT)


def counting():
    got = client.responses.input_tokens.count(model=MODEL, instructions="short", input=PROMPT, tools=[{"type": "function", "strict": False,
                                                                                                       **TOOL["function"]}])
    check(got.input_tokens > 20 and got.object == "response.input_tokens", "tokens of a request", got)


def others():
    one = client.embeddings.create(model="text-embedding-3-small", input=["alpha", "beta"], dimensions=8)
    two = client.embeddings.create(model="text-embedding-3-small", input="alpha", dimensions=8, encoding_format="float")
    same("embeddings, base64 and float", [d.embedding for d in one.data] + [two.data[0].embedding])
    check(one.data[0].embedding == two.data[0].embedding and len(one.data) == 2, "embeddings agree", one)
    same("moderations", client.moderations.create(model="omni-moderation-latest", input="hello").results[0].flagged, False)
    names = [m.id for m in client.models.list().data]
    check(MODEL in names or "gpt-4o" in names or "gpt-*" in names, "models are listed", names)
    same("one model", client.models.retrieve("gpt-4o").id, "gpt-4o")


def uploads():
    content = f"notes with {SECRET}\n".encode() if os.environ.get("E2E_UPLOAD_SECRET") else b"notes\n\x00\xff"
    file = client.files.create(file=("notes.txt", content), purpose="assistants")
    same("an uploaded file", [file.filename, file.bytes, file.purpose], ["notes.txt", len(content), "assistants"])
    check(client.files.retrieve(file.id).id == file.id, "the file is found")
    check(client.files.content(file.id).read() == content, "the file's content comes back")
    check(file.id in [f.id for f in client.files.list().data], "the file is listed")
    check(client.files.delete(file.id).deleted, "the file is deleted")
    same("a transcription", client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF" * 1000),
                                                               prompt="hello").text, "4000 bytes of sound. hello")
    same("an image", client.images.generate(model="gpt-image-1", prompt="a fox").data[0].revised_prompt, "a fox")


def errors():
    classes = {400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
               404: openai.NotFoundError, 409: openai.ConflictError, 422: openai.UnprocessableEntityError,
               429: openai.RateLimitError, 500: openai.InternalServerError, 503: openai.InternalServerError}
    for status, kind in classes.items():
        raises(f"{status} raises {kind.__name__}", kind, lambda: create(f"[[mock status={status}]]"),
               lambda e: e.status_code == status and "mock error" in str(e) and e.request_id)
    raises("429 has its retry-after", openai.RateLimitError, lambda: create("[[mock status=429]]"),
           lambda e: e.response.headers.get("retry-after") == "7")
    raises("an error before a stream", openai.RateLimitError, lambda: create("[[mock status=429]]", stream=True))
    raises("an error inside a stream", openai.APIError, lambda: list(create("[[mock err=3 say=fox words=20]]", stream=True)))
    try:
        got = "".join(e.choices[0].delta.content or "" for e in create("[[mock cut=4 say=fox words=50]]", stream=True) if e.choices)
        check(False, "a cut stream raises", got)
    except Exception as e:
        check(True, "a cut stream raises", e)
    raises("a time limit raises APITimeoutError", openai.APITimeoutError,
           lambda: client.with_options(timeout=0.3).chat.completions.create(model=MODEL, messages=user("[[mock ttft=3000]]")))
    retrying = client.with_options(max_retries=2)
    for status in (429, 503):
        raw = retrying.chat.completions.with_raw_response.create(
            model=MODEL, messages=user(f"[[mock status={status} once={once()} after=50]] again"))
        check(raw.retries_taken == 1 and raw.parse().choices[0].message.content.endswith("again"),
              f"{status} is tried again", raw.retries_taken)


def parallel():
    async def one(i):
        text = f"request {i} {SECRET}"
        if i % 2:
            answer = await aclient.chat.completions.create(model=MODEL, messages=user(text))
            return answer.choices[0].message.content == text
        got = ""
        async for e in await aclient.chat.completions.create(model=MODEL, messages=user(text), stream=True):
            got += (e.choices[0].delta.content or "") if e.choices else ""
        return got == text

    async def leave():
        stream = await aclient.chat.completions.create(model=MODEL, messages=user("[[mock say=fox words=500 interval=20]]"), stream=True)
        async for e in stream:
            break
        await stream.close()

    async def main():
        done = await asyncio.gather(*(one(i) for i in range(200)))
        check(all(done), "200 in parallel, half of them streams", done.count(False))
        await leave()
        check(True, "a stream can be left")
        task = asyncio.create_task(aclient.chat.completions.create(model=MODEL, messages=user("[[mock ttft=5000]]")))
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
            check(False, "a request can be cancelled")
        except asyncio.CancelledError:
            check(True, "a request can be cancelled")
        await aclient.close()
    logging.disable(logging.ERROR)
    asyncio.run(main())


if __name__ == "__main__":
    everything = (chat, stream, tools, structured, chat_only, completions, responses, counting, others, uploads, errors, parallel)
    only = os.environ.get("E2E_ONLY", "").split()
    run(*(part for part in everything if not only or part.__name__ in only))
