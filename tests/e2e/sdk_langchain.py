#!/usr/bin/env python3
"""langchain-openai and LiteLLM as clients, which have ways of their own to speak to the three APIs. See sdk.py."""
import asyncio
import json
import logging
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
import pydantic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from sdk import KEY, PROMPT, SECRET, URL, check, load, once, raises, run, same

litellm.telemetry, litellm.suppress_debug_info, litellm.num_retries = False, True, 0
logging.disable(logging.ERROR)
LOOP = asyncio.new_event_loop()  # one for all: both keep their connections, which belong to a loop
TOOL = {"type": "function", "function": {"name": "note", "description": "Keeps a text", "parameters": {
    "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}}


class Note(pydantic.BaseModel):
    """A note."""
    text: str


def langchain():
    for responses in (False, True):
        name = "langchain, responses" if responses else "langchain, chat"
        llm = ChatOpenAI(model="gpt-4o", base_url=URL + "/v1", api_key=KEY, max_retries=0, use_responses_api=responses)
        text = lambda m: m.text if isinstance(m.text, str) else m.text()
        same(name, text(llm.invoke([SystemMessage("short"), HumanMessage(PROMPT)])), PROMPT)
        same(name + ", streamed", "".join(text(c) for c in llm.stream(f"[[mock piece=3]] {PROMPT}")), f"[[mock piece=3]] {PROMPT}")
        bound = llm.bind_tools([Note])
        asked = [HumanMessage(f"[[mock tool=2]] {PROMPT}")]
        answer = bound.invoke(asked)
        same(name + ", tools", [(c["name"], c["args"]) for c in answer.tool_calls], [("Note", {"text": asked[0].content})] * 2)
        asked += [answer] + [ToolMessage(f"noted {SECRET}", tool_call_id=c["id"]) for c in answer.tool_calls]
        same(name + ", tool results", text(bound.invoke(asked)), f"noted {SECRET}" * 2)
        for method in ("json_schema", "function_calling"):
            same(f"{name}, {method}", llm.with_structured_output(Note, method=method).invoke(PROMPT).text, PROMPT)
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
        same(name + ", an image in the prompt", text(llm.invoke([HumanMessage([image, {"type": "text", "text": PROMPT}])])), PROMPT)
        for status, kind in ((400, openai.BadRequestError), (401, openai.AuthenticationError), (429, openai.RateLimitError),
                             (500, openai.InternalServerError)):
            raises(f"{name}: {status} raises {kind.__name__}", kind, lambda: llm.invoke(f"[[mock status={status}]]"))
        raises(name + ": an error inside a stream", Exception, lambda: list(llm.stream("[[mock err=3 say=fox words=20]]")))
        retrying = ChatOpenAI(model="gpt-4o", base_url=URL + "/v1", api_key=KEY, max_retries=2, use_responses_api=responses)
        check(text(retrying.invoke(f"[[mock status=503 once={once()} after=50]] again")).endswith("again"), name + ": 503 is tried again")

        async def ask(t):
            return text(await llm.ainvoke(t))

        async def streamed(t):
            return "".join([text(c) async for c in llm.astream(t)])
        LOOP.run_until_complete(load(name, ask, streamed, 20 if responses else 200))
    vectors = OpenAIEmbeddings(model="text-embedding-3-small", base_url=URL + "/v1", api_key=KEY, check_embedding_ctx_length=False,
                               dimensions=8).embed_documents(["alpha", "beta"])
    same("langchain, embeddings", vectors)
    check(len(vectors) == 2 and len(vectors[0]) == 8, "langchain, embeddings: two of eight", vectors)


def lite(model, base):
    kw = {"model": model, "api_base": base, "api_key": KEY, "max_retries": 0, "num_retries": 0}
    ask = lambda text, **more: litellm.completion(messages=[{"role": "user", "content": text}], max_tokens=1000, **{**kw, **more})
    name = "litellm to " + model.split("/")[0]
    same(name, ask(PROMPT).choices[0].message.content, PROMPT)
    text = f"[[mock piece=3]] {PROMPT}"
    same(name + ", streamed", "".join(c.choices[0].delta.content or "" for c in ask(text, stream=True)), text)
    text = f"[[mock tool=2]] {PROMPT}"
    same(name + ", tools", [(c.function.name, json.loads(c.function.arguments)) for c in
                            ask(text, tools=[TOOL]).choices[0].message.tool_calls], [("note", {"text": text})] * 2)
    raises(name + ": 429", litellm.RateLimitError, lambda: ask("[[mock status=429]]"))
    got = ask(PROMPT, response_format={"type": "json_schema", "json_schema": {"name": "note", "strict": True, "schema": {
        "type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"], "additionalProperties": False}}})
    same(name + ", structured", json.loads(got.choices[0].message.content), {"text": PROMPT})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    got = litellm.completion(messages=[{"role": "user", "content": [image, {"type": "text", "text": PROMPT}]}], max_tokens=1000, **kw)
    same(name + ", an image in the prompt", got.choices[0].message.content, PROMPT)
    raises(name + ": an error inside a stream", Exception, lambda: list(ask("[[mock err=5 say=fox words=20]]", stream=True)))
    again = ask(f"[[mock status=503 once={once()} after=50]] again", **{"num_retries": 2})
    check(again.choices[0].message.content.endswith("again"), name + ": 503 is tried again")

    async def ask_async(t):
        return (await litellm.acompletion(messages=[{"role": "user", "content": t}], max_tokens=1000, **kw)).choices[0].message.content

    async def streamed(t):
        got = await litellm.acompletion(messages=[{"role": "user", "content": t}], max_tokens=1000, stream=True, **kw)
        return "".join([c.choices[0].delta.content or "" async for c in got])
    LOOP.run_until_complete(load(name, ask_async, streamed, 200 if model.startswith("openai") else 20))
    raises(name + ": 400", litellm.BadRequestError, lambda: ask("[[mock status=400]]"))


def litellm_openai():
    lite("openai/gpt-4o", URL + "/v1")
    got = litellm.embedding(model="openai/text-embedding-3-small", input=["alpha"], api_base=URL + "/v1", api_key=KEY, dimensions=8)
    same("litellm, embeddings", got.data[0]["embedding"])


def litellm_anthropic():
    lite("anthropic/claude-test-1", URL)


def litellm_gemini():
    lite("gemini/gemini-2.5-flash", URL + "/v1beta")


if __name__ == "__main__":
    everything = (langchain, litellm_openai, litellm_anthropic, litellm_gemini)
    only = os.environ.get("E2E_ONLY", "").split()
    run(*(part for part in everything if not only or part.__name__ in only))
