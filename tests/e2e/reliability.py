#!/usr/bin/env python3
"""Providers that fail, as real SDKs see them through the gateway; and two servers of which one is killed under load.

usage: tests/e2e/reliability.py BUILD-DIR CACHE-DIR MODEL [WORD]   (or from parts.py); with WORD only tests whose names hold it"""
import base64
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time

from suites import made, make_venv
from upstream import Upstream, answer, aws_message, event, stream
from wire import ask, post
from world import BUILD, ROOT, World, check, finish, free_port, leave, wait_for

OVERLOADED = {"chat": event({"error": {"message": "overloaded", "type": "overloaded_error"}}),
              "anthropic": event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"),
              "gemini": event({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})}


class Server:
    """A mock provider that can be killed and comes back on its port."""

    def __init__(self):
        self.port, self.process = free_port(), None

    def start(self):
        self.process = subprocess.Popen([BUILD + "/mock-provider", "--port", str(self.port)], stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait()


def world():
    w = World(tempfile.mkdtemp(prefix="sluice-reliability-"))
    w.up = Upstream()
    w.start_mock()
    w.write_provider_keys()
    w.pool = [Server(), Server()]
    for s in w.pool:
        s.start()
    sick, well = f"http://127.0.0.1:{w.up.port}", f"http://127.0.0.1:{w.mock_http}"
    more = f"key: file:{w.path('provider.key')}, zone: private"
    pool = ", ".join(f"http://127.0.0.1:{s.port}/v1" for s in w.pool)
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
admin: {{ open: [/healthz, /readyz, /metrics, /api/targets] }}
workers: 2
reliability: {{ backoff: 50ms }}
targets:
  sick_chat:   {{ kind: openai, base_url: {sick}/v1, {more}, models: "gpt-sick", retries: 0 }}
  sick_claude: {{ kind: anthropic, base_url: {sick}, {more}, models: "claude-sick", retries: 0 }}
  sick_bedrock: {{ kind: bedrock, base_url: {sick}, region: eu-central-1, access_key: file:{w.path('aws.id')}, zone: private,
                  secret_key: file:{w.path('aws.secret')}, models: "anthropic.sick", retries: 0, breaker: {{ failures: 0, error_rate: 0 }} }}
  sick_gemini: {{ kind: gemini, base_url: {sick}, {more}, models: "gemini-sick", retries: 0 }}
  once:   {{ kind: openai, base_url: {well}/v1, {more}, models: "gpt-*", breaker: {{ failures: 0, error_rate: 0 }} }}
  claude: {{ kind: anthropic, base_url: {well}, {more}, models: ["claude-*", "anthropic.*"] }}
  gemini: {{ kind: gemini, base_url: {well}, {more}, models: "gemini-*" }}
  pool:   {{ kind: openai, endpoints: [{pool}], {more}, models: "pool",
            breaker: {{ failures: 3, open: 500ms }}, health: {{ path: /v1/models, interval: 100ms, timeout: 1m, failures: 2 }} }}
routes:
  - {{ model: gpt-sick, to: [sick_chat, once] }}
  - {{ model: claude-sick, to: [sick_claude, claude] }}
  - {{ model: anthropic.sick, to: [sick_bedrock, claude] }}
  - {{ model: gemini-sick, to: [sick_gemini, gemini] }}
  - {{ model: "gpt-*", to: once }}
  - {{ model: pool, to: pool }}
audit: {{ spool: {w.path('spool')}, durability: process }}
""")
    return w


def test_sdks_do_not_see_what_another_attempt_mends(w):
    py = made("venv", "requirements.txt", make_venv) + "/bin/python"
    w.up.play = lambda r: stream(OVERLOADED["anthropic" if b"/v1/messages" in r[0] else "chat"])
    r = subprocess.run([py, os.path.join(ROOT, "tests/e2e/sdk_retries.py"), f"http://127.0.0.1:{w.port}", w.key],
                       capture_output=True, text=True, timeout=300)
    if not check(r.returncode == 0, "the SDKs ran", r.stderr[-800:]):
        return
    seen = json.loads(r.stdout.splitlines()[-1])
    check(seen["once"][1:] == ["2", "once"], "a 503 that passes is not seen", seen["once"])
    check(seen["limit"] == {"error": "RateLimitError", "status": 429, "retry_after": "7"},
          "429 stays 429, with the time to wait", seen["limit"])
    check(seen["event"] == "Hello there", "a stream that begins with an error is another target's", seen["event"])
    check(seen["message"] == "Hello there", "Anthropic's, too", seen["message"])
    check(seen["late"] == {"error": "APIError"}, "an error behind the first event is the client's", seen["late"])


def test_error_first_in_every_dialect(w):
    for d, model in (("chat", "gpt-sick"), ("responses", "gpt-sick"), ("anthropic", "claude-sick"), ("gemini", "gemini-sick")):
        kind = d if d in OVERLOADED else None
        w.up.play = lambda r, kind=kind: stream(OVERLOADED[kind] if kind else event(
            {"type": "error", "code": "server_error", "message": "overloaded", "param": None, "sequence_number": 0}, "error"))
        before = len(w.up.asked)
        status, fields, raw = ask(w.port, d, "Hello there", w.key, True, model=model)
        check(status == 200 and b"verloaded" not in raw and b"there" in raw and len(w.up.asked) == before + 1,
              f"{d}: a stream that begins with an error is asked of the next target", (status, raw[-300:]))
        check(fields.get("x-sluice-attempts") == "2", f"{d}: the client is told", fields)
    # Gemini's other frame: the stream is one JSON array, and so is the error.
    w.up.play = [answer(200, [{"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}])]
    status, _, raw = post(w.port, "/v1beta/models/gemini-sick:streamGenerateContent", {"x-goog-api-key": w.key},
                          {"contents": [{"role": "user", "parts": [{"text": "Hello there"}]}]})
    check(status == 200 and b"overloaded" not in raw and b"there" in raw, "gemini, array: another target answers", (status, raw[-300:]))


def test_exception_first_in_an_aws_stream(w):
    """Bedrock's exceptions are messages of a type of their own, of which SSE knows nothing."""
    for label in ("throttlingException", "modelStreamErrorException", "internalServerException", "serviceUnavailableException"):
        first = aws_message({"message": "Too busy here"}, exception_type=label, content_type="application/json", message_type="exception")
        for d, cut in (("anthropic", 0), ("chat", 0), ("anthropic", 20), ("chat", 1)):
            steps = [first[:cut], 0.02, first[cut:]] if cut else [first]
            w.up.play = lambda r: stream(*steps, kind="application/vnd.amazon.eventstream")
            before = len(w.up.asked)
            status, fields, raw = ask(w.port, d, "Hello there", w.key, True, model="anthropic.sick")
            check(status == 200 and b"busy" not in raw and b"there" in raw and len(w.up.asked) == before + 1,
                  f"{d}: a stream that begins with {label} is asked of the next target", (status, cut, raw[-300:]))
            check(fields.get("x-sluice-attempts") == "2", f"{d}: the client is told", fields)
    # An error without an exception; and one behind the first event, which is the client's.
    w.up.play = lambda r: stream(aws_message({}, error_code="500", error_message="broken", message_type="error"),
                                 kind="application/vnd.amazon.eventstream")
    status, fields, raw = ask(w.port, "anthropic", "Hello there", w.key, True, model="anthropic.sick")
    check(status == 200 and b"there" in raw and fields.get("x-sluice-attempts") == "2", "an AWS stream that begins with an error", raw[-300:])
    begin = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m",
                                                  "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 1}}}
    chunk = aws_message({"bytes": base64.b64encode(json.dumps(begin).encode()).decode()}, event_type="chunk", message_type="event")
    w.up.play = lambda r: stream(chunk, first, kind="application/vnd.amazon.eventstream")
    status, fields, raw = ask(w.port, "anthropic", "Hello there", w.key, True, model="anthropic.sick")
    check(status == 200 and b"busy" in raw and fields.get("x-sluice-attempts") in (None, "1"), "an exception behind the first event is the client's",
          (fields, raw[-300:]))


def state_of(w, name):
    targets = json.loads(w.admin_get("/api/targets")[1])["targets"]
    return next(t for t in targets if t["name"] == name)


def test_killed_server_costs_no_request(w):
    wrong, asked, stop = [], [0], threading.Event()

    def client():
        while not stop.is_set():
            status, _, raw = w.post("Hello there", w.key, "pool", stream=asked[0] % 2 == 0)
            asked[0] += 1
            if status != 200 or b"there" not in raw:
                wrong.append((status, raw[-200:]))
            time.sleep(0.005)

    clients = [threading.Thread(target=client) for _ in range(4)]
    for t in clients:
        t.start()
    time.sleep(0.3)
    wait_for("both servers are well", lambda: all(e["usable"] and e.get("probe") == "well" for e in state_of(w, "pool")["endpoints"]))
    # The one that answers sooner: the other may hardly be asked, and then nobody misses it.
    latency = [e["latency_ms"] or float("inf") for e in state_of(w, "pool")["endpoints"]]
    busy = latency.index(min(latency))
    w.pool[busy].kill()
    gone = wait_for("the killed server is left alone", lambda: not state_of(w, "pool")["endpoints"][busy]["usable"], 5)
    check(gone and state_of(w, "pool")["usable"] and w.admin_get("/readyz")[0] == 200, "the target and the gateway are ready all the same")
    time.sleep(0.5)
    w.pool[busy].start()
    wait_for("the server that came back is asked again", lambda: all(e["usable"] for e in state_of(w, "pool")["endpoints"]), 8)
    time.sleep(0.3)
    wait_for("requests enough", lambda: asked[0] > 50)
    stop.set()
    for t in clients:
        t.join()
    check(not wrong and asked[0] > 50, f"none of {asked[0]} requests failed", wrong[:3])
    text = w.admin_get("/metrics")[1]
    check(re.search(r'sluice_endpoint_probes_total\{target="pool",endpoint="[^"]+",result="ill"\} [1-9]', text), "the metrics tell of probes",
          re.findall(r"sluice_endpoint_probes_total.*", text))
    check(re.search(r"^sluice_retries_total [1-9]", text, re.M), "the metrics tell of retries", (latency, re.findall(r"sluice_retries.*", text)))


def main(word=""):
    w = world()
    try:
        w.key = w.new_key("tester")
        if check(w.start() and w.gateway.poll() is None, "reliability: the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            for name, test in sorted(globals().items()):
                if name.startswith("test_") and word in name:
                    test(w)
            log = open(w.path("gateway.log")).read()
            check("ERROR: AddressSanitizer" not in log and "runtime error:" not in log, "reliability: a clean log", log[-800:])
    finally:
        w.end()
        w.up.end()
        for s in w.pool:
            s.kill()
        leave(w.dir)


if __name__ == "__main__":
    main(*sys.argv[4:5])
    finish()
