"""Tools on the model in this process, end to end: a real model that is asked to repeat a call makes one, in every dialect,
whole and streamed, and takes the result back. test_local_tools(w, key) runs in a world whose gateway is up."""
import http.client
import json

from world import check

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT = {"name": "get_weather", "description": "The weather in a city."}


def call(name, city):
    return '<tool_call>\n{"name": "%s", "arguments": {"city": "%s"}}\n</tool_call>' % (name, city)


def repeat(text):
    """What a small model does without fail at temperature 0."""
    return "Repeat exactly, without any change:\n" + text


def post(w, key, path, body):
    c = http.client.HTTPConnection("127.0.0.1", w.port, timeout=120)
    c.request("POST", path, json.dumps(body), {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
    r = c.getresponse()
    return r.status, r.read().decode()


def events(text):
    """The data of a stream's events."""
    lines = [line[6:] for line in text.replace("\r\n", "\n").split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


# A dialect: the body that asks, the calls in a whole answer and in a stream's events as [(id, name, arguments)] with the
# reason for the end, and the conversation that goes on with a result.

def chat_ask(text, stream, **more):
    return "/v1/chat/completions", {"model": "local", "temperature": 0, "max_tokens": 120, "stream": stream,
                                    "tools": [{"type": "function", "function": {**ABOUT, "parameters": SCHEMA}}],
                                    "messages": [{"role": "user", "content": text}], **more}


def chat_whole(answer):
    choice = answer["choices"][0]
    calls = choice["message"].get("tool_calls", [])
    return [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls], choice["finish_reason"]


def chat_stream(evs):
    calls, reason = {}, None
    for ev in evs:
        for choice in ev["choices"]:
            reason = choice["finish_reason"] or reason
            for c in choice["delta"].get("tool_calls", []):
                had = calls.setdefault(c["index"], ["", "", ""])
                for i, part in enumerate((c.get("id"), c["function"].get("name"), c["function"].get("arguments"))):
                    had[i] += part or ""
    return [(i, n, json.loads(a)) for i, n, a in calls.values()], reason


def chat_result(body, made):
    told = [{"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in made]
    body["messages"] += [{"role": "assistant", "content": None, "tool_calls": told}]
    body["messages"] += [{"role": "tool", "tool_call_id": i, "content": "sunny"} for i, _, _ in made]


def responses_ask(text, stream):
    return "/v1/responses", {"model": "local", "temperature": 0, "max_output_tokens": 120, "stream": stream, "input": [
        {"role": "user", "content": text}], "tools": [{"type": "function", **ABOUT, "parameters": SCHEMA}]}


def responses_whole(answer):
    made = [o for o in answer["output"] if o["type"] == "function_call"]
    return [(o["call_id"], o["name"], json.loads(o["arguments"])) for o in made], answer["status"]


def responses_stream(evs):
    deltas = "".join(ev["delta"] for ev in evs if ev["type"] == "response.function_call_arguments.delta")
    calls, reason = responses_whole(evs[-1]["response"])
    same = json.loads(deltas) == calls[0][2] if len(calls) == 1 else bool(deltas)
    return calls if same else [], reason


def responses_result(body, made):
    body["input"] += [{"type": "function_call", "call_id": i, "name": n, "arguments": json.dumps(a)} for i, n, a in made]
    body["input"] += [{"type": "function_call_output", "call_id": i, "output": "sunny"} for i, _, _ in made]


def anthropic_ask(text, stream):
    return "/v1/messages", {"model": "local", "temperature": 0, "max_tokens": 120, "stream": stream,
                            "tools": [{**ABOUT, "input_schema": SCHEMA}], "messages": [{"role": "user", "content": text}]}


def anthropic_whole(answer):
    return [(b["id"], b["name"], b["input"]) for b in answer["content"] if b["type"] == "tool_use"], answer["stop_reason"]


def anthropic_stream(evs):
    blocks, reason = {}, None
    for ev in evs:
        if ev["type"] == "content_block_start":
            blocks[ev["index"]] = [ev["content_block"], ""]
        elif ev["type"] == "content_block_delta":
            blocks[ev["index"]][1] += ev["delta"].get("partial_json", "")
        elif ev["type"] == "message_delta":
            reason = ev["delta"]["stop_reason"]
    return [(b["id"], b["name"], json.loads(a)) for b, a in blocks.values() if b["type"] == "tool_use"], reason


def anthropic_result(body, made):
    body["messages"] += [{"role": "assistant", "content": [{"type": "tool_use", "id": i, "name": n, "input": a} for i, n, a in made]},
                         {"role": "user", "content": [{"type": "tool_result", "tool_use_id": i, "content": "sunny"} for i, _, _ in made]}]


def gemini_ask(text, stream):
    path = "/v1beta/models/local:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return path, {"contents": [{"role": "user", "parts": [{"text": text}]}], "tools": [{"functionDeclarations": [
        {**ABOUT, "parametersJsonSchema": SCHEMA}]}], "generationConfig": {"temperature": 0, "maxOutputTokens": 120}}


def gemini_whole(answer):
    one = answer["candidates"][0]
    made = [p["functionCall"] for p in one.get("content", {}).get("parts", []) if "functionCall" in p]
    return [(c.get("id", ""), c["name"], c["args"]) for c in made], one.get("finishReason")


def gemini_stream(evs):
    read = [gemini_whole(ev) for ev in evs if ev.get("candidates")]
    return [c for calls, _ in read for c in calls], read[-1][1] if read else None


def gemini_result(body, made):
    body["contents"] += [{"role": "model", "parts": [{"functionCall": {"id": i, "name": n, "args": a}} for i, n, a in made]},
                         {"role": "user", "parts": [{"functionResponse": {"id": i, "name": n, "response": {"result": "sunny"}}}
                                                    for i, n, _ in made]}]


DIALECTS = {
    "chat": (chat_ask, chat_whole, chat_stream, chat_result, "tool_calls"),
    "responses": (responses_ask, responses_whole, responses_stream, responses_result, "completed"),
    "anthropic": (anthropic_ask, anthropic_whole, anthropic_stream, anthropic_result, "tool_use"),
    "gemini": (gemini_ask, gemini_whole, gemini_stream, gemini_result, "STOP"),
}


def test_dialect(w, key, name, stream):
    ask, whole, streamed, result, reason = DIALECTS[name]
    how = f"{name}, {'streamed' if stream else 'whole'}: "
    path, body = ask(repeat(call("get_weather", "Paris")), stream)
    status, text = post(w, key, path, body)
    if not check(status == 200, how + "the local model takes tools", text):
        return
    made, why = streamed(events(text)) if stream else whole(json.loads(text))
    check([c[1:] for c in made] == [("get_weather", {"city": "Paris"})] and why == reason and "<tool_call" not in text,
          how + "the local model calls a tool", text)
    result(body, made)
    status, text = post(w, key, path, body)
    check(status == 200, how + "the local model takes the result of a tool", text)


def test_local_tools(w, key):
    for name in DIALECTS:
        for stream in (False, True):
            test_dialect(w, key, name, stream)
    two = repeat(call("get_weather", "Paris") + "\n" + call("get_weather", "Rome"))
    calls, why = chat_whole(json.loads(post(w, key, *chat_ask(two, False))[1]))
    check([c[2]["city"] for c in calls] == ["Paris", "Rome"] and calls[0][0] != calls[1][0] and why == "tool_calls",
          "two calls in an answer of the local model", calls)
    calls, why = chat_whole(json.loads(post(w, key, *chat_ask(two, False, parallel_tool_calls=False))[1]))
    check(len(calls) == 1 and why == "tool_calls", "one call when the client wants no more", calls)
    unknown = call("get_time", "Paris")
    answer = json.loads(post(w, key, *chat_ask(repeat(unknown), False))[1])["choices"][0]
    check(answer["message"]["content"] == unknown and answer["finish_reason"] == "stop",
          "a call of a tool that is not there is text, unchanged", answer)
    calls, why = chat_whole(json.loads(post(w, key, *chat_ask(repeat(call("get_weather", "Paris")), False, tool_choice="none"))[1]))
    check(calls == [] and why == "stop", "no call with tool_choice none", calls)
