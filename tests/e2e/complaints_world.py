"""What the tests of complaints and of dialects stand on: a gateway with all kinds of targets, two of them for each dialect (the mock provider and
one that sends any bytes), callers with different policies, and the records of a request."""
import re
import tempfile
import time
import traceback

from upstream import Upstream
from wire import DIALECTS, ask
from world import MAIL, PATIENCE, SECRET, World, check, free_port, leave

LEAKED_KEY, LEAKED_MAIL = "AKIA" + "Z7RTLQ4MNXVB2KWE", "erika.muster@" + "kanzlei-muster-berlin.de"
RAW = {"chat": "raw-chat", "completions": "raw-chat", "responses": "raw-chat", "anthropic": "raw-claude", "gemini": "raw-gemini"}
PROVIDER_KEY = b"sk-provider-key-of-the-test"


def world():
    w = World(tempfile.mkdtemp(prefix="sluice-complaints-"))
    w.up = Upstream()
    w.start_mock()
    w.write_provider_keys()
    w.write_secret("other.key", "sk-" + "the-other-target\n")
    raw = f"http://127.0.0.1:{w.up.port}"
    # Scripted failures, each to be seen as it is: no second attempt, and nobody is left alone for them.
    other = f"key: file:{w.path('other.key')}, zone: approved, retries: 0, breaker: {{ failures: 0, error_rate: 0 }}"
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets:
{w.server_targets()}
  away:       {{ kind: openai, base_url: http://127.0.0.1:{free_port()}/v1, {other}, models: ["gpt-fallback", "gpt-away"] }}
  raw_chat:   {{ kind: openai, base_url: {raw}/v1, {other}, models: ["raw-chat", "gpt-next"], usage: off }}
  plain_chat: {{ kind: openai, base_url: {raw}/v1, {other}, apis: chat, models: ["plain-chat"] }}
  raw_claude: {{ kind: anthropic, base_url: {raw}, {other}, models: ["raw-claude"] }}
  raw_gemini: {{ kind: gemini, base_url: {raw}, {other}, models: ["raw-gemini"] }}
routes:
  - {{ model: gpt-fallback, to: [away, openai] }}
  - {{ model: gpt-away, to: away }}
  - {{ model: gpt-next, to: [raw_chat, openai] }}
  - {{ model: raw-chat, to: raw_chat }}
  - {{ model: plain-chat, to: plain_chat }}
  - {{ model: raw-claude, to: raw_claude }}
  - {{ model: raw-gemini, to: raw_gemini }}
  - {{ model: ["vertex-*", "claude-vertex-*"], to: vertex }}
  - {{ model: "anthropic.*", to: bedrock }}
  - {{ model: "azure-*", to: azure }}
  - {{ model: "claude-*", to: claude }}
  - {{ model: "gemini-*", to: gemini }}
  - {{ model: "*", to: openai }}
policy:
  - {{ name: masked,   when: {{ class: [secret, pii], user: masked }},   then: mask,   on: response }}
  - {{ name: redacted, when: {{ class: [secret, pii], user: redacted }}, then: redact, on: response }}
  - {{ name: blocked,  when: {{ class: [secret, pii], user: blocked }},  then: block,  on: response }}
  - {{ name: refused,  when: {{ class: [secret, pii], user: refused }},  then: block }}
  - {{ name: hidden,   when: {{ class: [secret, pii] }}, then: tokenize }}
prices: {{ currency: EUR, table: [{{ model: "raw*", input: 3, output: 15 }}] }}
audit: {{ spool: {w.path('spool')}, durability: process, kafka: {{ brokers: "127.0.0.1:{free_port()}" }} }}
""")
    return w


# ---- helpers --------------------------------------------------------------------------------------------

def each(stream=(False, True)):
    return [(d, s, f"{d}, {'stream' if s else 'whole'}") for d in DIALECTS for s in stream]


def raw_ask(w, dialect, steps, user="plain", text="hi", **how):
    """The answer of a stream that the scripted provider gives."""
    w.up.play = steps
    return ask(w.port, dialect, text, w.keys[user], True, model=RAW[dialect], **how)


def records(w, fields, code="ai.request.completed"):
    """The records of a request, once it has ended."""
    uid, end = fields.get("x-sluice-request-id"), time.time() + 15 * PATIENCE
    while time.time() < end:
        all_of_it = w.spool_records("--request", uid) if uid else []
        if any(r["metadata"]["event_code"] == "ai.request.completed" for r in all_of_it):
            return [r for r in all_of_it if r["metadata"]["event_code"] == code]
        time.sleep(0.05)
    return []


def record(w, fields, code="ai.request.completed"):
    """The one record of that kind; empty when there is none or more than one."""
    got = records(w, fields, code)
    return got[0] if len(got) == 1 else {"unmapped": {"sluice": {}}, "found": len(got)}


def end_of(r):
    return r["unmapped"]["sluice"].get("end")


def sent_to_mock(w, act):
    before = len(w.received())
    got = act()
    return got, w.received()[before:]


def rss_of(w):
    with open(f"/proc/{w.gateway.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) // 1024


# ---- the run --------------------------------------------------------------------------------------------

def run_tests(what, functions, prefix, word=""):
    """Runs those whose names begin with prefix and hold word against a world of their own."""
    w = world()
    try:
        w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
        w.keys = {name: w.new_key(name) for name in ("plain", "masked", "redacted", "blocked", "refused")}
        if check(w.start() and w.gateway.poll() is None, what + ": the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            for name, test in sorted(functions.items()):
                if name.startswith(prefix) and word in name:
                    begin = time.time()
                    try:
                        test(w)
                    except Exception:  # the next one is tried all the same
                        check(False, name, traceback.format_exc()[-1500:])
                    if word or time.time() - begin > 3:
                        print(f"{name}: {time.time() - begin:.1f} s", flush=True)
            seen = w.received() + b"".join(h + b for h, b in w.up.asked)
            check(SECRET.encode() not in seen and MAIL.encode() not in seen and not any(k.encode() in seen for k in w.keys.values()),
                  what + ": no planted value and no client's key reached a provider")
            log = open(w.path("gateway.log")).read()
            check("ERROR: AddressSanitizer" not in log and "runtime error:" not in log and SECRET not in log, what + ": a clean log", log[-800:])
    finally:
        w.end()
        w.up.end()
        leave(w.dir)
