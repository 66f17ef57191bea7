#!/usr/bin/env python3
"""The openai SDK for Python through the gateway. Run by run.py inside a virtual environment.

Environment: OPENAI_BASE_URL and OPENAI_API_KEY (direct), or HTTPS_PROXY and SSL_CERT_FILE (proxy); E2E_MODE direct|proxy;
E2E_SECRET a planted secret, E2E_PHI a health prompt. Prints "ok" or "FAIL" and a sentence for each check."""
import json
import os

import openai

mode = os.environ["E2E_MODE"]
secret = os.environ["E2E_SECRET"]
mail = os.environ["E2E_MAIL"]
phi = os.environ["E2E_PHI"]
client = openai.OpenAI(max_retries=0, timeout=60)


def check(ok, what, detail=""):
    print("ok  " if ok else "FAIL", f"python {mode}: {what}", "" if ok else str(detail)[:300], flush=True)


def chat(text, model="gpt-4o", **kw):
    return client.chat.completions.with_raw_response.create(
        model=model, messages=[{"role": "user", "content": text}], **kw)


prompt = f"Rotate {secret} and tell {mail}. Umlauts: äöü, 日本語, \U0001F600"
raw = chat(prompt)
answer = raw.parse()
check(answer.choices[0].message.content == prompt, "the answer holds the restored values, byte for byte",
      answer.choices[0].message.content)
check(raw.headers.get("x-request-id", "").startswith("req_mock"), "the provider's x-request-id survives", raw.headers)
check(raw.headers.get("x-sluice-action") == "tokenize", "the action is in the answer's headers", raw.headers)
check(answer.usage.total_tokens > 0, "usage is there")

for piece in (1, 2, 3, 7, 1000):
    text = f"[[mock piece={piece}]] Rotate {secret}, {mail}; äöü 日本語 \U0001F600 DLP_ D"
    got, finish, usage = "", None, None
    for event in client.chat.completions.create(model="gpt-4o", stream=True, stream_options={"include_usage": True},
                                                 messages=[{"role": "user", "content": text}]):
        if event.choices:
            got += event.choices[0].delta.content or ""
            finish = event.choices[0].finish_reason or finish
        usage = event.usage or usage
    check(got == text and finish == "stop" and usage is not None,
          f"a stream in pieces of {piece} is restored whole", got)

answer = chat(f"[[mock tool=1]] Store {secret} \"quoted\" for {mail}").parse()
call = answer.choices[0].message.tool_calls[0].function
check(json.loads(call.arguments)["text"].startswith(f"[[mock tool=1]] Store {secret} \"quoted\" for {mail}"),
      "tool arguments are restored and stay JSON", call.arguments)
args = ""
for event in client.chat.completions.create(model="gpt-4o", stream=True, messages=[
        {"role": "user", "content": f"[[mock tool=1 piece=2]] Store {secret} \"quoted\" for {mail}"}]):
    for delta in (event.choices[0].delta.tool_calls or []) if event.choices else []:
        args += delta.function.arguments or ""
check(json.loads(args)["text"].startswith(f"[[mock tool=1 piece=2]] Store {secret} \"quoted\" for {mail}"),
      "streamed tool arguments are restored and stay JSON", args)

try:
    chat("[[mock status=429]] hello")
    check(False, "429 raises RateLimitError")
except openai.RateLimitError as e:
    check(e.response.headers.get("retry-after") == "7" and e.code == "mock_429",
          "a provider's 429 arrives with its code and retry-after", e)
try:
    got = ""
    for event in client.chat.completions.create(model="gpt-4o", stream=True, messages=[
            {"role": "user", "content": "[[mock say=fox words=50 cut=5]] go"}]):
        got += event.choices[0].delta.content or "" if event.choices else ""
    check(False, "a cut stream raises", got)
except (openai.APIError, openai.APIConnectionError) as e:
    check(True, "a cut stream raises", e)
except Exception as e:  # httpx's RemoteProtocolError reaches the caller in some releases
    check("rotocol" in type(e).__name__ or "peer closed" in str(e), "a cut stream raises", repr(e))

if mode == "direct":
    raw = chat(phi, max_tokens=24)
    check(raw.headers.get("x-sluice-route") == "local", "a health prompt for gpt-4o is answered inside", raw.headers)
    check(len(raw.parse().choices[0].message.content) > 0, "and has an answer")
    capital = [{"role": "user", "content": "What is the capital of France?"}]
    raw = client.chat.completions.with_raw_response.create(model="auto", max_tokens=20, temperature=0, messages=capital)
    check(raw.headers.get("x-sluice-route") == "local" and raw.parse().choices[0].message.content == "The capital of France is Paris.",
          "a simple prompt is answered by the local model", raw.text)
    got = "".join(e.choices[0].delta.content or "" for e in client.chat.completions.create(
        model="auto", max_tokens=20, temperature=0, stream=True, messages=capital) if e.choices)
    check(got == raw.parse().choices[0].message.content, "and streamed, the same", got)
    hard = ("First analyse the following design, then compare three alternatives step by step, prove the complexity of "
            "each, and write the code.\n1. Parse\n2. Plan\n3. Prove that O(n log n) holds for all n > 1\n"
            "```c\nint main(void) {\n    for (int i = 0; i < 10; i++) {\n        run(i);\n    }\n}\n```\n"
            "Why does it fail? What would you change? Explain the trade-offs in detail.")
    raw = chat(hard, model="auto")
    check(raw.headers.get("x-sluice-route") == "openai", "a complex prompt goes to the approved API", raw.headers)
    models = [m.id for m in client.models.list().data]
    check("auto" in models, "models are listed", models)
    try:
        openai.OpenAI(api_key="slk_wrong", max_retries=0).models.list()
        check(False, "a wrong key raises AuthenticationError")
    except openai.AuthenticationError as e:
        check(e.code == "invalid_api_key", "a wrong key raises AuthenticationError", e)
    try:
        client.embeddings.create(model="x", input="y")
        check(False, "embeddings of a model that nobody has raise NotFoundError")
    except openai.NotFoundError as e:
        check("requested model" in e.message, "embeddings of a model that nobody has raise NotFoundError", e)
    try:
        chat("x", model="local", temperature=9)
        check(False, "a bad parameter raises BadRequestError")
    except openai.BadRequestError as e:
        check(e.param == "temperature", "a bad parameter is named", e)
else:
    try:
        chat(phi)
        check(False, "a health prompt is not let out")
    except openai.PermissionDeniedError as e:
        check("policy" in e.code, "a health prompt is not let out", e)
