#!/usr/bin/env python3
"""The planted-secret matrix: forty values of different families, in every place of a request that can carry one, in every
dialect, streamed and not. One value a request. None may reach the provider, in any coding; and where the provider says the
request back (say=body), the client's answer must hold the value again.

usage: tests/e2e/matrix.py BUILD-DIR CACHE-DIR MODEL   (or from parts.py). Prints a table and "N passed, N failed, N skipped"."""
import base64
import http.client
import json
import os
import re
import subprocess
import tempfile
import threading
import time
import urllib.parse

from planted import PLANTED
from wire import text_of
from world import BUILD, World, check, finish, leave

CARRIERS = ("system", "user", "part", "tool", "arguments", "result", "metadata", "unknown", "key", "number", "split", "query", "escaped")
DIALECTS = ("chat", "completions", "responses", "anthropic", "gemini")
THREADS = 4
SCHEMA = {"type": "object", "properties": {}}


class Cell:
    """One request: what is sent, and what came of it."""
    def __init__(self, number, dialect, carrier, stream, name, value, sentence):
        self.number, self.dialect, self.carrier, self.stream, self.name = number, dialect, carrier, stream, name
        self.value, self.sentence = value, sentence
        self.status, self.text, self.leaked = 0, "", None


def nested(text):
    return {"a": {"b": ["first", text]}}


# Each function puts text into the request body of its dialect at the carrier; None: this dialect has no such place.

def chat(body, carrier, text, halves):
    user = body["messages"][0]
    if carrier == "system":
        body["messages"].insert(0, {"role": "system", "content": text})
    elif carrier in ("user", "escaped"):
        user["content"] += " " + text
    elif carrier == "part":
        user["content"] = [{"type": "text", "text": user["content"]}, {"type": "text", "text": text}]
    elif carrier == "split":
        user["content"] = [{"type": "text", "text": user["content"] + " " + halves[0]}, {"type": "text", "text": halves[1]}]
    elif carrier == "tool":
        body["tools"] = [{"type": "function", "function": {"name": "note", "description": text, "parameters": SCHEMA}}]
    elif carrier in ("arguments", "result"):
        call = {"id": "call_1", "type": "function", "function": {
            "name": "note", "arguments": json.dumps(nested(text if carrier == "arguments" else "x"))}}
        body["messages"] += [{"role": "assistant", "content": None, "tool_calls": [call]},
                             {"role": "tool", "tool_call_id": "call_1", "content": text if carrier == "result" else "done"}]
    elif carrier == "metadata":
        body["metadata"] = {"note": text}
    else:
        return anywhere(body, carrier, text)
    return True


def completions(body, carrier, text, halves):
    if carrier in ("user", "escaped"):
        body["prompt"] += " " + text
    elif carrier == "part":
        body["prompt"] = [body["prompt"], text]
    elif carrier == "metadata":
        body["user"] = text
    elif carrier in ("system", "tool", "arguments", "result", "split"):
        return None
    else:
        return anywhere(body, carrier, text)
    return True


def responses(body, carrier, text, halves):
    content = body["input"][0]["content"]
    if carrier == "system":
        body["instructions"] = text
    elif carrier in ("user", "escaped"):
        content[0]["text"] += " " + text
    elif carrier == "part":
        content.append({"type": "input_text", "text": text})
    elif carrier == "split":
        content[0]["text"] += " " + halves[0]
        content.append({"type": "input_text", "text": halves[1]})
    elif carrier == "tool":
        body["tools"] = [{"type": "function", "name": "note", "description": text, "parameters": SCHEMA, "strict": False}]
    elif carrier in ("arguments", "result"):
        body["input"] += [{"type": "function_call", "call_id": "call_1", "name": "note",
                           "arguments": json.dumps(nested(text if carrier == "arguments" else "x"))},
                          {"type": "function_call_output", "call_id": "call_1", "output": text if carrier == "result" else "done"}]
    elif carrier == "metadata":
        body["metadata"] = {"note": text}
    else:
        return anywhere(body, carrier, text)
    return True


def anthropic(body, carrier, text, halves):
    content = body["messages"][0]["content"]
    if carrier == "system":
        body["system"] = [{"type": "text", "text": text}]
    elif carrier in ("user", "escaped"):
        content[0]["text"] += " " + text
    elif carrier == "part":
        content.append({"type": "text", "text": text})
    elif carrier == "split":
        content[0]["text"] += " " + halves[0]
        content.append({"type": "text", "text": halves[1]})
    elif carrier == "tool":
        body["tools"] = [{"name": "note", "description": text, "input_schema": SCHEMA}]
    elif carrier in ("arguments", "result"):
        body["messages"] += [{"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "note", "input": nested(
            text if carrier == "arguments" else "x")}]}, {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": text if carrier == "result" else "done"}]}]}]
    elif carrier == "metadata":
        body["metadata"] = {"user_id": text}
    else:
        return anywhere(body, carrier, text)
    return True


def gemini(body, carrier, text, halves):
    parts = body["contents"][0]["parts"]
    if carrier == "system":
        body["systemInstruction"] = {"parts": [{"text": text}]}
    elif carrier in ("user", "escaped"):
        parts[0]["text"] += " " + text
    elif carrier == "part":
        parts.append({"text": text})
    elif carrier == "split":
        parts[0]["text"] += " " + halves[0]
        parts.append({"text": halves[1]})
    elif carrier == "tool":
        body["tools"] = [{"functionDeclarations": [{"name": "note", "description": text, "parameters": {"type": "OBJECT"}}]}]
    elif carrier in ("arguments", "result"):
        body["contents"] += [{"role": "model", "parts": [{"functionCall": {"name": "note", "args": nested(
            text if carrier == "arguments" else "x")}}]}, {"role": "user", "parts": [
                {"functionResponse": {"name": "note", "response": nested(text if carrier == "result" else "done")}}]}]
    elif carrier == "metadata":
        body["labels"] = {"note": text}
    else:
        return anywhere(body, carrier, text)
    return True


def anywhere(body, carrier, text):
    """Places that no API knows."""
    if carrier == "unknown":
        body["x_unknown"] = {"deep": [{"er": text}]}
    elif carrier == "key":
        body["x_keys"] = {text: True}
    elif carrier == "number":
        body["x_number"] = 0  # replaced in the bytes, so that no writer of JSON changes it
    return True


PUT = {"chat": chat, "completions": completions, "responses": responses, "anthropic": anthropic, "gemini": gemini}


def value_halves(cell):
    at = len(cell.value) // 2
    return cell.value[:at], cell.value[at:]


def halves_of(cell):
    at = cell.sentence.index(cell.value) + len(cell.value) // 2
    return cell.sentence[:at], cell.sentence[at:]


def request_of(cell, key):
    """(path, headers, body) or None when there is no such cell."""
    say = f"[[mock say=body piece=11]] cell-{cell.number}."
    path, headers = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses",
                     "anthropic": "/v1/messages", "gemini": "/v1beta/models/gemini-2.5-flash:"}[cell.dialect], {}
    body = {"model": "gpt-4o", "stream": cell.stream}
    if cell.dialect == "chat":
        body["messages"] = [{"role": "user", "content": say}]
    elif cell.dialect == "completions":
        body["prompt"] = say
    elif cell.dialect == "responses":
        body["input"] = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": say}]}]
    elif cell.dialect == "anthropic":
        body |= {"model": "claude-test-1", "max_tokens": 100, "messages": [{"role": "user", "content": [{"type": "text", "text": say}]}]}
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    else:
        body = {"contents": [{"role": "user", "parts": [{"text": say}]}]}
        headers = {"x-goog-api-key": key}
        path += "streamGenerateContent?alt=sse" if cell.stream else "generateContent"
    headers = {"Content-Type": "application/json", **(headers or {"Authorization": "Bearer " + key})}
    if cell.carrier == "number" and not cell.value.isdigit():
        return None
    if PUT[cell.dialect](body, cell.carrier, cell.sentence, halves_of(cell)) is None:
        return None
    if cell.carrier == "query":
        path += ("&" if "?" in path else "?") + "note=" + urllib.parse.quote(cell.sentence)
    data = json.dumps(body, ensure_ascii=False)
    if cell.carrier == "number":
        data = data.replace('"x_number": 0', f'"x_number": {cell.value}')
    if cell.carrier == "escaped":
        inside = json.dumps(cell.value)[1:-1]
        data = data.replace(inside, "".join("\\u%04x" % ord(c) for c in cell.value))
    return path, headers, data.encode()


# ---- answers --------------------------------------------------------------------------------------

def shown(cell, raw):
    return raw.decode("utf-8", "replace") if cell.dialect == "other" else text_of(raw, cell.stream)


def codings(value):
    """The ways in which the value would still be readable at the provider."""
    raw = value.encode()
    yield raw
    yield json.dumps(value)[1:-1].encode()
    yield urllib.parse.quote(value, safe="").encode()
    yield urllib.parse.quote(value).encode()
    yield urllib.parse.quote_plus(value).encode()
    yield "".join("\\u%04x" % ord(c) for c in value).encode()
    for lead in range(3):
        # The letters of base64 that depend on the value alone.
        coded = base64.b64encode(b"\0" * lead + raw)
        yield coded[(0, 2, 3)[lead]:len(coded) - 4]


def ask(port, key, cells):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for cell in cells:
        path, headers, body = cell.request
        for attempt in (1, 2):
            try:
                conn.request("POST", path, body, headers)
                r = conn.getresponse()
                raw = r.read()
                cell.status = r.status
                cell.text = shown(cell, raw) if r.status == 200 else raw.decode("utf-8", "replace")
                break
            except (OSError, http.client.HTTPException, ValueError) as e:
                conn.close()
                cell.status, cell.text = 0, repr(e)
    conn.close()


# ---- the run --------------------------------------------------------------------------------------

# ---- other endpoints --------------------------------------------------------------------------------

def form(fields):
    """A multipart body: {name: text or (file name, text)}."""
    mark, out = "----planted", b""
    for name, value in fields.items():
        file, text = value if isinstance(value, tuple) else (None, value)
        more = f'; filename="{file}"\r\nContent-Type: text/plain' if file else ""
        out += f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{text}\r\n'.encode()
    return f"multipart/form-data; boundary={mark}", out + f"--{mark}--\r\n".encode()


def other_requests(cell):
    """{endpoint: (path, content type, body)} for what is not a chat."""
    say, text = f"cell-{cell.number}. ", cell.sentence
    as_json = lambda **body: ("application/json", json.dumps(body).encode())
    return {
        "embeddings": ("/v1/embeddings", *as_json(model="text-embedding-3-small", input=[say, text], dimensions=4)),
        "moderations": ("/v1/moderations", *as_json(model="omni-moderation-latest", input=say + text)),
        "images": ("/v1/images/generations", *as_json(model="gpt-image-1", prompt=say + text)),
        "upload": ("/v1/files", *form({"purpose": "assistants", "file": ("notes.txt", say + text)})),
        "file name": ("/v1/files", *form({"purpose": "assistants", "file": (text.replace("\n", " ").replace('"', ""), say)})),
        "form field": ("/v1/audio/transcriptions", *form({"model": "whisper-1", "prompt": say + text, "file": ("a.txt", "RIFF")})),
        "count_tokens": ("/v1/messages/count_tokens", *as_json(model="claude-test-1", messages=[{"role": "user", "content": say + text}])),
        "countTokens": ("/v1beta/models/gemini-2.5-flash:countTokens", *as_json(contents=[{"parts": [{"text": say + text}]}])),
        "embedContent": ("/v1beta/models/gemini-2.5-flash:embedContent", *as_json(content={"parts": [{"text": say + text}]})),
        "file's bytes": ("/upload/v1beta/files?upload_id=x&upload_protocol=resumable", "text/plain", (say + text).encode()),
        "path": ("/v1/files/" + urllib.parse.quote(say + text, safe=""), *as_json(x=1)),
        "model in path": ("/v1beta/models/gemini-" + urllib.parse.quote(say + text, safe="") + ":generateContent", *as_json(contents=[
            {"parts": [{"text": say}]}])),
        "unknown path": ("/v1/rerank", *as_json(model="gpt-4o", query="[[mock echo=1]] " + say + text, documents=["one"])),
    }


OTHERS = ("embeddings", "moderations", "images", "upload", "file name", "form field", "count_tokens", "countTokens", "embedContent",
          "file's bytes", "path", "model in path", "unknown path")


def plan_others(key, first, step):
    cells = []
    for endpoint in OTHERS:
        for name, value, words in PLANTED[::step]:
            cell = Cell(first + len(cells), "other", endpoint, False, name, value, words.format(value))
            path, kind, body = other_requests(cell)[endpoint]
            headers = {"Content-Type": kind, "Authorization": "Bearer " + key}
            if path.startswith("/v1/messages"):
                headers["anthropic-version"] = "2023-06-01"
            if path.startswith(("/v1beta", "/upload")):
                headers = {"Content-Type": kind, "x-goog-api-key": key}
            cell.request = path, headers, body
            cells.append(cell)
    return cells


def judge_others(cells):
    print("other endpoints: kept from the provider / sent, and how many were answered with 200")
    for endpoint in OTHERS:
        here = [c for c in cells if c.carrier == endpoint]
        leaks = [f"{c.name}: {c.leaked}" for c in here if c.leaked is not None]
        print(f"{endpoint:22}{f'{len(here) - len(leaks)}/{len(here)} ({sum(c.status == 200 for c in here)})':>13}")
        check(not leaks, f"matrix: {endpoint}: nothing planted reaches the provider", leaks[:4])
        fine = (200, 403, 404) if endpoint == "model in path" else (200, 403)  # no route has a model of that name
        odd = [(c.name, c.status, c.text[:200]) for c in here if c.status not in fine]
        check(not odd, f"matrix: {endpoint}: answered", odd[:3])
    lost = [(c.name, c.text[-200:]) for c in cells if c.carrier in ("unknown path", "images") and c.status == 200 and not holds(c)]
    check(not lost, "matrix: an unknown path and a revised prompt give back what they were sent", lost[:2])
    print(flush=True)


def found_by_rules():
    lines = "".join(json.dumps({"id": name, "text": words.format(value)}) + "\n" for name, value, words in PLANTED)
    out = subprocess.run([BUILD + "/sluice", "rules", "test", "--json"], input=lines, capture_output=True, text=True).stdout
    found = {}
    for line in out.splitlines():
        got = json.loads(line)
        found[got["id"]] = [(f["start"], f["end"]) for f in got["findings"]]
    for name, value, words in PLANTED:
        at = words.index("{}")
        check(any(a <= at and b >= at + len(value) for a, b in found.get(name, [])), f"matrix: a rule finds {name}", found.get(name))
    check(len({n for n, _, _ in PLANTED}) == 40, "matrix: forty values")


def plan(key, step):
    cells = []
    for dialect in DIALECTS:
        for carrier in CARRIERS:
            for stream in (False, True):
                for name, value, words in PLANTED[::step]:
                    cell = Cell(len(cells), dialect, carrier, stream, name, value, words.format(value))
                    cell.request = request_of(cell, key)
                    if cell.request is not None:
                        cells.append(cell)
    return cells


def look_for_leaks(cells, log):
    """Each request that the provider received names its cell; each must be free of its own value, the whole of all."""
    everything = {c for _, value, _ in PLANTED for c in codings(value)}
    anything = re.compile(b"|".join(re.escape(c) for c in sorted(everything, key=len, reverse=True)))
    by_number = {c.number: c for c in cells}
    received = 0
    for part in log.split(b"\n#END\n"):
        named = re.search(rb"cell-(\d+)\.", part)
        if named is None:
            check(not anything.search(part), "matrix: nothing planted in a request without a name", part[:300])
            continue
        received += 1
        cell = by_number[int(named[1])]
        hit = anything.search(part)
        if hit:
            cell.leaked = hit[0]
        if cell.carrier == "split" and hit is None:
            cell.leaked = next((half.encode() for half in value_halves(cell) if json.dumps(half)[1:-1].encode() in part), None)
    return received


def table(cells):
    print("\nplanted values: dialect and stream by carrier; kept from the provider / sent, and (given back to the client)")
    print(f"{'':22}" + "".join(f"{c:>13}" for c in CARRIERS))
    for dialect in DIALECTS:
        for stream in (False, True):
            row = f"{dialect + (', stream' if stream else ''):22}"
            for carrier in CARRIERS:
                here = [c for c in cells if (c.dialect, c.carrier, c.stream) == (dialect, carrier, stream)]
                kept = sum(c.leaked is None for c in here)
                back = sum(c.status == 200 and holds(c) for c in here)
                row += f"{f'{kept}/{len(here)} ({back})' if here else '-':>13}"
            print(row)
    print(flush=True)


def holds(cell):
    """Whether the client got the value back, as it is or inside the JSON that the provider said back."""
    def there(text):
        forms = text, json.dumps(text)[1:-1], text.replace("\n", "\\\\n")
        return any(form in cell.text for form in forms)
    return there(cell.value) or cell.carrier == "split" and all(there(half) for half in value_halves(cell))


def probe(w):
    """The judge must see a value that is sent past the gateway, or its silence says nothing."""
    before = os.path.getsize(w.mock_log)
    cells = []
    for carrier in ("user", "escaped", "query", "arguments", "split"):
        cell = Cell(len(cells), "chat", carrier, False, *PLANTED[0][:2], PLANTED[0][2].format(PLANTED[0][1]))
        cell.request = request_of(cell, "key")
        cells.append(cell)
    ask(w.mock_http, "key", cells)
    with open(w.mock_log, "rb") as f:
        f.seek(before)
        look_for_leaks(cells, f.read())
    check(all(c.leaked for c in cells), "matrix: values sent past the gateway are noticed", [c.carrier for c in cells if not c.leaked])


def run(w, key, step):
    probe(w)
    begin = time.time()
    before = os.path.getsize(w.mock_log)
    cells = plan(key, step)
    others = plan_others(key, len(DIALECTS) * len(CARRIERS) * 2 * len(PLANTED), step)
    asked = cells + others
    threads = [threading.Thread(target=ask, args=(w.port, key, asked[i::THREADS])) for i in range(THREADS)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    took = time.time() - begin
    with open(w.mock_log, "rb") as f:
        f.seek(before)
        received = look_for_leaks(asked, f.read())
    table(cells)
    judge_others(others)
    print(f"{len(asked)} requests in {took:.1f} s, {received} reached the provider", flush=True)
    for dialect in DIALECTS:
        for carrier in CARRIERS:
            here = [c for c in cells if c.dialect == dialect and c.carrier == carrier]
            if not here:
                continue
            leaks = [(c.name, "stream" if c.stream else "whole", c.leaked) for c in here if c.leaked is not None]
            check(not leaks, f"matrix: {dialect}, {carrier}: nothing planted reaches the provider", [f"{a} ({b})" for a, b, _ in leaks])
            odd = [(c.name, c.stream, c.status, c.text[:200]) for c in here if c.status not in (200, 403)]
            check(not odd, f"matrix: {dialect}, {carrier}: answered", odd[:3])
            if carrier != "query":  # what stands in the query does not come back
                lost = [(c.name, c.stream, c.text[-300:]) for c in here if c.status == 200 and not holds(c)]
                check(not lost, f"matrix: {dialect}, {carrier}: given back", lost[:2])
    check(took < 60, "matrix: within 60 s", took)
    check(received > len(cells) * 0.8, "matrix: most requests reach the provider", (received, len(asked)))


POLICY = "[secret, pii, financial]"


def world():
    """A gateway of its own, without a model: policy tokenizes all that is planted."""
    work = tempfile.mkdtemp(prefix="sluice-matrix-")
    w = World(work)
    w.start_mock()
    w.write_provider_keys()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets:
{w.server_targets()}
policy:
  - {{ name: planted, when: {{ class: {POLICY} }}, then: tokenize }}
audit: {{ spool: {w.path('spool')}, durability: process }}
""")
    return w


def main(step=1):
    """With a step above 1 only every so many values are sent."""
    w = world()
    try:
        found_by_rules()
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        key = w.new_key("matrix")
        if check(w.start() and w.gateway.poll() is None, "matrix: the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            run(w, key, step)
    finally:
        w.end()
        leave(w.dir)


if __name__ == "__main__":
    main()
    finish()
