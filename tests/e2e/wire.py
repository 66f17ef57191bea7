"""Requests and answers of each dialect as bytes, for tests that look at what SDKs hide."""
import http.client
import json
import re
import socket
import time

from world import PATIENCE

DIALECTS = ("chat", "completions", "responses", "anthropic", "gemini")
MODELS = {"chat": "gpt-4o", "completions": "gpt-4o", "responses": "gpt-4o", "anthropic": "claude-test-1", "gemini": "gemini-2.5-flash"}
# What a stream ends with when it is whole.
ENDS = {"chat": b"data: [DONE]", "completions": b"data: [DONE]", "responses": b"event: response.completed", "anthropic": b"event: message_stop",
        "gemini": b'"finishReason":"STOP"'}


def request_of(dialect, text, key, stream=False, more=None, model=None):
    """(path, headers, body)."""
    model = model or MODELS[dialect]
    user = [{"role": "user", "content": text}]
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + key}
    body = {"model": model, "stream": stream}
    path = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses",
            "anthropic": "/v1/messages"}.get(dialect)
    if dialect == "chat":
        body["messages"] = user
    elif dialect == "completions":
        body["prompt"] = text
    elif dialect == "responses":
        body["input"] = text
    elif dialect == "anthropic":
        body |= {"messages": user, "max_tokens": 1000}
        headers = {"Content-Type": "application/json", "x-api-key": key, "anthropic-version": "2023-06-01"}
    else:
        path = f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        headers = {"Content-Type": "application/json", "x-goog-api-key": key}
    return path, headers, json.dumps({**body, **(more or {})}, ensure_ascii=False).encode()


def texts(node, out):
    """The texts of an answer or an event: what SDKs show to a person or hand to a tool."""
    if isinstance(node, list):
        for one in node:
            texts(one, out)
    elif isinstance(node, dict):
        for k, v in node.items():
            if isinstance(v, str) and k in ("content", "text", "delta", "arguments", "partial_json", "thinking", "reasoning_content"):
                out.append(v)
            elif isinstance(v, (dict, list)) and k not in ("response", "item", "part", "metadata", "tools", "usage"):
                texts(v, out)


def text_of(raw, stream):
    out = []
    if not stream:
        texts(json.loads(raw), out)
        return "".join(out)
    for line in re.split("\r\n|\r|\n", raw.decode("utf-8", "replace")):
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            if not str(event.get("type", "")).endswith((".done", ".completed")):
                texts(event, out)
    return "".join(out)


def ask(port, dialect, text, key, stream=False, more=None, headers=None, model=None, timeout=30):
    """(status, {field: value}, bytes). A stream that breaks off gives what came and the field "cut"."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout * PATIENCE)
    path, fields, body = request_of(dialect, text, key, stream, more, model)
    try:
        conn.request("POST", path, body, {**fields, **(headers or {})})
        r = conn.getresponse()
        got = {k.lower(): v for k, v in r.getheaders()}
        try:
            raw = r.read()
        except http.client.IncompleteRead as e:
            raw, got["cut"] = e.partial, "yes"
        return r.status, got, raw
    finally:
        conn.close()


def post(port, path, headers, body, timeout=30):
    """(status, {field: value}, bytes) of a request that is none of the dialects' main calls; body: bytes, or what JSON says."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout * PATIENCE)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        conn.request("POST", path, data, {"Content-Type": "application/json", **headers})
        r = conn.getresponse()
        got = {k.lower(): v for k, v in r.getheaders()}
        try:
            return r.status, got, r.read()
        except http.client.IncompleteRead as e:
            return r.status, {**got, "cut": "yes"}, e.partial
    finally:
        conn.close()


def send(s, path, headers, body):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n" + "".join(
        f"{k}: {v}\r\n" for k, v in headers.items())
    s.sendall(head.encode() + b"\r\n" + body)


def open_stream(port, dialect, text, key, model=None):
    """A socket that has sent its request."""
    s = socket.create_connection(("127.0.0.1", port), 30 * PATIENCE)
    send(s, *request_of(dialect, text, key, True, model=model))
    s.settimeout(30 * PATIENCE)
    return s


def read_until(s, mark, seconds):
    """Bytes up to the mark, or what came in that time."""
    end, data = time.time() + seconds * PATIENCE, b""
    while mark not in data and time.time() < end:
        s.settimeout(max(0.01, end - time.time()))
        try:
            part = s.recv(65536)
        except TimeoutError:
            break
        if not part:
            break
        data += part
    return data


def read_stream(s, data=b""):
    """Bytes up to the end of a chunked answer, behind those that are there already."""
    while not data.endswith(b"0\r\n\r\n"):
        part = s.recv(65536)
        if not part:
            break
        data += part
    return data
