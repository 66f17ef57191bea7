#!/usr/bin/env python3
"""langchain-openai and LiteLLM as clients, which have ways of their own to speak to the three APIs. See sdk.py."""
import json
import logging
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import pydantic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from sdk import KEY, PROMPT, SECRET, URL, check, raises, run, same

litellm.telemetry, litellm.suppress_debug_info, litellm.num_retries = False, True, 0
logging.disable(logging.ERROR)
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
    vectors = OpenAIEmbeddings(model="text-embedding-3-small", base_url=URL + "/v1", api_key=KEY, check_embedding_ctx_length=False,
                               dimensions=8).embed_documents(["alpha", "beta"])
    same("langchain, embeddings", vectors)
    check(len(vectors) == 2 and len(vectors[0]) == 8, "langchain, embeddings: two of eight", vectors)


def lite(model, base):
    kw = {"model": model, "api_base": base, "api_key": KEY, "max_retries": 0, "num_retries": 0}
    ask = lambda text, **more: litellm.completion(messages=[{"role": "user", "content": text}], max_tokens=1000, **kw, **more)
    name = "litellm to " + model.split("/")[0]
    same(name, ask(PROMPT).choices[0].message.content, PROMPT)
    text = f"[[mock piece=3]] {PROMPT}"
    same(name + ", streamed", "".join(c.choices[0].delta.content or "" for c in ask(text, stream=True)), text)
    text = f"[[mock tool=2]] {PROMPT}"
    same(name + ", tools", [(c.function.name, json.loads(c.function.arguments)) for c in
                            ask(text, tools=[TOOL]).choices[0].message.tool_calls], [("note", {"text": text})] * 2)
    raises(name + ": 429", litellm.RateLimitError, lambda: ask("[[mock status=429]]"))
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
