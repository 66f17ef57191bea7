#!/usr/bin/env python3
"""The google-genai SDK for Python: generate_content, streams, tools, structured output, thoughts, count_tokens, models,
errors, sync and async. See sdk.py."""
import asyncio
import io
import os

import pydantic
from google import genai
from google.genai import errors as gerrors
from google.genai import types

from sdk import KEY, PROMPT, SECRET, URL, check, once, raises, run, same

MODEL = os.environ.get("E2E_MODEL", "gemini-2.5-flash")
client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, timeout=60000))
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(name="note", description="Keeps a text", parameters=types.Schema(
    type="OBJECT", properties={"text": types.Schema(type="STRING")}, required=["text"]))])
NO_AUTO = types.AutomaticFunctionCallingConfig(disable=True)


class Note(pydantic.BaseModel):
    text: str


def create(contents, **config):
    return client.models.generate_content(model=MODEL, contents=contents, config=types.GenerateContentConfig(**config))


def stream_of(contents, **config):
    return client.models.generate_content_stream(model=MODEL, contents=contents, config=types.GenerateContentConfig(**config))


def generate():
    answer = create(PROMPT, system_instruction="Be " + SECRET, temperature=0.5)
    same("generate_content", answer.text, PROMPT)
    check(answer.candidates[0].finish_reason == types.FinishReason.STOP and answer.usage_metadata.total_token_count > 0,
          "finish reason and usage", answer)
    same("history and parts", create([
        types.Content(role="user", parts=[types.Part(text="hi")]), types.Content(role="model", parts=[types.Part(text="yes")]),
        types.Content(role="user", parts=[types.Part(text="part one, "), types.Part(text="part two")])]).text)
    big = "word and another, " * 60000
    same("a prompt of 1 MB", create("[[mock say=fox words=3]] " + big).text, "The quick brown ")


def stream():
    # No comments: this SDK cannot read them, and Google sends none.
    for more in ("piece=1", "piece=3", "piece=1000", "piece=7 crlf=1", "piece=7 noblank=1"):
        text, got, last = f"[[mock {more}]] {PROMPT} DLP_ D", "", None
        for part in stream_of(text):
            got += part.text or ""
            last = part
        same(f"stream, {more}", got, text)
        check(last.candidates[0].finish_reason == types.FinishReason.STOP and last.usage_metadata.total_token_count > 0,
              f"stream, {more}: finish reason and usage", last)


def tools():
    for n in (1, 2):
        text = f"[[mock tool={n}]] {PROMPT}"
        answer = create(text, tools=[TOOL], automatic_function_calling=NO_AUTO)
        same(f"{n} function calls", [(c.name, c.args) for c in answer.function_calls], [("note", {"text": text})] * n)
        got = [c for part in stream_of(text, tools=[TOOL], automatic_function_calling=NO_AUTO) for c in part.function_calls or []]
        same(f"{n} streamed function calls", [(c.name, c.args) for c in got], [("note", {"text": text})] * n)
    history = [types.Content(role="user", parts=[types.Part(text=text)]), answer.candidates[0].content,
               types.Content(role="user", parts=[types.Part.from_function_response(name="note", response={"result": f"noted {SECRET}"})
                                                 for _ in answer.function_calls])]
    got = create(history, tools=[TOOL], automatic_function_calling=NO_AUTO).text
    check(got.count(SECRET) == 2, "function results", got)
    kept = []

    def note(text: str) -> str:
        """Keeps a text."""
        kept.append(text)
        return "noted"
    check("noted" in create(f"[[mock tool=1]] {PROMPT}", tools=[note]).text, "automatic function calling ends")
    same("automatic function calling", kept, [f"[[mock tool=1]] {PROMPT}"])


def structured():
    answer = create(PROMPT, response_mime_type="application/json", response_schema=Note)
    same("structured output", answer.parsed.text, PROMPT)


def thoughts():
    answer = create(f"[[mock think=1]] {PROMPT}", thinking_config=types.ThinkingConfig(include_thoughts=True))
    parts = answer.candidates[0].content.parts
    same("thoughts", [[bool(p.thought), p.text] for p in parts],
         [[True, f"The user says: [[mock think=1]] {PROMPT}"], [False, f"[[mock think=1]] {PROMPT}"]])


def counting():
    got = client.models.count_tokens(model=MODEL, contents=[PROMPT, types.Content(role="model", parts=[types.Part(text="yes")]), "and?"])
    check(got.total_tokens > 10, "tokens of a conversation", got)


def uploads():
    # This SDK sends a file's bytes where it is told, and without its key; from the mock alone that would be Google.
    if os.environ["E2E_KEY"].startswith("slk_"):
        kept = client.files.upload(file=io.BytesIO(b"hello"), config={"mime_type": "text/plain"})
        check([kept.name[:6], kept.size_bytes, kept.mime_type] == ["files/", 5, "text/plain"], "a file is uploaded", kept)
    image = types.Part.from_bytes(data=b"hello", mime_type="image/png")
    same("an image in the prompt", create([image, PROMPT]).text, PROMPT)


def others():
    check(client.models.count_tokens(model=MODEL, contents="hello there").total_tokens > 0, "count_tokens")
    names = [m.name for m in client.models.list()]
    check(names, "models are listed", names)
    same("one model", client.models.get(model="gemini-2.5-flash").name, "models/gemini-2.5-flash")


def errors():
    for status in (400, 401, 403, 404, 429):
        raises(f"{status} raises ClientError", gerrors.ClientError, lambda: create(f"[[mock status={status}]]"),
               lambda e: e.code == status and "mock error" in e.message and e.status)
    for status in (500, 503):
        raises(f"{status} raises ServerError", gerrors.ServerError, lambda: create(f"[[mock status={status}]]"),
               lambda e: e.code == status)
    raises("an error before a stream", gerrors.ClientError, lambda: list(stream_of("[[mock status=429]]")), lambda e: e.code == 429)
    raises("an error inside a stream", gerrors.APIError, lambda: list(stream_of("[[mock err=3 say=fox words=20]]")))
    retrying = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, timeout=60000, retry_options=types.HttpRetryOptions(
        attempts=3, initial_delay=0.05, max_delay=0.1)))
    for status in (429, 503):
        got = retrying.models.generate_content(model=MODEL, contents=f"[[mock status={status} once={once()}]] again")
        check(got.text.endswith("again"), f"{status} is tried again", got)


def parallel():
    async def one(i):
        text = f"request {i} {SECRET}"
        if i % 2:
            return (await client.aio.models.generate_content(model=MODEL, contents=text)).text == text
        got = ""
        async for part in await client.aio.models.generate_content_stream(model=MODEL, contents=text):
            got += part.text or ""
        return got == text

    async def main():
        done = await asyncio.gather(*(one(i) for i in range(200)))
        check(all(done), "200 in parallel, half of them streams", done.count(False))
        async for part in await client.aio.models.generate_content_stream(model=MODEL, contents="[[mock say=fox words=500 interval=20]]"):
            break
        check(True, "a stream can be left")
        task = asyncio.create_task(client.aio.models.generate_content(model=MODEL, contents="[[mock ttft=5000]]"))
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
            check(False, "a request can be cancelled")
        except asyncio.CancelledError:
            check(True, "a request can be cancelled")
    asyncio.run(main())


if __name__ == "__main__":
    everything = (generate, stream, tools, structured, thoughts, counting, uploads, others, errors, parallel)
    only = os.environ.get("E2E_ONLY", "").split()
    run(*(part for part in everything if not only or part.__name__ in only))
